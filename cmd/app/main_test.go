package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/dbtest"
	"github.com/portico-web/portico/internal/logging"
	"github.com/portico-web/portico/migrations"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// nextVersion builds the program as it will be with more migrations, by the ends of their files' names.
func nextVersion(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	root, err := filepath.Abs("../../migrations")
	if err != nil {
		t.Fatal(err)
	}
	replace := map[string]string{}
	for name, sql := range files {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(sql), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, dialect := range []string{"postgres", "sqlite"} {
			replace[filepath.Join(root, dialect, name)] = path
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(folder, "app")
	output, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", filepath.Join(folder, "overlay.json"), "-o", program, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, output)
	}
	return program
}

// run runs the program and returns its exit status and what it printed.
func run(t *testing.T, program, url string, arguments ...string) (code int, stdout, stderr string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, arguments...)
	command.Env = []string{"DATABASE_URL=" + url}
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	if err := command.Run(); err != nil && command.ProcessState == nil {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), out.String(), errs.String()
}

func TestMigrateRefusesWhatTheVersionBeforeCouldNotWorkWith(t *testing.T) {
	t.Parallel()
	next := nextVersion(t, map[string]string{
		"29990101000001_tags.tx.up.sql":   "CREATE TABLE IF NOT EXISTS tags (id BIGINT);\n",
		"29990101000002_posts.tx.up.sql":  "-- The end of posts.\nALTER TABLE posts\n    DROP COLUMN anonymous;\n",
		"29990101000003_school.tx.up.sql": "-- expand: reviewed: read by nobody\nDROP INDEX IF EXISTS boards_school;\nALTER TABLE schools RENAME TO campuses;\n",
	})
	dbtest.Each(t, func(t *testing.T, url string) {
		db, err := database.Open(t.Context(), url, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Migrate(t.Context(), migrations.FS, logging.Discard()); err != nil {
			t.Fatal(err)
		}
		dialect, _, _ := strings.Cut(url, ":")

		code, plan, stderr := run(t, next, url, "migrate", "--plan")
		for _, want := range []string{
			"pending: " + dialect + "/29990101000001_tags.tx.up.sql\n",
			"refused: " + dialect + "/29990101000002_posts.tx.up.sql:2: ALTER TABLE posts DROP COLUMN anonymous: the version before may still use it: ",
			"reviewed: " + dialect + "/29990101000003_school.tx.up.sql:2: DROP INDEX IF EXISTS boards_school: the version before may still use it; reviewed: read by nobody\n",
			"3 pending; 2 statements refused by --expand-only, 1 reviewed, 0 hints\n",
		} {
			if code != 0 || stderr != "" || !strings.Contains(plan, want) {
				t.Errorf("migrate --plan ended with %d, %s and lacks %q:\n%s", code, stderr, want, plan)
			}
		}
		if code, stdout, _ := run(t, next, url, "migrate", "--plan", "--expand-only"); code != 1 || stdout != plan {
			t.Errorf("migrate --plan --expand-only ended with %d:\n%s", code, stdout)
		}

		code, stdout, stderr := run(t, next, url, "migrate", "--expand-only")
		lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
		if code != 1 || stdout != "" || len(lines) != 3 {
			t.Fatalf("migrate --expand-only ended with %d:\n%s%s", code, stdout, stderr)
		}
		for i, want := range []string{
			"app: " + dialect + "/29990101000002_posts.tx.up.sql:2: ALTER TABLE posts DROP COLUMN anonymous: ",
			"app: " + dialect + "/29990101000003_school.tx.up.sql:3: ALTER TABLE schools RENAME TO campuses: the version before uses the old name: ",
			"app: 2 statements of pending migrations are refused, and nothing was applied: ",
		} {
			if !strings.HasPrefix(lines[i], want) {
				t.Errorf("line %d is %q, want %q", i+1, lines[i], want)
			}
		}
		if _, again, _ := run(t, next, url, "migrate", "--plan"); again != plan {
			t.Errorf("after a refusal the plan is\n%s", again)
		}

		code, stdout, stderr = run(t, next, url, "migrate")
		if want := "applied 29990101000001_tags\napplied 29990101000002_posts\napplied 29990101000003_school\nthe database is up to date\n"; code != 0 || stdout != want {
			t.Errorf("migrate ended with %d:\n%s%s", code, stdout, stderr)
		}
		if err := db.RequireMigrated(t.Context(), migrations.FS); err != nil {
			t.Errorf("this version does not start on the schema of the next: %v", err)
		}
		if code, stdout, _ := run(t, next, url, "migrate", "--plan", "--expand-only"); code != 0 || stdout != "nothing is pending\n" {
			t.Errorf("at last the plan is %d, %s", code, stdout)
		}
	})
}
