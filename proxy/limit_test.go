package proxy_test

import (
	"net/http"
	"strings"
	"testing"
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

func TestOfSeveralLimitsTheStrictestIsToldAndAnyMayRefuse(t *testing.T) {
	t.Parallel()
	e := start(t, "rate_limits: {hourly: {rate: 3/h}, key: {rate: 2/h, key: \"header:X-Key\"}}\n"+
		site(echo(t), "      - {path: /, upstream: app, rate_limit: [hourly, key]}"))
	client := e.client(true)
	for i, c := range []struct {
		key, limit, remaining string
		status                int
	}{
		{"a", "2", "1", http.StatusOK},
		{"a", "2", "0", http.StatusOK},
		{"b", "3", "0", http.StatusOK},
		{"b", "3", "0", http.StatusTooManyRequests}, // the address has no more, the key has
	} {
		got := do(t, client, http.MethodGet, "https://localhost/", http.Header{"X-Key": {c.key}}, "")
		if got.StatusCode != c.status || got.Header.Get("Ratelimit-Limit") != c.limit || got.Header.Get("Ratelimit-Remaining") != c.remaining {
			t.Errorf("request %d: %d %v", i+1, got.StatusCode, got.Header)
		}
	}
	if text := e.metrics(); !strings.Contains(text, `portico_edge_ratelimited_total{limit="hourly"} 1`) {
		t.Error("the refused are not counted under the limit that refused")
	}
}

func TestALimitTellsClientsApartByWhatTheySend(t *testing.T) {
	t.Parallel()
	e := start(t, "rate_limits: {header: {rate: 1/h, key: \"header:X-Api-Key\"}, cookie: {rate: 1/h, key: \"cookie:sid\"}}\ntrusted_proxies: [127.0.0.1]\n"+
		site(echo(t), "      - {path: /header, upstream: app, rate_limit: header}\n      - {path: /cookie, upstream: app, rate_limit: cookie}"))
	client := e.client(true)
	for i, c := range []struct {
		path, address, name, value string
		status                     int
	}{
		{"/header", "203.0.113.1", "X-Api-Key", "one", http.StatusOK},
		{"/header", "203.0.113.2", "X-Api-Key", "one", http.StatusTooManyRequests}, // wherever it comes from
		{"/header", "203.0.113.1", "X-Api-Key", "two", http.StatusOK},
		{"/header", "203.0.113.1", "X-Api-Key", "203.0.113.9", http.StatusOK},
		{"/header", "203.0.113.9", "X-Other", "", http.StatusOK}, // nobody counts in the name of another's address
		{"/header", "203.0.113.9", "X-Api-Key", "", http.StatusTooManyRequests},
		{"/header", "203.0.113.3", "X-Api-Key", strings.Repeat("x", 4000), http.StatusOK},
		{"/header", "203.0.113.3", "X-Api-Key", strings.Repeat("x", 4000), http.StatusTooManyRequests},
		{"/cookie", "203.0.113.1", "Cookie", "a=b; sid=one; c=d", http.StatusOK},
		{"/cookie", "203.0.113.2", "Cookie", "sid=one", http.StatusTooManyRequests},
		{"/cookie", "203.0.113.2", "Cookie", "SID=one", http.StatusOK}, // another cookie: the address counts
		{"/cookie", "203.0.113.2", "Cookie", "xsid=one; sid=", http.StatusTooManyRequests},
	} {
		header := from(c.address)
		header.Set(c.name, c.value)
		if got := do(t, client, http.MethodGet, "https://localhost"+c.path, header, ""); got.StatusCode != c.status {
			t.Errorf("request %d: %d, want %d", i+1, got.StatusCode, c.status)
		}
	}
}

func TestASitesLimitHoldsForRoutesWithoutOneOfTheirOwn(t *testing.T) {
	t.Parallel()
	app := echo(t)
	e := start(t, "rate_limits: {a: {rate: 7/h}, b: {rate: 9/h}}\n"+site(app, `      - {path: /, upstream: app}
      - {path: /own, upstream: app, rate_limit: b}
      - {path: /none, upstream: app, rate_limit: []}
      - {path: /open, upstream: app, open: true}
      - {path: /open/own, upstream: app, open: true, rate_limit: b}
    rate_limit: a`))
	client := e.client(true)
	for path, want := range map[string]string{"/": "7", "/own": "9", "/none": "", "/open": "", "/open/own": "9"} {
		if got := do(t, client, http.MethodGet, "https://localhost"+path, nil, ""); got.Header.Get("Ratelimit-Limit") != want {
			t.Errorf("%s: %q, want %q", path, got.Header.Get("Ratelimit-Limit"), want)
		}
	}
}
