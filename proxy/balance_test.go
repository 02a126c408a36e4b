package proxy_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// several is a configuration with an upstream of these targets, with more keys for it.
func several(keys string, targets ...string) string {
	quoted := make([]string, len(targets))
	for i, target := range targets {
		quoted[i] = fmt.Sprintf("%q", target)
	}
	return "upstreams: {app: {targets: [" + strings.Join(quoted, ", ") + "], " + keys + "}}\nsites: [{hosts: [localhost], routes: [{path: /, upstream: app}]}]"
}

func TestAClientStaysWithTheTargetThatItsCookieNames(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, strings.Repeat("k", 32)+"\n")
	yaml := several("sticky: {cookie: server, secret_file: "+secret+"}", named(t, "a"), named(t, "b"), named(t, "c"))
	e, other := start(t, yaml), start(t, yaml)
	first := do(t, e.client(true), http.MethodGet, "https://localhost/", nil, "")
	cookies := first.Cookies()
	if len(cookies) != 1 || cookies[0].Name != "server" || !cookies[0].Secure || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteLaxMode {
		t.Fatalf("%v", first.Header["Set-Cookie"])
	}
	back := http.Header{"Cookie": {"x=1; server=" + cookies[0].Value}}
	for _, edge := range []*edge{e, other} {
		for _, http2 := range []bool{true, false} {
			client := edge.client(http2)
			for range 4 {
				if got := do(t, client, http.MethodGet, "https://localhost/", back, ""); got.body != first.body || len(got.Cookies()) != 0 {
					t.Errorf("%s, then %s, with %v", first.body, got.body, got.Cookies())
				}
			}
		}
	}
}

func TestEachTenantHasATargetOfItsOwn(t *testing.T) {
	t.Parallel()
	e := start(t, several(`balance: hash, hash_by: "header:X-Tenant", slow_start: 10s`, named(t, "a"), named(t, "b"), named(t, "c")))
	client, seen := e.client(true), map[string]bool{}
	for tenant := range 20 {
		header := http.Header{"X-Tenant": {fmt.Sprint(tenant)}}
		first := do(t, client, http.MethodGet, "https://localhost/", header, "").body
		if again := do(t, client, http.MethodGet, "https://localhost/", header, "").body; again != first {
			t.Errorf("tenant %d: %s and %s", tenant, first, again)
		}
		seen[first] = true
	}
	if len(seen) != 3 {
		t.Errorf("all go to %v", seen)
	}
}

func TestTwoChoicesPassOverARefusingTarget(t *testing.T) {
	t.Parallel()
	e := start(t, several("balance: p2c", refusing(t), named(t, "a"), named(t, "b")))
	client := e.client(true)
	for range 20 {
		if got := do(t, client, http.MethodPost, "https://localhost/", nil, "x"); got.body != "a" && got.body != "b" {
			t.Errorf("%d %s", got.StatusCode, got.body)
		}
	}
}
