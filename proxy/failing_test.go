package proxy_test

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// breaking is an upstream that breaks each connection instead of answering; it counts the requests.
func breaking(t *testing.T) (address string, times *atomic.Int64) {
	t.Helper()
	times = &atomic.Int64{}
	return serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		times.Add(1)
		panic(http.ErrAbortHandler)
	}), times
}

// unwell is an upstream that answers 503; it counts the requests.
func unwell(t *testing.T) (address string, times *atomic.Int64) {
	t.Helper()
	times = &atomic.Int64{}
	return serve(t, func(w http.ResponseWriter, _ *http.Request) {
		times.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	}), times
}

func TestATargetThatFailsRequestsIsTakenOut(t *testing.T) {
	t.Parallel()
	for name, failing := range map[string]func(*testing.T) (string, *atomic.Int64){"breaks": breaking, "answers 503": unwell} {
		bad, times := failing(t)
		e := start(t, several("passive: {failures: 2, window: 1m, eject: 1h, max_ejected: 50}, failure_statuses: [503]", bad, named(t, "good")))
		client, failed := e.client(true), 0
		for range 20 {
			if got := do(t, client, http.MethodPost, "https://localhost/", nil, "x"); got.body != "good" {
				failed++
			}
		}
		if failed != 2 || times.Load() != 2 {
			t.Errorf("%s: %d requests failed, it was asked %d times", name, failed, times.Load())
		}
		if want := `portico_edge_upstream_ejected{target="http://` + bad + `",upstream="app"} 1`; !strings.Contains(e.metrics(), want) {
			t.Errorf("%s: no %s", name, want)
		}
	}
}

func TestAWishToSwitchProtocolsWhereNoneIsSwitchedCountsAgainstNobody(t *testing.T) {
	t.Parallel()
	e := start(t, several("passive: {failures: 2, window: 1m, eject: 1h}, breaker: {failures: 50, requests: 3, window: 1m, open: 1h}", named(t, "a"), named(t, "b")))
	wire := e.wire()
	for range 6 {
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://localhost/", http.NoBody)
		request.Header.Set("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")
		answer, err := wire.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusBadGateway {
			t.Fatalf("answered %d", answer.StatusCode)
		}
	}
	if got := e.get("https://localhost/"); got.StatusCode != http.StatusOK {
		t.Errorf("others are answered %d", got.StatusCode)
	}
	if strings.Contains(e.log.String(), "is taken out") {
		t.Error("a target is taken out")
	}
}

func TestTheBreakerCountsNoRequestThatAnotherTargetAnswered(t *testing.T) {
	t.Parallel()
	one, _ := unwell(t)
	other, _ := unwell(t)
	e := start(t, several("retries: {statuses: [503]}, failure_statuses: [503], breaker: {failures: 50, requests: 5, window: 1m, open: 1h}", one, other, named(t, "good")))
	client := e.client(true)
	for range 20 {
		if got := do(t, client, http.MethodGet, "https://localhost/", nil, ""); got.body != "good" {
			t.Fatalf("answered %d", got.StatusCode)
		}
	}
}

func TestTheBreakerSparesAnUpstreamAndClosesWhenItAnswers(t *testing.T) {
	t.Parallel()
	var well atomic.Bool
	var times atomic.Int64
	app := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		times.Add(1)
		if !well.Load() {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	e := start(t, several("breaker: {failures: 50, requests: 5, window: 1m, open: 2s}, failure_statuses: [502]", app))
	client := e.client(true)
	for range 5 {
		do(t, client, http.MethodGet, "https://localhost/", nil, "")
	}
	got := do(t, client, http.MethodGet, "https://localhost/", nil, "")
	if got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") != "2" || times.Load() != 5 {
		t.Errorf("%d %v, asked %d times", got.StatusCode, got.Header, times.Load())
	}
	if !strings.Contains(e.metrics(), `portico_edge_upstream_breaker_state{upstream="app"} `) {
		t.Error("the metrics tell nothing")
	}
	well.Store(true)
	deadline := time.Now().Add(30 * time.Second)
	for do(t, client, http.MethodGet, "https://localhost/", nil, "").StatusCode != http.StatusOK {
		if time.Now().After(deadline) {
			t.Fatal("it stays open")
		}
	}
	if !strings.Contains(e.metrics(), `portico_edge_upstream_breaker_state{upstream="app"} 0`) {
		t.Error("the metrics call it open")
	}
}

func TestWhatMayBeRepeatedGoesToAnotherTargetWhenTheSettingsSaySo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		keys    string
		failing func(*testing.T) (string, *atomic.Int64)
		status  int // of what is not repeated
	}{
		"broken":       {"retries: {broken: true}", breaking, http.StatusBadGateway},
		"by status":    {"retries: {statuses: [503]}", unwell, http.StatusServiceUnavailable},
		"more than it": {"retries: {statuses: [503], tries: 2}", unwell, http.StatusServiceUnavailable},
	} {
		bad, times := c.failing(t)
		e := start(t, several(c.keys, bad, named(t, "good")))
		client := e.client(false) // whose content comes along with the head: only what is all there can be sent again
		for range 4 {
			for _, method := range []string{"GET", "PUT"} {
				if got := do(t, client, method, "https://localhost/", nil, "content"); got.body != "good" {
					t.Errorf("%s: %s is answered %d %s", name, method, got.StatusCode, got.body)
				}
			}
		}
		before, failed := times.Load(), 0
		if before == 0 {
			t.Fatalf("%s: it was never asked", name)
		}
		for range 4 {
			if got := do(t, client, http.MethodPost, "https://localhost/", nil, "pay"); got.StatusCode == c.status {
				failed++
			}
		}
		if asked := times.Load() - before; failed == 0 || int64(failed) != asked {
			t.Errorf("%s: of the POSTs %d failed, and %d reached the bad target", name, failed, asked)
		}
		if !strings.Contains(e.metrics(), `portico_edge_upstream_retries_total{target="http://`+bad+`",upstream="app"} `) {
			t.Errorf("%s: not counted", name)
		}
	}
}

func TestAnAnswerIsHandedOnWhenNoOtherTargetIsLeft(t *testing.T) {
	t.Parallel()
	one, first := unwell(t)
	other, second := unwell(t)
	e := start(t, several("retries: {statuses: [503], tries: 10}", one, other))
	got := do(t, e.client(true), http.MethodGet, "https://localhost/", nil, "")
	if got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") != "" || first.Load() != 1 || second.Load() != 1 {
		t.Errorf("%d %v, asked %d and %d times", got.StatusCode, got.Header, first.Load(), second.Load())
	}
}

func TestOneTryIsOneTry(t *testing.T) {
	t.Parallel()
	bad, times := breaking(t)
	e := start(t, several("retries: {tries: 1, broken: true, statuses: [502]}", bad, named(t, "good")))
	client, good := e.client(true), 0
	for range 4 {
		if do(t, client, http.MethodGet, "https://localhost/", nil, "").body == "good" {
			good++
		}
	}
	if good != 2 || times.Load() != 2 {
		t.Errorf("%d of 4 were good, it was asked %d times", good, times.Load())
	}
}
