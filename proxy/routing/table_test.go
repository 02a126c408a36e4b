package routing_test

import (
	"strings"
	"testing"

	"github.com/portico-web/portico/proxy/routing"
)

func table(t *testing.T) *routing.Table[string, string] {
	t.Helper()
	made, err := routing.New([]routing.Site[string, string]{
		{
			Hosts: []string{"example.com", "*.example.com"}, RedirectFrom: []string{"www.example.com"},
			Routes: []routing.Route[string]{
				{Path: "/", Value: "root"}, {Path: "/api/", Value: "api"}, {Path: "/api/v1", Value: "v1"}, {Path: "/static/", Value: "static"},
			},
		},
		{Hosts: []string{"special.example.com"}, Routes: []routing.Route[string]{{Path: "/only/", Value: "only"}}},
		{Hosts: []string{"*"}, Routes: []routing.Route[string]{{Path: "/", Value: "any"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestTheLongestPathOfTheHostsSiteWins(t *testing.T) {
	t.Parallel()
	sites := table(t)
	for _, c := range []struct{ host, path, want string }{
		{"example.com", "/", "root"},
		{"example.com", "/apix", "root"},
		{"example.com", "/api", "api"},
		{"example.com", "/api/", "api"},
		{"example.com", "/api/x/y", "api"},
		{"example.com", "/api/v1", "v1"},
		{"example.com", "/api/v1/", "v1"},
		{"example.com", "/api/v1/boards/" + strings.Repeat("x/", 1000), "v1"},
		{"example.com", "/api/v10", "api"},
		{"example.com", "//api/", "root"},
		{"example.com", "/API/", "root"},
		{"example.com", "/api%2Fv1", "root"},
		{"a.example.com", "/static/x", "static"},
		{"special.example.com", "/only", "only"},
		{"special.example.com", "/", ""},
		{"special.example.com", "/onlyx", ""},
		{"a.b.example.com", "/", "any"},
		{"other.test", "/x", "any"},
	} {
		site, redirect, ok := sites.Site(c.host)
		if !ok || redirect {
			t.Fatalf("%s: %v, redirect %v", c.host, ok, redirect)
		}
		route, ok := site.Route(c.path)
		if got := valueOf(route); got != c.want || ok != (c.want != "") {
			t.Errorf("%s%.40s: %q, want %q", c.host, c.path, got, c.want)
		}
	}
}

func valueOf(route *routing.Route[string]) string {
	if route == nil {
		return ""
	}
	return route.Value
}

func TestAHostMayLeadToItsSitesFirst(t *testing.T) {
	t.Parallel()
	site, redirect, ok := table(t).Site("www.example.com")
	if !ok || !redirect || site.Name() != "example.com" {
		t.Fatalf("%v, redirect %v", ok, redirect)
	}
}

func TestAnUnknownHostHasNoSite(t *testing.T) {
	t.Parallel()
	sites, err := routing.New([]routing.Site[string, int]{{Hosts: []string{"example.com", "*.example.com"}, Routes: []routing.Route[int]{{Path: "/"}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"other.com", "a.b.example.com", "com", "", "xexample.com", ".example.com"} {
		if _, _, ok := sites.Site(host); ok {
			t.Errorf("%q has a site", host)
		}
	}
}

func TestDoublesAreRefused(t *testing.T) {
	t.Parallel()
	for name, sites := range map[string][]routing.Site[string, int]{
		"host":     {{Hosts: []string{"a"}}, {Hosts: []string{"a"}}},
		"redirect": {{Hosts: []string{"a"}}, {Hosts: []string{"b"}, RedirectFrom: []string{"a"}}},
		"path":     {{Hosts: []string{"a"}, Routes: []routing.Route[int]{{Path: "/x"}, {Path: "/x/"}}}},
	} {
		if _, err := routing.New(sites); err == nil {
			t.Errorf("a double %s is taken", name)
		}
	}
}

// The look-up's work grows with the routes' lengths, not with what a client sends.
func BenchmarkRouteOfALongPath(b *testing.B) {
	sites, err := routing.New([]routing.Site[string, int]{{Hosts: []string{"a"}, Routes: []routing.Route[int]{{Path: "/"}, {Path: "/api/v1/"}}}})
	if err != nil {
		b.Fatal(err)
	}
	site, _, _ := sites.Site("a")
	path := "/" + strings.Repeat("x/", 30_000)
	for b.Loop() {
		if _, ok := site.Route(path); !ok {
			b.Fatal("no route")
		}
	}
}

func TestHostsAreCleaned(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"example.com": "example.com", "Example.COM:8443": "example.com", "example.com.": "example.com", "127.0.0.1:1": "127.0.0.1",
		"[::1]:8443": "::1", "[::1]": "::1", "[0:0::1]": "::1",
		"": "", "a b": "", "a/b": "", "a:b": "", "a:1:2": "", "[::1": "", "[::1]x": "", "[x]": "", "a@b": "", "a:999999": "", "*": "",
		"[fe80::1%eth0]": "", "[127.0.0.1]": "", "[::1]:x": "", "[::1]:999999": "",
	} {
		if got := routing.CleanHost(host); got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
	for host, want := range map[string]string{
		"Example.com": "example.com", "*.Example.com": "*.example.com", "*": "*", "한국.example": "xn--3e0b707e.example",
		"[::1]": "::1", "192.0.2.1": "192.0.2.1", "localhost": "localhost",
	} {
		if got, ok := routing.ParseHost(host); !ok || got != want {
			t.Errorf("%q: %q, %v; want %q", host, got, ok, want)
		}
	}
	for _, host := range []string{"", "https://a", "a:443", "a/b", "a..b", "*.*.a", "a.*", "**", "-a.com", "*."} {
		if got, ok := routing.ParseHost(host); ok {
			t.Errorf("%q is taken, as %q", host, got)
		}
	}
}
