// Package portico_test keeps the shape of the tree: who may import whom, what each program may link, how folders are named.
// ARCHITECTURE.md gives the reasons. A rule that has to change is changed here, in the same commit.
package portico_test

import (
	"bytes"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/portico-web/portico/"

// arrow is one import of the project's own: a file in the folder From imports the folder To, both from the root.
type arrow struct {
	File, From, To string
	Test           bool
}

func (a arrow) String() string { return fmt.Sprintf("%s imports %s", a.File, a.To) }

// rule says what the folders it is about may import. Patterns are folders; "app/*" is every folder directly or deeper
// under app, without app itself; "self" is the importing folder's own part of the tree, as partOf names it.
type rule struct {
	From   []string
	May    []string
	InTest []string // in _test.go files also these
	WayOut string
}

// rules are tried in order; the first whose From fits decides.
var rules = []rule{
	{From: []string{"internal/fault", "internal/config", "internal/logging", "internal/health", "internal/telemetry", "internal/lang", "migrations"},
		InTest: []string{"internal/*", "migrations"},
		WayOut: "it lies at the bottom and imports nothing of ours: hand in what it needs as a parameter"},
	{From: []string{"internal/httpx"},
		May:    []string{"self", "internal/fault", "internal/lang", "internal/logging", "internal/health", "internal/telemetry"},
		InTest: []string{"internal/*"},
		WayOut: "the proxy links httpx, so that it stays small: put what needs a database or a domain above it"},
	{From: []string{"internal/*"},
		May:    []string{"internal/*"},
		InTest: []string{"migrations"},
		WayOut: "internal packages serve every program: declare a small interface there and hand in the rest"},
	{From: []string{"proxy", "proxy/*"},
		May: []string{"proxy", "proxy/*", "internal/fault", "internal/logging", "internal/telemetry", "internal/httpx",
			"internal/health", "internal/config", "internal/ratelimit"},
		InTest: []string{"internal/dbtest"},
		WayOut: "the edge faces the internet and knows neither database nor application: it only routes to them"},
	{From: []string{"app/web", "app/web/*", "app/demo", "app/demo/*"},
		May:    []string{"app/*", "internal/*"},
		InTest: []string{"migrations"},
		WayOut: "pages and demo data may use the domains and internal; what they need of app itself, app hands in"},
	{From: []string{"app/*"},
		May:    []string{"self", "app/token", "internal/*"},
		InTest: []string{"migrations"},
		WayOut: "a domain knows no other: declare a one-method interface or a func here, and let app.New hand it in"},
	{From: []string{"app"},
		May:    []string{"app/*", "internal/*", "migrations"},
		WayOut: "app puts the domains together and knows neither edge nor worker: it hands over through the job queue"},
	{From: []string{"worker", "worker/*"},
		May:    []string{"worker", "worker/*", "app/*", "internal/*", "migrations"},
		WayOut: "the worker may use app's domains, but neither app itself nor the edge"},
	{From: []string{"cmd/*", "e2e", "e2e/*", "bench", "bench/*"},
		May:    []string{"self", "proxy", "proxy/config", "proxy/control", "app", "worker", "app/demo", "internal/*", "migrations"},
		InTest: []string{"proxy/*"},
		WayOut: "mains only start things: use the roots proxy, app, worker (and proxy/config, proxy/control), and let them export what is missing"},
	{From: []string{"."}, WayOut: "the root holds no code"},
}

// broken returns one line for every arrow that a rule forbids: the import, the rule, the way out.
func broken(arrows []arrow) []string {
	var lines []string
	for _, a := range arrows {
		if line := judge(a); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

func judge(a arrow) string {
	switch {
	case a.To == "internal/dbtest" && !a.Test:
		return fmt.Sprintf("%s: only _test.go files do: move the code into a test", a)
	case fits("app/web", a.To) && !slices.Contains([]string{"app", "app/web"}, partOf(a.From)):
		return fmt.Sprintf("%s: only app imports the pages: move what is shared into a domain or internal", a)
	}
	for _, r := range rules {
		if !slices.ContainsFunc(r.From, func(pattern string) bool { return matches(pattern, a.From) }) {
			continue
		}
		may := r.May
		if a.Test {
			may = append(slices.Clone(may), append(r.InTest, "internal/dbtest", "self")...)
		}
		for _, pattern := range may {
			if pattern == "self" && fits(partOf(a.From), a.To) || pattern != "self" && matches(pattern, a.To) {
				return ""
			}
		}
		return fmt.Sprintf("%s, but may import only %v: %s", a, may, r.WayOut)
	}
	return fmt.Sprintf("%s: the folder %s is in no rule: put the code into one of the folders of ARCHITECTURE.md, or add a rule to arch_test.go", a, a.From)
}

// partOf is what "self" means: the folder's first two elements, which is one domain, one internal package, one program.
func partOf(folder string) string {
	elements := strings.SplitN(folder, "/", 3)
	return strings.Join(elements[:min(2, len(elements))], "/")
}

// fits reports whether folder is parent or lies under it.
func fits(parent, folder string) bool {
	return folder == parent || strings.HasPrefix(folder, parent+"/")
}

func matches(pattern, folder string) bool {
	if parent, under := strings.CutSuffix(pattern, "/*"); under {
		return strings.HasPrefix(folder, parent+"/")
	}
	return folder == pattern
}

func TestImportsFollowTheRules(t *testing.T) {
	t.Parallel()
	arrows := readArrows(t)
	if len(arrows) < 10 {
		t.Fatalf("found only %d imports of the project's own packages: the reader is broken", len(arrows))
	}
	for _, line := range broken(arrows) {
		t.Error(line)
	}
}

func TestRulesCatchWhatTheyForbid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from, to string
		test     bool
		allowed  bool
	}{
		{from: "internal/fault", to: "internal/lang"},
		{from: "internal/fault", to: "internal/dbtest", test: true, allowed: true},
		{from: "internal/httpx", to: "internal/fault", allowed: true},
		{from: "internal/httpx", to: "internal/database"},
		{from: "internal/queue", to: "internal/database", allowed: true},
		{from: "internal/queue", to: "app/account"},
		{from: "internal/queue", to: "internal/dbtest"},
		{from: "internal/queue", to: "migrations", test: true, allowed: true},
		{from: "proxy/routing", to: "proxy/message", allowed: true},
		{from: "proxy", to: "internal/ratelimit", allowed: true},
		{from: "proxy", to: "internal/database"},
		{from: "proxy/certs", to: "internal/queue"},
		{from: "proxy", to: "app"},
		{from: "proxy", to: "internal/dbtest", test: true, allowed: true},
		{from: "app/account", to: "app/token", allowed: true},
		{from: "app/account/passkey", to: "app/account", allowed: true},
		{from: "app/account", to: "app/board"},
		{from: "app/account", to: "app/board", test: true},
		{from: "app/account", to: "app"},
		{from: "app/account", to: "app/web"},
		{from: "app/token", to: "app/account"},
		{from: "app/web", to: "app/board", allowed: true},
		{from: "app/web", to: "app"},
		{from: "app/demo", to: "app/board", allowed: true},
		{from: "app/demo", to: "app/web"},
		{from: "app", to: "app/web", allowed: true},
		{from: "app", to: "worker"},
		{from: "app", to: "worker/jobs"},
		{from: "app", to: "proxy"},
		{from: "worker/jobs", to: "app/account", allowed: true},
		{from: "worker/jobs", to: "app/web"},
		{from: "worker", to: "app"},
		{from: "worker", to: "proxy"},
		{from: "cmd/portico", to: "worker", allowed: true},
		{from: "cmd/portico", to: "app/demo", allowed: true},
		{from: "cmd/proxy", to: "proxy/certs"},
		{from: "cmd/app", to: "app/board"},
		{from: "e2e", to: "app", allowed: true},
		{from: "toolbox", to: "internal/fault"},
		{from: ".", to: "internal/fault"},
	} {
		got := broken([]arrow{{File: c.from + "/x.go", From: c.from, To: c.to, Test: c.test}})
		if allowed := len(got) == 0; allowed != c.allowed {
			t.Errorf("%s → %s (test %t): allowed %t, want %t %v", c.from, c.to, c.test, allowed, c.allowed, got)
		}
	}
}

// forbiddenLinks: what a program must not contain, however far down. Prefixes of import paths.
var forbiddenLinks = map[string][]string{
	"proxy": {module + "internal/database", module + "internal/queue", module + "internal/dbtest", module + "app", module + "worker",
		"github.com/uptrace/bun", "github.com/riverqueue/", "github.com/jackc/pgx", "modernc.org/sqlite"},
	"app":     {module + "worker", module + "proxy", module + "internal/dbtest", "testing", "github.com/quic-go/", "github.com/caddyserver/certmagic"},
	"worker":  {module + "proxy", module + "app/web", module + "internal/dbtest", "testing", "github.com/quic-go/", "github.com/caddyserver/certmagic"},
	"portico": {module + "internal/dbtest", "testing"},
}

func TestProgramsLinkOnlyTheirOwn(t *testing.T) {
	t.Parallel()
	for program, forbidden := range forbiddenLinks {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			for _, link := range forbiddenIn(links(t, "./cmd/"+program), forbidden) {
				t.Errorf("cmd/%s links %s: `go list -deps -f '{{.ImportPath}}: {{.Imports}}' ./cmd/%s` shows through whom; cut that import", program, link, program)
			}
		})
	}
}

