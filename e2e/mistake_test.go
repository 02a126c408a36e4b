package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const testSecret = "SECRET_KEY=0123456789abcdef0123456789abcdef"

// Each mistake gets one line that names the thing, status 1, and nothing half-written.
func TestOperatorsMistakeIsToldInOneLine(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	_ = closed.Close()

	folder := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := write("file", "")
	misspelt := write("misspelt.yaml", "listen: {http: \"127.0.0.1:0\", https: \"127.0.0.1:0\"}\ntls: {issuer: local}\nupstreams:\n  app: {targets: [\"127.0.0.1:1\"]}\nsites:\n  - hosts: [localhost]\n    routes:\n      - {path: /, upstrem: app}\n")
	write("corrupt/secrets/secret_key", "short\n")
	write("corrupt-ca/ca/root.key", "not a key\n")
	write("corrupt-ca/ca/root.pem", "not a certificate\n")
	sqlite := "DATABASE_URL=sqlite://" + filepath.Join(folder, "app.db")
	free := []string{"--https", "127.0.0.1:0", "--http", "127.0.0.1:0"}
	up := func(args ...string) []string { return append(append([]string{"up"}, free...), args...) }

	tests := map[string]struct {
		program string
		environ []string
		args    []string
		want    []string
	}{
		"unknown key in proxy.yaml": {"proxy", nil, []string{"run", "--config", misspelt}, []string{misspelt + ":8:", "upstrem", "upstream"}},
		"missing proxy.yaml":        {"proxy", nil, []string{"run", "--config", filepath.Join(folder, "absent.yaml")}, []string{"absent.yaml"}},
		"port in use":               {"portico", nil, []string{"up", "--data", filepath.Join(folder, "port"), "--http", "127.0.0.1:0", "--https", taken.Addr().String()}, []string{taken.Addr().String(), "in use"}},
		"data folder is a file":     {"portico", nil, up("--data", file), []string{file}},
		"data folder with a ?":      {"portico", nil, up("--data", filepath.Join(folder, "what?")), []string{"what?"}},
		"corrupt secret":            {"portico", nil, up("--data", filepath.Join(folder, "corrupt")), []string{"corrupt/secrets/secret_key"}},
		"corrupt certificate":       {"portico", nil, up("--data", filepath.Join(folder, "corrupt-ca")), []string{"corrupt-ca/ca/root"}},
		"unknown flag":              {"portico", nil, []string{"up", "--demos"}, []string{"--demos"}},
		"log level":                 {"app", []string{testSecret, sqlite, "LOG_LEVEL=loud"}, []string{"serve"}, []string{"LOG_LEVEL", "loud"}},
		"duration":                  {"app", []string{testSecret, sqlite, "ACCESS_TOKEN_LIFETIME=soon"}, []string{"serve"}, []string{"ACCESS_TOKEN_LIFETIME"}},
		"no secret":                 {"app", []string{sqlite}, []string{"serve"}, []string{"SECRET_KEY"}},
		"short secret":              {"app", []string{"SECRET_KEY=short", sqlite}, []string{"serve"}, []string{"SECRET_KEY"}},
		"no database":               {"app", []string{testSecret}, []string{"serve"}, []string{"DATABASE_URL"}},
		"mysql":                     {"app", []string{testSecret, "DATABASE_DB=mysql", "DATABASE_HOST=db"}, []string{"serve"}, []string{"import-django"}},
		"database away":             {"app", []string{testSecret, "DATABASE_URL=postgres://u:hidden@" + nobody + "/x"}, []string{"migrate"}, []string{"DATABASE_URL", nobody}},
		"database away, worker":     {"worker", []string{testSecret, "FLOWER_BASIC_AUTH=a:b", "DATABASE_URL=postgres://u:hidden@" + nobody + "/x"}, []string{"run"}, []string{"DATABASE_URL", nobody}},
		"redis away":                {"app", []string{testSecret, sqlite, "REDIS_URL=redis://:hidden@" + nobody}, []string{"serve"}, []string{"REDIS_URL", nobody}},
		"mail by pigeon":            {"worker", []string{testSecret, sqlite, "SMTP_URL=pigeon://x"}, []string{"run"}, []string{"SMTP_URL"}},
		"not migrated":              {"worker", []string{sqlite, "SMTP_URL=mailbox:", "FLOWER_BASIC_AUTH=a:b"}, []string{"run"}, []string{"app migrate"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, append([]string{"LISTEN=127.0.0.1:0", "INTERNAL_LISTEN=127.0.0.1:0"}, test.environ...), test.program, test.args...)
			if status := p.wait(); status == 0 {
				t.Error("exit status 0")
			}
			printed := p.output()
			lines := strings.Split(strings.TrimSpace(printed), "\n")
			last := lines[len(lines)-1]
			for _, want := range test.want {
				if !strings.Contains(last, want) {
					t.Errorf("%q does not name %q", printed, want)
				}
			}
			if strings.Contains(printed, "hidden") || strings.Contains(printed, "goroutine ") {
				t.Errorf("shows a password or a stack: %s", printed)
			}
		})
	}
}
