package upstream_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portico-web/portico/internal/logging"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func pool(t testing.TB, settings upstream.Settings) *upstream.Pool {
	t.Helper()
	p, err := upstream.New(settings, logging.Discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// request is one of this client, with these fields: "Cookie: a=b".
func request(client string, fields ...string) *upstream.Request {
	head := &message.Head{}
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		head.AddNamed(name, value)
	}
	return &upstream.Request{Head: head, Client: []byte(client)}
}

// picks chooses n times, releasing each at once.
func picks(t *testing.T, p *upstream.Pool, n int) string {
	t.Helper()
	var hosts []string
	for range n {
		target, err := p.Pick(request("192.0.2.1"), nil)
		if err != nil {
			t.Fatal(err)
		}
		host, _, _ := strings.Cut(target.Host, ":")
		hosts = append(hosts, host)
		p.Release(target)
	}
	return strings.Join(hosts, "")
}

func TestTargetsAreRead(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]upstream.Address{
		"app:8000": {Scheme: "http", Host: "app:8000"}, "https://app:8443": {Scheme: "https", Host: "app:8443"},
		"h2c://app:50051": {Scheme: "h2c", Host: "app:50051"},
		"http://[::1]:80": {Scheme: "http", Host: "[::1]:80"}, "[2001:db8::1]:80": {Scheme: "http", Host: "[2001:db8::1]:80"},
		"unix:/run/app.sock": {Scheme: "http", Socket: "/run/app.sock"}, "h2c+unix:/run/app.sock": {Scheme: "h2c", Socket: "/run/app.sock"},
	} {
		if got, err := upstream.ParseTarget(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "app", ":80", "app:0", "app:99999", "app:http", "ftp://app:1", "http://app:1/x", "http://u@app:1", "http://app:1?q", "a b:1", "a/b:1", "http://",
		"unix:", "unix:app.sock", "unix:/run/../app.sock", "unix:/run/", "unix://run/app.sock", "https+unix:/a", "unix:/" + strings.Repeat("x", 103)} {
		if got, err := upstream.ParseTarget(text); err == nil {
			t.Errorf("%q is taken, as %+v", text, got)
		}
	}
}

func TestARefusalPutsATargetLast(t *testing.T) {
	t.Parallel()
	for _, balance := range []upstream.Balance{upstream.RoundRobin, upstream.LeastConn} {
		p := pool(t, upstream.Settings{Targets: []string{"a:1", "b:1", "c:1"}, Balance: balance})
		if got := picks(t, p, 6); got != "abcabc" {
			t.Errorf("in turn: %s", got)
		}
		p.Targets()[1].Refused()
		if got := picks(t, p, 6); strings.Contains(got, "b") {
			t.Errorf("after a refusal: %s", got)
		}
		for _, target := range p.Targets() {
			target.Refused()
		}
		if got := picks(t, p, 3); len(got) != 3 {
			t.Errorf("when all refused: %s", got)
		}
		if _, err := p.Pick(request("192.0.2.1"), p.Targets()); !errors.Is(err, upstream.ErrNoTarget) {
			t.Errorf("when all were tried: %v", err)
		}
	}
}

func TestEqualSettingsMakeEqualPools(t *testing.T) {
	t.Parallel()
	base := upstream.Settings{Name: "a", Targets: []string{"a:1"}, Health: &upstream.Probe{Path: "/", Interval: time.Second}}
	same := base
	same.Health = &upstream.Probe{Path: "/", Interval: time.Second}
	if !base.Equal(same) {
		t.Error("equal settings differ")
	}
	for name, change := range map[string]func(*upstream.Settings){
		"name":      func(s *upstream.Settings) { s.Name = "b" },
		"targets":   func(s *upstream.Settings) { s.Targets = []string{"b:1"} },
		"balance":   func(s *upstream.Settings) { s.Balance = upstream.Hash },
		"probe":     func(s *upstream.Settings) { s.Health = &upstream.Probe{Path: "/x", Interval: time.Second} },
		"timeout":   func(s *upstream.Settings) { s.ResponseTimeout = time.Second },
		"hash":      func(s *upstream.Settings) { s.HashBy.Cookie = "a" },
		"sticky":    func(s *upstream.Settings) { s.Sticky.Key = "another" },
		"start":     func(s *upstream.Settings) { s.SlowStart = time.Second },
		"resolve":   func(s *upstream.Settings) { s.Resolve = time.Second },
		"no probes": func(s *upstream.Settings) { s.Health = nil },
	} {
		other := base
		change(&other)
		if base.Equal(other) || other.Equal(base) {
			t.Errorf("another %s is equal", name)
		}
	}
}

func TestOneSlowProbeIsNoFailureAndTwoAre(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	accepted := make(chan struct{}, 16)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			accepted <- struct{}{}
			go func() { // takes the probe and never answers
				<-ctx.Done()
				_ = connection.Close()
			}()
		}
	}()
	p := pool(t, upstream.Settings{Targets: []string{listener.Addr().String()}, Health: &upstream.Probe{
		Path: "/", Interval: 50 * time.Millisecond, Timeout: 50 * time.Millisecond,
	}})
	<-accepted
	<-accepted // the first timed out
	if !p.Targets()[0].Healthy() {
		t.Error("one slow probe took the target out")
	}
	<-accepted // the second did
	if p.Targets()[0].Healthy() {
		t.Error("two slow probes did not take the target out")
	}
}

// probed serves probes at an address, and returns its port.
func probed(t *testing.T, at string, passes func() bool) (port string) {
	t.Helper()
	listener, err := net.Listen("tcp", at)
	if err != nil {
		t.Skip("this system has not the loopback address:", err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !passes() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	_, port, _ = net.SplitHostPort(listener.Addr().String())
	return port
}

func TestTargetsServeBeforeTheyWereProbed(t *testing.T) {
	t.Parallel()
	waiting := func() bool { <-t.Context().Done(); return true }
	targets := []string{"127.0.0.1:" + probed(t, "127.0.0.1:0", waiting), "127.0.0.1:" + probed(t, "127.0.0.1:0", waiting)}
	p := pool(t, upstream.Settings{Targets: targets, Health: &upstream.Probe{Path: "/", Interval: time.Minute, Timeout: time.Minute}})
	for i, target := range p.Targets() {
		if !target.Healthy() {
			t.Errorf("target %d is not used", i)
		}
	}
}