func TestForbiddenLinksAreFound(t *testing.T) {
	t.Parallel()
	got := forbiddenIn([]string{"net/http", "github.com/uptrace/bun/dialect", module + "application", module + "app/board"}, forbiddenLinks["proxy"])
	want := []string{"github.com/uptrace/bun/dialect", module + "app/board"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func forbiddenIn(linked, forbidden []string) []string {
	var found []string
	for _, path := range linked {
		if slices.ContainsFunc(forbidden, func(prefix string) bool { return fits(strings.TrimSuffix(prefix, "/"), path) }) {
			found = append(found, path)
		}
	}
	return found
}

func links(t *testing.T, program string) []string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-deps", program)
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	var complaints bytes.Buffer
	command.Stderr = &complaints
	output, err := command.Output()
	if err != nil {
		t.Fatalf("go list -deps %s: %v\n%s", program, err, complaints.String())
	}
	return strings.Fields(string(output))
}

func TestFoldersAreNamedAfterWhatTheyHold(t *testing.T) {
	t.Parallel()
	for folder := range readFolders(t) {
		for _, vague := range []string{"util", "utils", "common", "helper", "helpers", "manager", "managers", "misc", "shared"} {
			if name := path.Base(folder); name == vague || len(vague) > 4 && strings.HasSuffix(name, vague) || strings.HasSuffix(name, "util") {
				t.Errorf("the folder %s is called %q, which says nothing: name it after the one thing it is about", folder, vague)
			}
		}
	}
}

// mainLines bounds a file of cmd: mains parse, load, listen for signals and run.
const mainLines = 80

func TestMainsOnlyStartThings(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"portico", "proxy", "app", "worker"} {
		if _, err := os.Stat(filepath.Join("cmd", program, "main.go")); err != nil {
			t.Errorf("there is no program %s: %v", program, err)
		}
	}
	mains, err := filepath.Glob("cmd/*/main.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range mains {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if lines := bytes.Count(content, []byte("\n")); lines > mainLines {
			t.Errorf("%s has %d lines, the bound is %d: move what it does into proxy, app or worker", file, lines, mainLines)
		}
	}
}

