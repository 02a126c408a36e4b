package upstream_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/portico-web/portico/proxy/upstream"
)

// cookie is what a pool sets for the target of a request; nil for nothing.
func cookie(t *testing.T, p *upstream.Pool, asks *upstream.Request, target *upstream.Target, secure bool) *http.Cookie {
	t.Helper()
	text := p.Cookie(asks, target, secure)
	if text == "" {
		return nil
	}
	parsed, err := http.ParseSetCookie(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return parsed
}

func TestAClientStaysWithItsTarget(t *testing.T) {
	t.Parallel()
	settings := upstream.Settings{Name: "app", Targets: numbered(4), Sticky: upstream.Sticky{Cookie: "server", Key: "secret"}}
	p := pool(t, settings)
	first := picked(t, p, request("192.0.2.1"))
	set := cookie(t, p, request("192.0.2.1"), first, true)
	if set == nil || set.Name != "server" || !set.HttpOnly || !set.Secure || set.SameSite != http.SameSiteLaxMode || set.Path != "/" || set.MaxAge != 0 {
		t.Fatalf("%+v", set)
	}
	if strings.Contains(set.Value, "10.0.0") || len(set.Value) != 22 {
		t.Errorf("the cookie tells %q", set.Value)
	}
	if plain := cookie(t, p, request("192.0.2.1"), first, false); plain.Secure {
		t.Error("no browser keeps a Secure cookie that came in the clear")
	}
	back := request("192.0.2.7", "Cookie: theme=dark; server="+set.Value)
	for range 20 {
		if target := picked(t, p, back); target != first {
			t.Fatalf("it comes back to %s, not %s", target.Host, first.Host)
		}
	}
	if again := cookie(t, p, back, first, true); again != nil {
		t.Errorf("it is set again: %v", again)
	}
	if target := picked(t, pool(t, settings), back); target.Host != first.Host {
		t.Error("an edge with the same secret does not agree")
	}
	settings.Sticky.Key = "another"
	other := pool(t, settings)
	if set := cookie(t, other, back, picked(t, other, back), true); set == nil {
		t.Error("a cookie by another secret is taken")
	}
}

func TestAClientWhoseTargetMayNotServeGetsAnother(t *testing.T) {
	t.Parallel()
	p := pool(t, upstream.Settings{Name: "app", Targets: numbered(2), Sticky: upstream.Sticky{Cookie: "server", Key: "secret"}})
	first := picked(t, p, request("192.0.2.1"))
	back := request("192.0.2.1", "Cookie: server="+cookie(t, p, request("192.0.2.1"), first, true).Value)
	target, err := p.Pick(back, []*upstream.Target{first})
	if err != nil || target == first {
		t.Errorf("%v, %v", target, err)
	}
	first.Refused()
	if target := picked(t, p, back); target == first || cookie(t, p, back, target, true) == nil {
		t.Error("a client is kept with a target that takes no connections")
	}
	for _, forged := range []string{"server=", "server", "server=10.0.0.1:80", "Server=x", "xserver=y", "server=" + strings.Repeat("A", 22), "=;;;", ""} {
		asks := request("192.0.2.1", "Cookie: "+forged)
		if cookie(t, p, asks, picked(t, p, asks), true) == nil {
			t.Errorf("%q names a target", forged)
		}
	}
}
