package proxy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/portico-web/portico/proxy/guard"
)

func TestTheUpstreamLearnsWhoAsksAndHow(t *testing.T) {
	t.Parallel()
	e := start(t, site(echo(t), `      - {path: /, upstream: app}`))
	got := e.get("https://localhost/x")
	sent := got.seen(t).Header
	for name, want := range map[string]string{
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "localhost", "X-Real-Ip": "127.0.0.1",
		"X-Request-Id": got.Header.Get("X-Request-Id"),
	} {
		if sent.Get(name) != want || want == "" || len(sent[name]) != 1 {
			t.Errorf("%s: %q, want %q", name, sent[name], want)
		}
	}
	if !guard.TraceparentValid(sent.Get("Traceparent")) {
		t.Errorf("traceparent: %q", sent.Get("Traceparent"))
	}
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	kept := do(t, e.client(false), http.MethodGet, "https://localhost/", http.Header{"Traceparent": {trace}, "Tracestate": {"a=b"}}, "").seen(t).Header
	if kept.Get("Traceparent") != trace || kept.Get("Tracestate") != "a=b" {
		t.Errorf("a client's trace is not continued: %v", kept)
	}
	broken := do(t, e.client(false), http.MethodGet, "https://localhost/", http.Header{"Traceparent": {"00-x"}, "Tracestate": {"a=b"}}, "").seen(t).Header
	if !guard.TraceparentValid(broken.Get("Traceparent")) || broken.Get("Tracestate") != "" {
		t.Errorf("a broken trace is handed on: %v", broken)
	}
}

// forged are fields by which a client would say that it is somebody else.
const forged = "X-Forwarded-For: 203.0.113.9\r\nx-forwarded-for: 203.0.113.8\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: evil.example\r\n" +
	"X-Forwarded-Prefix: /evil\r\nX-Forwarded-Port: 1\r\nX-Real-IP: 203.0.113.9\r\nForwarded: for=203.0.113.9\r\n" +
	"X-Request-ID: forged\r\nX_Forwarded_For: 203.0.113.9\r\nX_Auth_User: admin\r\nTrue-Client-IP: 203.0.113.9\r\nProxy: http://evil\r\n"

func TestAnUntrustedPeerCannotSpeakForOthers(t *testing.T) {
	t.Parallel()
	e := start(t, site(echo(t), `      - {path: /, upstream: app}`))
	answer := e.raw("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + forged + "\r\n")
	for _, word := range []string{"203.0.113", "evil", "forged", "admin"} {
		if strings.Contains(answer, word) {
			t.Errorf("%q gets through:\n%s", word, answer)
		}
	}
	if !strings.Contains(answer, `"X-Forwarded-For":["127.0.0.1"]`) {
		t.Errorf("the upstream is not told the client:\n%s", answer)
	}
}

func TestATrustedPeerSpeaksForItsClients(t *testing.T) {
	t.Parallel()
	e := start(t, "trusted_proxies: [127.0.0.1]\n"+site(echo(t), `      - {path: /, upstream: app}`))
	sent := do(t, e.client(false), http.MethodGet, "https://localhost/", http.Header{
		"X-Forwarded-For": {"1.2.3.4, 203.0.113.9"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"public.example"},
		"X-Request-Id": {"from-the-balancer"}, "Forwarded": {"for=1.2.3.4"},
	}, "").seen(t).Header
	for name, want := range map[string]string{
		"X-Forwarded-For": "1.2.3.4, 203.0.113.9, 127.0.0.1", "X-Real-Ip": "203.0.113.9", "X-Forwarded-Host": "public.example",
		"X-Request-Id": "from-the-balancer", "Forwarded": "", "X-Forwarded-Proto": "https",
	} {
		if sent.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, sent.Get(name), want)
		}
	}
	twice := do(t, e.client(false), http.MethodGet, "https://localhost/", http.Header{"X-Forwarded-Host": {"evil.example", "evil.example, public.example"}}, "").seen(t).Header
	if values := twice["X-Forwarded-Host"]; len(values) != 1 || values[0] != "public.example" {
		t.Errorf("of what the balancer's client wrote passes %q", values)
	}
	// A balancer that ended TLS speaks plain HTTP to us; its clients are not to be redirected.
	plain := do(t, e.client(false), http.MethodGet, "http://localhost/", http.Header{"X-Forwarded-Proto": {"https"}, "X-Request-Id": {"bad id"}}, "")
	if sent := plain.seen(t).Header; sent.Get("X-Forwarded-Proto") != "https" || sent.Get("X-Request-Id") == "bad id" {
		t.Errorf("%v", sent)
	}
}

