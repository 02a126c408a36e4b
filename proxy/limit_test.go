package proxy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/portico-web/portico/internal/dbtest"
	"github.com/portico-web/portico/internal/health"
)

// limited is a site whose / takes two requests an hour from a client.
func limited(app string) string {
	return "rate_limits: {few: {rate: 2/h}, other: {rate: 1/h}}\ntrusted_proxies: [127.0.0.1]\n" +
		site(app, "      - {path: /, upstream: app, rate_limit: few}\n      - {path: /other/, upstream: app, rate_limit: other}\n      - {path: /free/, upstream: app}")
}

// from is the header of a request that the trusted peer says comes from address.
func from(address string) http.Header { return http.Header{"X-Forwarded-For": {address}} }

func TestARateLimitRefusesWithWhatAClientNeedsToKnow(t *testing.T) {
	t.Parallel()
	e := start(t, limited(echo(t)))
	client := e.client(true)
	ask := func(path, address string) answer {
		return do(t, client, http.MethodGet, "https://localhost"+path, from(address), "")
	}
	first := ask("/", "203.0.113.1")
	if first.StatusCode != http.StatusOK || first.Header.Get("Ratelimit-Limit") != "2" || first.Header.Get("Ratelimit-Remaining") != "1" ||
		first.Header.Get("Ratelimit-Reset") != "1800" || first.Header.Get("Ratelimit-Policy") != "2;w=3600;burst=2" || first.Header.Get("Retry-After") != "" {
		t.Errorf("the first: %d %v", first.StatusCode, first.Header)
	}
	ask("/", "203.0.113.1")
	refused := ask("/", "203.0.113.1")
	if refused.StatusCode != http.StatusTooManyRequests || refused.Header.Get("Retry-After") != "1800" || refused.Header.Get("Ratelimit-Remaining") != "0" ||
		refused.body != `{"detail":"Too many requests. Please try again in 1800 s."}`+"\n" {
		t.Errorf("the third: %d %v %s", refused.StatusCode, refused.Header, refused.body)
	}
	for path, address := range map[string]string{"/other/": "203.0.113.1", "/free/": "203.0.113.1", "/": "203.0.113.2"} {
		if got := ask(path, address); got.StatusCode != http.StatusOK {
			t.Errorf("%s from %s: %d", path, address, got.StatusCode)
		}
	}
	ask("/", "2001:db8::1")
	ask("/", "2001:db8::2")
	if got := ask("/", "2001:db8::3"); got.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a third address of one /64: %d", got.StatusCode)
	}
	if err := e.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := ask("/", "203.0.113.1"); got.StatusCode != http.StatusTooManyRequests {
		t.Errorf("after a reload: %d", got.StatusCode)
	}
	if text := e.metrics(); !strings.Contains(text, `portico_edge_ratelimited_total{limit="few"} 3`) {
		t.Error("the refused are not counted")
	}
}

func TestAnUpstreamsOwnLimitFieldsWin(t *testing.T) {
	t.Parallel()
	app := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("RateLimit-Limit", "9") })
	e := start(t, limited(app))
	if got := e.get("https://localhost/").Header.Values("Ratelimit-Limit"); len(got) != 1 || got[0] != "9" {
		t.Error(got)
	}
}

func TestTwoEdgesShareOneLimitThroughRedis(t *testing.T) {
	t.Parallel()
	config := "redis: \"" + dbtest.Redis(t) + "\"\n" + limited(echo(t))
	first, second := start(t, config), start(t, config)
	for i, e := range []*edge{first, second, first, second} {
		got := do(t, e.client(true), http.MethodGet, "https://localhost/", from("203.0.113.1"), "")
		if want := map[bool]int{true: http.StatusOK, false: http.StatusTooManyRequests}[i < 2]; got.StatusCode != want {
			t.Errorf("request %d: %d, want %d", i+1, got.StatusCode, want)
		}
	}
}

func TestRequestsPassWhileRedisIsGoneAndTheLimitIsKeptLocally(t *testing.T) {
	t.Parallel()
	redis := dbtest.NewRedis(t)
	e := start(t, "redis: \""+redis.URL+"\"\n"+limited(echo(t)))
	client := e.client(true)
	ask := func() int {
		return do(t, client, http.MethodGet, "https://localhost/", from("203.0.113.1"), "").StatusCode
	}
	if report := e.report(); report.Status != health.OK || report.Checks["redis"].Status != health.OK {
		t.Fatalf("%+v", report)
	}
	ask()
	redis.Kill()
	for i, want := range []int{http.StatusOK, http.StatusOK, http.StatusTooManyRequests} {
		if got := ask(); got != want {
			t.Errorf("request %d without Redis: %d, want %d", i+1, got, want)
		}
	}
	if report := e.report(); report.Status != health.Degraded || report.Checks["redis"].Status != health.Degraded {
		t.Errorf("without Redis: %+v", report)
	}
	redis.Start()
	if report := e.report(); report.Status != health.OK {
		t.Errorf("with Redis again: %+v", report)
	}
	if got := ask(); got != http.StatusOK {
		t.Errorf("with an empty Redis: %d", got)
	}
	redis.Hang()
	for range 20 {
		if got := do(t, client, http.MethodGet, "https://localhost/", from("203.0.113.7"), "").StatusCode; got != http.StatusOK && got != http.StatusTooManyRequests {
			t.Errorf("with a hanging Redis: %d", got)
		}
	}
	redis.Resume()
	if log := e.log.String(); strings.Contains(log, "test-secret") {
		t.Errorf("the password is logged:\n%s", log)
	}
}
