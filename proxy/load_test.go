package proxy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
	if app := cfg.Upstreams["app"]; app.Balance != "round_robin" || *app.Health != (config.Health{Path: "/", Interval: 2 * time.Second, Timeout: 2 * time.Second}) {
		t.Errorf("%+v", app)
	}
	if site := cfg.Sites[0]; site.Hosts[0] != "a.example" || site.Routes[1].Redirect.Status != 308 {
		t.Errorf("%+v", site)
	}
}

func TestWhatCannotWorkIsRefusedWithItsPlace(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	short := filepath.Join(folder, "short")
	write(t, short, strings.Repeat("x", 31)+"\n")
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown upstream":    {"upstream: app,", "upstream: ap,", `p.yaml:12:29: sites[0].routes[0].upstream: no upstream is named "ap" (did you mean "app"?)`},
		"unknown rate limit":  {"rate_limit: api}", "rate_limit: bulk}", `p.yaml:12:46: sites[0].routes[0].rate_limit: no rate limit is named "bulk" (known: api)`},
		"unknown key":         {"rate_limit: api}", "rate_limits: api}", `p.yaml:12:34: unknown key "rate_limits" in sites[0].routes[0] (did you mean "rate_limit"?)`},
		"unknown top key":     {"upstreams:", "upstream:", `p.yaml:6:1: unknown key "upstream" (did you mean "upstreams"?)`},
		"double host":         {"[www.example.net]", "[EXAMPLE.com]", `p.yaml:10:21: sites[0].redirect_from[0]: the host example.com is already named by sites[0].hosts[0]`},
		"bad host":            {"[example.com,", "[https://example.com,", `p.yaml:9:13: sites[0].hosts[0]: "https://example.com" is not a host such as example.com, *.example.com or "*" (no scheme, no port, no path)`},
		"wildcard first":      {"[example.com, \"*.example.com\"]", "[\"*.example.com\"]", `p.yaml:9:13: sites[0].redirect_from leads to the site's first host, which must not be a wildcard (*.example.com)`},
		"bad range":           {"10.0.0.0/8", "10.0.0.0/33", `p.yaml:3:19: trusted_proxies[0]: "10.0.0.0/33" is not an address or a range such as 10.0.0.0/8`},
		"range with bits":     {"10.0.0.0/8", "10.1.0.0/8", `p.yaml:3:19: trusted_proxies[0]: "10.1.0.0/8" has bits set behind its length: did you mean 10.0.0.0/8?`},
		"bad rate":            {"20/s", "20/y", `p.yaml:5:15: rate_limits.api.rate: "20/y" is not a rate such as 50/s, 10/m, 100/h or 5/10s`},
		"no rate":             {"{rate: 20/s}", "{burst: 3}", `p.yaml:5:3: rate_limits.api wants a rate, such as 50/s`},
		"negative burst":      {"{rate: 20/s}", "{rate: 20/s, burst: -1}", `p.yaml:5:28: rate_limits.api.burst: -1 is not between 1 and 1000000`},
		"bad limit key":       {"{rate: 20/s}", "{key: client, rate: 20/s}", `p.yaml:5:14: rate_limits.api.key: unknown value "client" (did you mean "client_ip"?)`},
		"bad listen":          {`":443"`, `"443"`, `p.yaml:1:30: listen.https: "443" is not an address such as :443 or 127.0.0.1:8443`},
		"bad admin":           {`internal: ":9090"`, `admin: /run/x.sock`, `p.yaml:1:45: listen.admin: "/run/x.sock" is not a socket such as unix:/run/portico/admin.sock`},
		"bad issuer":          {"issuer: local", "issuer: acne", `p.yaml:2:15: tls.issuer: unknown value "acne" (did you mean "acme"?)`},
		"files without":       {"issuer: local", "issuer: files", `p.yaml:2:6: tls.issuer is files, so tls.certificates must name them: [{cert: FILE, key: FILE}]`},
		"missing certificate": {"issuer: local", "certificates: [{cert: /no/such, key: /no/such}]", `p.yaml:2:22: tls.certificates[0]: open /no/such: no such file or directory`},
		"bad balance":         {`["app:8000"]`, `["app:8000"], balance: least_con`, `p.yaml:7:41: upstreams.app.balance: unknown value "least_con" (did you mean "least_conn"?)`},
		"bad target":          {`["app:8000"]`, `["app"]`, `p.yaml:7:19: upstreams.app.targets[0]: "app" is not a target such as app:8000 or https://host:8443`},
		"double target":       {`["app:8000"]`, `["app:8000", "app:8000"]`, `p.yaml:7:31: upstreams.app.targets[1]: app:8000 is named twice`},
		"no targets":          {`["app:8000"]`, `[]`, `p.yaml:7:3: upstreams.app has no targets: name at least one, as in ["app:8000"]`},
		"bad interval":        {`["app:8000"]`, `["app:8000"], health: {interval: 1ms}`, `p.yaml:7:51: upstreams.app.health.interval: 1ms is shorter than 50ms`},
		"bad health path":     {`["app:8000"]`, `["app:8000"], health: {path: readyz}`, `p.yaml:7:47: upstreams.app.health.path: "readyz" does not begin with a slash`},
		"two actions":         {"upstream: app,", "upstream: app, redirect: {to: /x},", `p.yaml:12:9: sites[0].routes[0] has upstream and redirect: keep one of them`},
		"no action":           {"upstream: app, ", "", `p.yaml:12:9: sites[0].routes[0] does nothing: give it one of upstream, files, redirect`},
		"no path":             {"path: /, ", "", `p.yaml:12:9: sites[0].routes[0] has no path`},
		"bad path":            {"path: /,", "path: api,", `p.yaml:12:16: sites[0].routes[0].path: "api" is not a path such as /api/`},
		"slash of no slash":   {"path: /,", "path: /a, redirect_slash: true,", `p.yaml:12:36: sites[0].routes[0].redirect_slash needs a path that ends with a slash, such as /flower/`},
		"strip of no app":     {"upstream: app,", "redirect: {to: /}, strip_prefix: true,", `p.yaml:12:52: sites[0].routes[0].strip_prefix goes with upstream only`},
		"bad status":          {"upstream: app,", "redirect: {to: /, status: 200},", `p.yaml:12:45: sites[0].routes[0].redirect.status: 200 is not one of 301, 302, 303, 307, 308`},
		"bad redirect":        {"upstream: app,", "redirect: {to: \"javascript:x\"},", `p.yaml:12:34: sites[0].routes[0].redirect.to: "javascript:x" is neither a path nor an http(s) address; {host}, {path} and {uri} may stand in it`},
		"double route":        {"rate_limit: api}\n", "rate_limit: api}\n      - {path: /x/, upstream: app}\n      - {path: /x, upstream: app}\n", `p.yaml:14:16: sites[0].routes[2].path: the site has two routes for /x`},
		"missing folder":      {"upstream: app,", "files: {root: /no/such/folder},", `p.yaml:12:33: sites[0].routes[0].files.root: the folder /no/such/folder cannot be served (no such file or directory): make it, or correct the path`},
		"folder is a file":    {"upstream: app,", "files: {root: " + file + "},", `p.yaml:12:33: sites[0].routes[0].files.root: ` + file + ` is not a folder`},
		"redis":               {"trusted_proxies:", "redis: \"http://:hunter2@x\"\ntrusted_proxies:", `p.yaml:3:8: redis: not a URL of the form redis://[user:password@]host:port/db or rediss://…`},
		"storage key":         {"issuer: local", "issuer: acme, storage: \"redis://x:1/0\"", `p.yaml:2:30: tls.storage is Redis, so tls.storage_key_file must name a file with a secret of 32 bytes or more that private keys are encrypted with (openssl rand -hex 32)`},
		"no storage key":      {"issuer: local", "storage: \"redis://x:1/0\", storage_key_file: /no/such", `p.yaml:2:51: tls.storage_key_file: /no/such cannot be read (no such file or directory)`},
		"short storage key":   {"issuer: local", "storage: \"redis://x:1/0\", storage_key_file: " + short, `p.yaml:2:51: tls.storage_key_file: ` + short + ` holds 31 bytes: make it 32 or more (openssl rand -hex 32)`},
		"endless burst":       {"{rate: 20/s}", "{rate: 1/d, burst: 1000000}", `p.yaml:5:27: rate_limits.api.burst: at this rate 1000000 take longer than a year to come back: choose a smaller burst or a higher rate`},
		"two slashes":         {"path: /,", "path: /x//,", `p.yaml:12:16: sites[0].routes[0].path: "/x//" is not a path such as /api/`},
		"http3 alone":         {`https: ":443"`, `http3: true`, `p.yaml:1:30: listen.http3 needs listen.https`},
		"bad size":            {"trusted_proxies:", "limits: {header_bytes: 64KB}\ntrusted_proxies:", `p.yaml:3:24: limits.header_bytes: "64KB" is not a size such as 65536, 64KiB or 10MiB`},
		"small size":          {"trusted_proxies:", "limits: {header_bytes: 1KiB}\ntrusted_proxies:", `p.yaml:3:24: limits.header_bytes: 1024 is not between 4KiB and 16MiB`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(valid, c.old) {
				t.Fatalf("%q is not in the valid configuration", c.old)
			}
			_, err := config.Parse("p.yaml", []byte(strings.Replace(valid, c.old, c.new, 1)), noVariables)
			if err == nil || err.Error() != c.want {
				t.Fatalf("got  %v\nwant %s", err, c.want)
			}
		})
	}
	if _, err := config.Parse("p.yaml", []byte(valid), noVariables); err != nil {
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