// A balancer hands on what its client wrote into fields that it does not know.
func TestATrustedPeerIsBelievedNoMoreThanIsSaid(t *testing.T) {
	t.Parallel()
	e := start(t, "trusted_proxies: [127.0.0.1]\n"+site(echo(t), `      - {path: /, upstream: app, underscore_fields: true, request_headers: {set: {X-Forwarded-Port: "443"}}}`))
	header := http.Header{"X-Forwarded-For": {"203.0.113.9"}, "X-Forwarded-Proto": {"https"}}
	for _, name := range []string{
		"X-Forwarded-Prefix", "X-Forwarded-Port", "X-Forwarded-User", "X-Forwarded-Server", "X-Original-Url", "X-Rewrite-Url", "X-Original-Host",
		"True-Client-Ip", "Cf-Connecting-Ip", "X-Client-Ip", "X-Real-Ip", "Forwarded", "X.Forwarded.For", "X_Forwarded_For", "X-Forwarded_Host",
	} {
		header[name] = []string{"forged"}
	}
	sent := do(t, e.client(false), http.MethodGet, "https://localhost/", header, "").seen(t).Header
	for name, values := range sent {
		if strings.Contains(strings.Join(values, ""), "forged") {
			t.Errorf("%s of a balancer's client reaches the upstream", name)
		}
	}
	if sent.Get("X-Real-Ip") != "203.0.113.9" || sent.Get("X-Forwarded-Port") != "443" {
		t.Errorf("the upstream is told %v", sent)
	}
}

func TestAClientCannotNameFieldsAwayOrChangeTheProtocol(t *testing.T) {
	t.Parallel()
	e := start(t, site(echo(t), `      - {path: /, upstream: app}`))
	answer := e.raw("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close, X-Forwarded-For, X-Real-IP, X-Request-ID, X-Forwarded-Proto\r\n\r\n")
	for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "X-Request-Id", "X-Forwarded-Proto"} {
		if !strings.Contains(answer, `"`+name+`":`) {
			t.Errorf("%s was named away:\n%s", name, answer)
		}
	}
	answer = e.raw("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n")
	if !strings.HasPrefix(answer, "HTTP/1.1 200") || strings.Contains(answer, `"Upgrade"`) || strings.Contains(answer, `"Http2-Settings"`) {
		t.Errorf("h2c:\n%s", answer)
	}
}

func TestDangerousRequestsAreRefused(t *testing.T) {
	t.Parallel()
	e := start(t, site(echo(t), `      - {path: /, upstream: app}`))
	for request, status := range map[string]string{
		"TRACE / HTTP/1.1\r\nHost: localhost\r\n":                                         "501",
		"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost\r\n":                           "501",
		"GET /%00 HTTP/1.1\r\nHost: localhost\r\n":                                        "400",
		"GET / HTTP/1.1\r\nHost: local host\r\n":                                          "400",
		"GET / HTTP/1.1\r\nHost: localhost\r\nHost: other\r\n":                            "400",
		"GET /\x01 HTTP/1.1\r\nHost: localhost\r\n":                                       "400",
		"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 80<<10) + "\r\n": "431",
	} {
		answer := e.raw(request + "Connection: close\r\n\r\n")
		if !strings.HasPrefix(answer, "HTTP/1.1 "+status) {
			t.Errorf("%.60q: %.200s", request, answer)
		}
	}
}

func TestOnePathIsMatchedAndForwarded(t *testing.T) {
	t.Parallel()
	public, private := echo(t), echo(t)
	e := start(t, "upstreams: {public: {targets: [\""+public+"\"]}, private: {targets: [\""+private+"\"], balance: least_conn}}\n"+
		"sites: [{hosts: [localhost], routes: [{path: /, upstream: public}, {path: /admin/, upstream: private, strip_prefix: true}]}]")
	for path, want := range map[string]string{
		"/x/../admin/a": "/a", "/x/%2e%2e/admin/a": "/a", "/./admin/a": "/a", "/%61dmin/a": "/a", "/admin/../x": "/x", "/x%2f..%2fy/a": "/x%2F..%2Fy/a",
		"/x%2F..%2Fy/a|": "/x%2F..%2Fy/a%7C", "/admin/x%2F..%2Fy": "/x%2F..%2Fy",
	} {
		answer := e.raw("GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		if !strings.Contains(answer, `"URI":"`+want+`"`) {
			t.Errorf("%s: %s", path, answer)
		}
	}
}

