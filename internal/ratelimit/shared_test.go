package ratelimit_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-web/portico/internal/dbtest"
	"github.com/portico-web/portico/internal/health"
	"github.com/portico-web/portico/internal/logging"
	"github.com/portico-web/portico/internal/ratelimit"
)

var oncePerHour = ratelimit.Limit{Events: 1, Period: time.Hour, Burst: 1}

// log collects what a limiter logs.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func connect(t *testing.T, url string, w io.Writer) *ratelimit.Shared {
	t.Helper()
	logger, err := logging.New(w, "debug", "console")
	if err != nil {
		t.Fatal(err)
	}
	limiter, err := ratelimit.Connect(t.Context(), url, ratelimit.NewLocal(1000, time.Now), logger)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = limiter.Close() })
	return limiter
}

func TestSharedLimitHoldsAcrossProcesses(t *testing.T) {
	t.Parallel()
	url := dbtest.Redis(t)
	first, second := connect(t, url, io.Discard), connect(t, url, io.Discard)
	limit := ratelimit.Limit{Events: 1, Period: time.Hour, Burst: 2}
	if got := first.Allow(t.Context(), "a", limit); !got.Allowed || got.Remaining != 1 {
		t.Fatalf("the first: %+v", got)
	}
	if got := second.Peek(t.Context(), "a", limit); !got.Allowed || got.Remaining != 1 {
		t.Fatalf("a peek: %+v", got)
	}
	if got := second.Allow(t.Context(), "a", limit); !got.Allowed || got.Remaining != 0 {
		t.Fatalf("the second: %+v", got)
	}
	got := first.Allow(t.Context(), "a", limit)
	if got.Allowed || got.RetryAfter <= 59*time.Minute || got.RetryAfter > time.Hour || got.ResetAfter < got.RetryAfter {
		t.Fatalf("the third: %+v", got)
	}
	if got := second.Peek(t.Context(), "a", limit); got.Allowed {
		t.Fatalf("a peek after the last: %+v", got)
	}
	if got := second.Allow(t.Context(), "b", limit); !got.Allowed {
		t.Fatal("another key is limited too")
	}
}

func TestSharedFallsBackWhenRedisDiesAndRecovers(t *testing.T) {
	t.Parallel()
	server := dbtest.NewRedis(t)
	var lines log
	limiter := connect(t, server.URL, &lines)
	if got := limiter.Check(t.Context()); got.Status != health.OK {
		t.Fatalf("with Redis: %+v", got)
	}
	server.Kill()
	if got := limiter.Allow(t.Context(), "a", oncePerHour); !got.Allowed {
		t.Fatal("a request was refused because Redis is gone")
	}
	if limiter.Allow(t.Context(), "a", oncePerHour).Allowed {
		t.Fatal("without Redis there is no limit at all")
	}
	if got := limiter.Check(t.Context()); got.Status != health.Degraded || got.Detail == "" {
		t.Fatalf("without Redis: %+v", got)
	}
	server.Start()
	if got := limiter.Check(t.Context()); got.Status != health.OK {
		t.Fatalf("with Redis again: %+v", got)
	}
	// The new, empty Redis decides again, not this process, which refused before.
	if !limiter.Allow(t.Context(), "a", oncePerHour).Allowed {
		t.Fatal("Redis is not asked again")
	}
	if text := lines.String(); strings.Contains(text, "test-secret") || !strings.Contains(text, "answers again") {
		t.Fatalf("log:\n%s", text)
	}
}

func TestSharedRecoversByTrafficAlone(t *testing.T) {
	t.Parallel()
	server := dbtest.NewRedis(t)
	limiter := connect(t, server.URL, io.Discard)
	server.Kill()
	limiter.Allow(t.Context(), "a", oncePerHour)
	server.Start()
	deadline := time.Now().Add(30 * time.Second)
	for !limiter.Allow(t.Context(), "a", oncePerHour).Allowed { // refused by this process until Redis is asked
		if time.Now().After(deadline) {
			t.Fatal("Redis is never asked again")
		}
	}
}

func TestSharedDoesNotWaitForAHangingRedis(t *testing.T) {
	t.Parallel()
	server := dbtest.NewRedis(t)
	limiter := connect(t, server.URL, io.Discard)
	limiter.Allow(t.Context(), "warm", oncePerHour)
	server.Hang()
	defer server.Resume()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for range 100 { // each waiting 1 s for an answer, they would not come to an end in time
		if !limiter.Allow(ctx, time.Now().String(), oncePerHour).Allowed {
			t.Fatal("a request was refused because Redis hangs")
		}
	}
	if ctx.Err() != nil {
		t.Fatal("requests wait for Redis")
	}
	if got := limiter.Check(t.Context()); got.Status != health.Degraded {
		t.Fatalf("a hanging Redis: %+v", got)
	}
}

func TestConnectNamesTheServerThatDoesNotAnswerAndNoPassword(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	_, err = ratelimit.Connect(t.Context(), "redis://user:hunter2@"+address+"/0", ratelimit.NewLocal(1, time.Now), logging.Discard())
	if err == nil || !strings.Contains(err.Error(), address) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") {
		t.Fatalf("error: %v", err)
	}
}

func TestMalformedURLsAreToldWithoutTheirPassword(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"localhost:6379", "http://:hunter2@x", "redis://:hunter2@x/notanumber", "redis://:hunter2/@x", "redis://:hunter2%zz@x"} {
		if err := ratelimit.CheckURL(url); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, url := range []string{"redis://localhost:6379/0", "rediss://:p@x:1/2"} {
		if err := ratelimit.CheckURL(url); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}
