package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/portico-web/portico/proxy/config"
)

func noVariables(string) (string, bool) { return "", false }

// valid is a configuration that every fault below is put into.
const valid = `listen: {http: ":80", https: ":443", internal: ":9090"}
tls: {issuer: local}
trusted_proxies: [10.0.0.0/8, 192.0.2.1]
rate_limits:
  api: {rate: 20/s}
upstreams:
  app: {targets: ["app:8000"]}
sites:
  - hosts: [example.com, "*.example.com"]
    redirect_from: [www.example.net]
    routes:
      - {path: /, upstream: app, rate_limit: api}
`

func TestDefaultsAreFilledIn(t *testing.T) {
	t.Parallel()
	cfg, err := config.Parse("p.yaml", []byte("upstreams: {app: {targets: [\"a:1\"], health: {}}}\nrate_limits: {x: {rate: 5/m}}\nsites: [{hosts: [A.Example], routes: [{path: /, upstream: app}, {path: /old, redirect: {to: /}}]}]"), noVariables)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Listen.HTTP != ":80" || cfg.Listen.HTTPS != ":443" || cfg.TLS.Issuer != "local" || cfg.Limits.HeaderBytes != 64<<10 || cfg.Limits.BodyBytes != 0 {
		t.Errorf("%+v", cfg)
	}
	if limit := cfg.RateLimits["x"]; limit.Key != "client_ip" || limit.Burst != 5 || limit.Rate.Period != time.Minute {
		t.Errorf("%+v", limit)
	}
	if app := cfg.Upstreams["app"]; app.Balance != "round_robin" || *app.Health != (config.Health{Path: "/", Interval: 2 * time.Second, Timeout: 2 * time.Second, HealthyAfter: 1, UnhealthyAfter: 1}) {
		t.Errorf("%+v", app)
	}
	if site := cfg.Sites[0]; site.Hosts[0] != "a.example" || site.Routes[1].Redirect.Status != 308 {
		t.Errorf("%+v", site)
	}
}

// Each file of testdata/mistakes is a configuration with a mistake, and what is said of it. $DIR is a folder with the other
// files that it holds. After a change of the texts: UPDATE=1 go test ./proxy/config
func TestWhatCannotWorkIsRefusedWithItsPlace(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/mistakes/*.txtar")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil || len(archive.Files) < 2 || archive.Files[0].Name != "proxy.yaml" || archive.Files[1].Name != "faults" {
				t.Fatalf("%s is not a proxy.yaml and its faults: %v", file, err)
			}
			folder := wideFolder(t)
			for _, other := range archive.Files[2:] {
				write(t, filepath.Join(folder, other.Name), string(other.Data))
			}
			_, err = config.Parse("proxy.yaml", []byte(strings.ReplaceAll(string(archive.Files[0].Data), "$DIR", folder)), noVariables)
			if err == nil {
				t.Fatal("it is taken")
			}
			got := strings.ReplaceAll(err.Error(), folder, "$DIR") + "\n"
			if got == string(archive.Files[1].Data) {
				return
			}
			if os.Getenv("UPDATE") == "" {
				t.Fatalf("got\n%swant\n%s", got, archive.Files[1].Data)
			}
			archive.Files[1].Data = []byte(got)
			write(t, file, string(txtar.Format(archive)))
		})
	}
}

// wideFolder is a folder whose path always has the same length, for columns behind it to stay.
func wideFolder(t *testing.T) string {
	t.Helper()
	const length = 200
	folder := t.TempDir()
	folder = filepath.Join(folder, strings.Repeat("x", length-len(folder)-1))
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestTheConfigurationThatMistakesArePutIntoIsValid(t *testing.T) {
	t.Parallel()
	if _, err := config.Parse("p.yaml", []byte(valid), noVariables); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAStorageKeyThatMayNotBeReadIsToldWithItsRights(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may read every file; run the tests as another user to see this one")
	}
	file := filepath.Join(t.TempDir(), "key")
	write(t, file, strings.Repeat("x", 32))
	if err := os.Chmod(file, 0o000); err != nil {
		t.Fatal(err)
	}
	_, err := config.Parse("p.yaml", []byte(strings.Replace(valid, "issuer: local", "storage: \"redis://x:1/0\", storage_key_file: "+file, 1)), noVariables)
	want := fmt.Sprintf("p.yaml:2:51: tls.storage_key_file: %s cannot be read by user %d (mode 0000, owner %d, group ", file, os.Geteuid(), os.Geteuid())
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Fatalf("got  %v\nwant %s…", err, want)
	}
}

func TestAllFaultsOfAFileAreToldTogether(t *testing.T) {
	t.Parallel()
	content := strings.NewReplacer("upstream: app", "upstream: no", `"app:8000"`, `"app"`, `":443"`, `"443"`).Replace(valid)
	_, err := config.Parse("p.yaml", []byte(content), noVariables)
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Fatal(err)
	}
}

func TestAMissingFileIsNamed(t *testing.T) {
	t.Parallel()
	_, err := config.Load("/no/such/proxy.yaml", noVariables)
	if err == nil || err.Error() != "/no/such/proxy.yaml: no such file: name the configuration with --config" {
		t.Fatal(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(valid))
	f.Add([]byte("listen: {http: \"${X:-:80}\"}\nsites: &a [*a]\n"))
	f.Add([]byte("limits: {header_bytes: 64KiB, drain_timeout: 1d}\nsites: [{hosts: [\"*\"], routes: [{path: /%2e%2e/, redirect: {to: \"{uri}\"}}]}]"))
	f.Fuzz(func(t *testing.T, content []byte) {
		cfg, err := config.Parse("p.yaml", content, noVariables)
		if err != nil && !strings.Contains(err.Error(), "p.yaml") {
			t.Fatalf("the error does not name the file: %v", err)
		}
		if err == nil && len(cfg.Sites) == 0 {
			t.Fatal("a configuration without sites is taken")
		}
	})
}