func TestAQueryStaysWithinTheRequestLine(t *testing.T) {
	t.Parallel()
	e := start(t, site(echo(t), `      - {path: /, upstream: app}`))
	for name, client := range map[string]*http.Client{"2": e.client(true), "3": {Transport: e.http3()}} {
		if got := do(t, client, http.MethodGet, "https://localhost/x?a b HTTP/1.1", nil, ""); got.StatusCode != http.StatusBadRequest {
			t.Errorf("HTTP/%s: %d %s", name, got.StatusCode, got.body)
		}
		if sent := do(t, client, http.MethodGet, "https://localhost/x?a<b", nil, "").seen(t); sent.URI != "/x?a%3Cb" {
			t.Errorf("HTTP/%s: the upstream saw %s", name, sent.URI)
		}
	}
}

func TestTheEdgesAnswersAreReadable(t *testing.T) {
	t.Parallel()
	e := start(t, site("127.0.0.1:1", `      - {path: /, upstream: app}`))
	for name, c := range map[string]struct {
		header http.Header
		kind   string
		says   string
	}{
		"a program": {nil, "application/json", `{"detail":"The service did not answer. Please try again in a moment."}`},
		"a browser": {http.Header{"Accept": {"text/html,application/xhtml+xml,*/*;q=0.8"}}, "text/html; charset=utf-8", "<h1>502</h1>"},
		"a Korean browser": {http.Header{"Accept": {"text/html"}, "Accept-Language": {"ko-KR,ko;q=0.9"}},
			"text/html; charset=utf-8", "서비스가 응답하지 않습니다."},
	} {
		got := do(t, e.client(true), http.MethodGet, "https://localhost/", c.header, "")
		if got.StatusCode != http.StatusBadGateway || got.Header.Get("Content-Type") != c.kind || !strings.Contains(got.body, c.says) || got.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s: %d %v\n%s", name, got.StatusCode, got.Header, got.body)
		}
		if strings.Contains(got.body, "127.0.0.1") {
			t.Errorf("%s learns the upstream's address:\n%s", name, got.body)
		}
	}
}

func TestTheLogTellsTheRequestWithoutItsQuery(t *testing.T) {
	t.Parallel()
	e := start(t, site(echo(t), `      - {path: /api/, upstream: app}`))
	got := e.get("https://localhost/api/x?token=hunter2")
	if err := e.stop(); err != nil {
		t.Fatal(err)
	}
	log := e.log.String()
	for _, want := range []string{
		`"msg":"request","method":"GET","host":"localhost","path":"/api/x","proto":"HTTP/1.1","status":200,`, `"client":"127.0.0.1"`,
		`"route":"localhost/api/"`, `"request_id":"` + got.Header.Get("X-Request-Id") + `"`, `"trace_id":"`, `"duration_ms":`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("no %s in\n%s", want, log)
		}
	}
	if strings.Contains(log, "hunter2") {
		t.Errorf("the query is logged:\n%s", log)
	}
}

func TestMetricsCountByRouteAndNothingAClientChooses(t *testing.T) {
	t.Parallel()
	e := start(t, site(echo(t), `      - {path: /api/, upstream: app}`))
	e.get("https://localhost/api/made-up")
	e.get("https://localhost/nothing-here")
	do(t, e.client(false), "MADEUP", "https://localhost/", http.Header{"Host": {"made-up.example"}}, "")
	for _, want := range []string{
		`portico_edge_requests_total{class="2xx",route="/api/",site="localhost"} 1`,
		`portico_edge_requests_total{class="4xx",route="-",site="-"} 2`,
		`portico_edge_request_duration_seconds_count{route="/api/",site="localhost"} 1`,
		`portico_edge_upstream_healthy{target="http://127.0.0.1:`,
		`portico_edge_certificate_expiry_timestamp_seconds{name="localhost"} `,
		`portico_config_last_reload_success 1`,
	} { // a request is counted when its answer has left, so that a client may come first
		eventually(t, want, func() bool { return strings.Contains(e.metrics(), want) })
	}
	text := e.metrics()
	if strings.Contains(text, "made-up") || strings.Contains(text, "MADEUP") {
		t.Error("a client makes series")
	}
}
