package forward_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/portico-web/portico/proxy/forward"
	"github.com/portico-web/portico/proxy/upstream"
)

// failure is the kind of a *forward.Failure.
func failure(t testing.TB, err error) forward.Kind {
	t.Helper()
	failed, ok := errors.AsType[*forward.Failure](err)
	if !ok {
		t.Fatalf("no failure: %v", err)
	}
	return failed.Kind
}

func TestARequestArrivesAsOneHeadWithWhatTheEdgeAsserts(t *testing.T) {
	t.Parallel()
	up := answering(t, ok)
	f := to(t, up)
	c := ask(t, "GET", "/a%2Fb?x;y").field("X-Real-IP", "spoofed").field("Accept", "*/*")
	if err := c.through(f); err != nil {
		t.Fatal(err)
	}
	want := "GET /a%2Fb?x;y HTTP/1.1\r\nHost: example.test\r\nAccept: */*\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n" +
		"X-Forwarded-Host: example.test\r\nX-Real-IP: 192.0.2.1\r\nX-Request-ID: id-1\r\nTraceparent: 00-trace\r\n\r\n"
	if got := up.seen(""); len(got) != 1 || got[0] != want {
		t.Errorf("%q", got)
	}
	if events := strings.Join(c.saw(), " "); events != "200 2 +ok end" {
		t.Error(events)
	}
}

func TestOneConnectionCarriesOneRequestAfterAnother(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func() *target{
		"plain": func() *target { return answering(t, ok) },
		"TLS": func() *target {
			return serveTLS(t, func(p *peer) {
				for p.head() != "" {
					p.say(ok)
				}
			})
		},
	} {
		up := make()
		f := to(t, up)
		for range 3 {
			c := ask(t, "GET", "/")
			if err := c.through(f); err != nil || c.answer.String() != "ok" {
				t.Fatalf("%s: %q, %v", name, c.answer.String(), err)
			}
		}
		if n := up.connections.Load(); n != 1 {
			t.Errorf("%s: %d connections", name, n)
		}
	}
}

func TestATargetThatRefusesIsPassedOverForAnyMethod(t *testing.T) {
	t.Parallel()
	up := answering(t, ok)
	refusing := &target{address: "127.0.0.1:1"}
	f := to(t, refusing, up)
	for range 4 {
		c := ask(t, "POST", "/").uploading(5)
		c.body.send("hel")
		c.body.send("lo")
		c.body.finish()
		if err := c.through(f); err != nil {
			t.Fatal(err)
		}
	}
	if got := up.seen("hello"); len(got) != 4 {
		t.Errorf("%q", got)
	}
	if err := ask(t, "GET", "/").through(to(t, refusing)); failure(t, err) != forward.Unreachable {
		t.Error(err)
	}
}

func TestAnExchangeAfterTheEndLeavesNoConnection(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{})
	up := serve(t, func(p *peer) {
		p.head()
		p.say(ok)
		p.untilClosed()
		close(closed)
	})
	f := forwarder(t, upstream.Settings{Targets: []string{up.address}}, &forward.Streams{})
	f.Close()
	if err := ask(t, "GET", "/").through(f); err != nil {
		t.Fatal(err)
	}
	<-closed
}