func TestMigrationsExistInBothDialects(t *testing.T) {
	t.Parallel()
	postgres, sqlite := names(t, "migrations/postgres"), names(t, "migrations/sqlite")
	if len(postgres) == 0 {
		t.Fatal("there are no migrations")
	}
	if !slices.Equal(postgres, sqlite) {
		t.Errorf("every migration has a file of the same name for each dialect:\npostgres %v\nsqlite   %v", postgres, sqlite)
	}
}

func names(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	return found
}

// readFolders returns the Go files of every folder that holds some, by folder from the root.
func readFolders(t *testing.T) map[string][]string {
	t.Helper()
	folders := map[string][]string{}
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && file != "." && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "bin") {
			return filepath.SkipDir
		}
		if !entry.IsDir() && strings.HasSuffix(name, ".go") {
			folder := filepath.ToSlash(filepath.Dir(file))
			folders[folder] = append(folders[folder], filepath.ToSlash(file))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return folders
}

// readArrows parses the imports of every Go file itself, whatever its build constraints.
func readArrows(t *testing.T) []arrow {
	t.Helper()
	var arrows []arrow
	for folder, files := range readFolders(t) {
		for _, file := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, spec := range parsed.Imports {
				if to, ours := strings.CutPrefix(strings.Trim(spec.Path.Value, "\"`"), module); ours {
					arrows = append(arrows, arrow{File: file, From: folder, To: to, Test: strings.HasSuffix(file, "_test.go")})
				}
			}
		}
	}
	slices.SortFunc(arrows, func(a, b arrow) int { return strings.Compare(a.File+a.To, b.File+b.To) })
	return arrows
}
