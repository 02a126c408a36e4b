package proxy_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// gate is an upstream that answers each request when the test lets it.
type gate struct {
	address string
	came    chan string   // the path of each request that comes
	open    chan struct{} // lets one go
}

func newGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{came: make(chan string, 100), open: make(chan struct{})}
	g.address = serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		g.came <- r.URL.Path
		select {
		case <-g.open:
			_, _ = io.WriteString(w, r.URL.Path)
		case <-r.Context().Done():
		}
	})
	return g
}

// await waits until so many requests wait in the queue.
func (e *edge) await(t *testing.T, waiting string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !strings.Contains(e.metrics(), `portico_edge_upstream_queue_length{upstream="app"} `+waiting+"\n") {
		if time.Now().After(deadline) {
			t.Fatalf("there are never %s waiting", waiting)
		}
	}
}

func TestABusyTargetIsWaitedForInOrder(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	e := start(t, several("max_requests: 1, queue: {size: 2, timeout: 1m}", g.address))
	client := e.client(true)
	answers := map[string]chan answer{}
	ask := func(ctx context.Context, path string) {
		answers[path] = make(chan answer, 1)
		go func() {
			got, _ := try(ctx, client, http.MethodPost, "https://localhost"+path, nil, "body")
			answers[path] <- got
		}()
	}
	ask(t.Context(), "/first")
	<-g.came
	leaving, leave := context.WithCancel(t.Context())
	ask(leaving, "/leaves")
	e.await(t, "1")
	ask(t.Context(), "/second")
	e.await(t, "2")
	if got := do(t, client, http.MethodGet, "https://localhost/full", nil, ""); got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
		t.Errorf("with a full queue: %d %v", got.StatusCode, got.Header)
	}
	leave()
	e.await(t, "1")
	ask(t.Context(), "/third")
	e.await(t, "2")
	for _, path := range []string{"/first", "/second", "/third"} {
		if path != "/first" {
			if came := <-g.came; came != path {
				t.Errorf("%s comes before %s", came, path)
			}
		}
		g.open <- struct{}{}
		if got := <-answers[path]; got.Response == nil || got.StatusCode != http.StatusOK || got.body != path {
			t.Errorf("%s: %v", path, got.Response)
		}
	}
	e.await(t, "0")
}

func TestWhoWaitsTooLongIsToldToComeAgain(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	e := start(t, several("max_requests: 1, queue: {timeout: 20ms}", g.address))
	client := e.client(true)
	first := make(chan answer, 1)
	go func() {
		got, _ := try(t.Context(), client, http.MethodGet, "https://localhost/first", nil, "")
		first <- got
	}()
	<-g.came
	for _, client := range []*http.Client{client, e.client(false)} {
		if got := do(t, client, http.MethodGet, "https://localhost/", nil, ""); got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
			t.Errorf("%d %v", got.StatusCode, got.Header)
		}
	}
	g.open <- struct{}{}
	if got := <-first; got.body != "/first" {
		t.Errorf("the first: %q", got.body)
	}
}

func TestNoOneWaitsWithoutAQueue(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	e := start(t, several("max_requests: 1, queue: {size: 0}", g.address))
	client := e.client(true)
	first := make(chan struct{})
	go func() {
		defer close(first)
		_, _ = try(t.Context(), client, http.MethodGet, "https://localhost/first", nil, "")
	}()
	<-g.came
	if got := do(t, client, http.MethodGet, "https://localhost/", nil, ""); got.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%d", got.StatusCode)
	}
	g.open <- struct{}{}
	<-first
}
