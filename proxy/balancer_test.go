package proxy_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// relay opens a connection to the edge as a load balancer does: header first, then TLS if secure, then one request.
func (e *edge) relay(secure bool, header, request string) (answer string, err error) {
	e.t.Helper()
	address := e.Addrs().HTTP
	if secure {
		address = e.Addrs().HTTPS
	}
	connection, err := net.Dial("tcp", address.String())
	if err != nil {
		return "", err
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(connection, header); err != nil {
		return "", err
	}
	if secure {
		connection = tls.Client(connection, &tls.Config{RootCAs: e.roots(), ServerName: "localhost"})
	}
	if _, err := io.WriteString(connection, request); err != nil {
		return "", err
	}
	content, err := io.ReadAll(connection)
	return string(content), err
}

const (
	relayedV1   = "PROXY TCP4 203.0.113.7 198.51.100.1 35646 443\r\n"
	relayedV2   = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x13\xcb\x00\x71\x07\xc6\x33\x64\x01\x8b\x3e\x01\xbb\x03\x00\x04\xa9\xb8\x7e\x8f"
	localV2     = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
	askedOnce   = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
	askedForged = askedOnce + "X-Forwarded-For: 192.0.2.99\r\nX-Forwarded-Proto: https\r\n"
)

func TestTheProxyProtocolTellsTheClient(t *testing.T) {
	t.Parallel()
	e := start(t, "trusted_proxies: [127.0.0.0/8]\n"+strings.Replace(site(echo(t), `      - {path: /, upstream: app}`), "listen: {", "listen: {proxy_protocol: true, ", 1))
	for name, c := range map[string]struct{ header, chain string }{
		"v1":           {relayedV1, "203.0.113.7"},
		"v2 with TLVs": {relayedV2, "203.0.113.7"},
		"v1, unknown":  {"PROXY UNKNOWN\r\n", "0.0.0.0"},
		"v2, local":    {localV2, "192.0.2.99, 127.0.0.1"}, // the balancer itself, which is believed
		"v1, trusted":  {"PROXY TCP4 127.0.0.9 127.0.0.1 1 1\r\n", "192.0.2.99, 127.0.0.9"},
	} {
		answer, err := e.relay(true, c.header, askedForged+"\r\n")
		if err != nil || !strings.Contains(answer, `"X-Forwarded-For":["`+c.chain+`"]`) {
			t.Errorf("%s: %v in %s", name, err, answer)
		}
	}
	plain, err := e.relay(false, relayedV2, askedForged+"\r\n")
	if err != nil || !strings.HasPrefix(plain, "HTTP/1.1 308") {
		t.Errorf("a client that the balancer names is believed to have come by HTTPS: %v, %s", err, plain)
	}
	if err := e.stop(); err != nil {
		t.Fatal(err)
	}
	if log := e.log.String(); strings.Count(log, `"client":"203.0.113.7"`) != 3 || strings.Count(log, `"client":"0.0.0.0"`) != 1 {
		t.Errorf("the log has other clients:\n%s", log)
	}
}

func TestABalancerThatSendsNoProxyHeaderIsRefused(t *testing.T) {
	t.Parallel()
	e := start(t, strings.Replace(site(echo(t), `      - {path: /, upstream: app}`), "listen: {", "listen: {proxy_protocol: [127.0.0.1], ", 1))
	for name, header := range map[string]string{
		"none":       "",
		"malformed":  strings.Replace(relayedV1, "TCP4", "TCP5", 1),
		"bent":       strings.Replace(relayedV2, "\x21\x11", "\x31\x11", 1),
		"twice":      relayedV1 + relayedV1,
		"v2, ends":   relayedV2[:20],
		"after that": askedOnce + "\r\n" + relayedV1,
	} {
		for _, secure := range []bool{false, true} {
			answer, err := e.relay(secure, header, askedOnce+"\r\n")
			if strings.HasPrefix(answer, "HTTP/1.1 200") || strings.HasPrefix(answer, "HTTP/1.1 308") {
				t.Errorf("%s, secure %t: %v, %s", name, secure, err, answer)
			}
		}
	}
	if log := e.log.String(); strings.Count(log, "connection refused") != 1 {
		t.Errorf("it is told each time, or never:\n%s", log)
	}
}

func TestAProxyHeaderOfSomebodyElseIsNotRead(t *testing.T) {
	t.Parallel()
	e := start(t, strings.Replace(site(echo(t), `      - {path: /, upstream: app}`), "listen: {", "listen: {proxy_protocol: [192.0.2.0/24], ", 1))
	if answer, err := e.relay(false, relayedV1, askedOnce+"\r\n"); !strings.HasPrefix(answer, "HTTP/1.1 400") {
		t.Errorf("plain: %v, %s", err, answer)
	}
	if answer, err := e.relay(true, relayedV2, askedOnce+"\r\n"); err == nil {
		t.Errorf("secure: %s", answer)
	}
	if answer, err := e.relay(true, "", askedOnce+"\r\n"); err != nil || !strings.Contains(answer, `"X-Forwarded-For":["127.0.0.1"]`) {
		t.Errorf("without: %v, %s", err, answer)
	}
}

func TestAReloadTakesOverWhoSendsProxyHeaders(t *testing.T) {
	t.Parallel()
	before := site(echo(t), `      - {path: /, upstream: app}`)
	e := start(t, before)
	write(t, e.config, strings.Replace(before, "listen: {", "listen: {proxy_protocol: [127.0.0.1], ", 1))
	if err := e.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if answer, err := e.relay(true, relayedV1, askedOnce+"\r\n"); err != nil || !strings.Contains(answer, "203.0.113.7") {
		t.Errorf("%v, %s", err, answer)
	}
}

// A balancer that ended TLS speaks plain HTTP to the edge, and says how its client came.
func TestWhoComesByHTTPSToABalancerIsNotRedirected(t *testing.T) {
	t.Parallel()
	sites := strings.Replace(site(echo(t), `      - {path: /, upstream: app}`), "hosts: [localhost", "redirect_from: [www.localhost]\n    hosts: [localhost", 1)
	trusting, other := start(t, "trusted_proxies: [127.0.0.1]\n"+sites), start(t, sites)
	_, own, _ := net.SplitHostPort(other.Addrs().HTTPS.String())
	for name, c := range map[string]struct {
		e        *edge
		url      string
		proto    []string
		status   int
		location string
		seen     string
	}{
		"https":                    {e: trusting, url: "http://localhost/x", proto: []string{"https"}, status: 200, seen: "https"},
		"HTTPS":                    {e: trusting, url: "http://localhost/x", proto: []string{" HTTPS "}, status: 200, seen: "https"},
		"a WebSocket's":            {e: trusting, url: "http://localhost/x", proto: []string{"wss"}, status: 200, seen: "https"},
		"the balancer's word last": {e: trusting, url: "http://localhost/x", proto: []string{"http, https"}, status: 200, seen: "https"},
		"the client's word first":  {e: trusting, url: "http://localhost/x", proto: []string{"https", "http"}, status: 308, location: "https://localhost/x"},
		"http":                     {e: trusting, url: "http://localhost/x?a=b", proto: []string{"http"}, status: 308, location: "https://localhost/x?a=b"},
		"http, TLS to the edge":    {e: trusting, url: "https://localhost/x", proto: []string{"http"}, status: 308, location: "https://localhost/x"},
		"nothing":                  {e: trusting, url: "http://localhost/x", status: 308, location: "https://localhost/x"},
		"nonsense":                 {e: trusting, url: "http://localhost/x", proto: []string{"gopher"}, status: 308, location: "https://localhost/x"},
		"another host":             {e: trusting, url: "http://www.localhost/x", proto: []string{"https"}, status: 308, location: "https://localhost/x"},
		"nobody's word":            {e: other, url: "http://localhost/x", proto: []string{"https"}, status: 308, location: "https://localhost:" + own + "/x"},
	} {
		got := do(t, c.e.client(false), http.MethodGet, c.url, http.Header{"X-Forwarded-Proto": c.proto, "X-Forwarded-For": {"192.0.2.1"}}, "")
		if got.StatusCode != c.status || got.Header.Get("Location") != c.location {
			t.Errorf("%s: %d to %q", name, got.StatusCode, got.Header.Get("Location"))
		}
		if c.seen != "" && got.seen(t).Header.Get("X-Forwarded-Proto") != c.seen {
			t.Errorf("%s: the upstream sees %v", name, got.seen(t).Header)
		}
	}
}

func TestHTTP3IsNotAnnouncedToABalancersClients(t *testing.T) {
	t.Parallel()
	trusting := start(t, "trusted_proxies: [127.0.0.1]\n"+site(echo(t), `      - {path: /, upstream: app}`))
	other := start(t, site(echo(t), `      - {path: /, upstream: app}`))
	if got := trusting.get("https://localhost/").Header.Get("Alt-Svc"); got != "" {
		t.Errorf("it is: %s", got)
	}
	if other.get("https://localhost/").Header.Get("Alt-Svc") == "" {
		t.Error("it is to nobody")
	}
}

func TestAnybodyMayAskForHealth(t *testing.T) {
	t.Parallel()
	const path = "/.well-known/portico/health"
	e := start(t, "limits: {drain_delay: 3s}\n"+strings.Replace(site(echo(t), `      - {path: /, upstream: app}`), "listen: {", "listen: {health_path: "+path+", ", 1))
	for _, url := range []string{"http://localhost" + path, "http://192.0.2.1" + path, "https://localhost" + path, "http://localhost" + path + "?x"} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			got := do(t, e.client(false), method, url, nil, "")
			if got.StatusCode != http.StatusOK || got.body != "" || got.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s: %d %v %q", method, url, got.StatusCode, got.Header, got.body)
			}
		}
	}
	if answer, err := e.relay(false, "", "GET "+path+" HTTP/1.0\r\nHost: anything\r\n\r\n"); err != nil || !strings.HasPrefix(answer, "HTTP/1.1 200") {
		t.Errorf("HTTP/1.0: %v, %s", err, answer)
	}
	if got := do(t, e.client(false), http.MethodPost, "https://localhost"+path, nil, "x"); got.seen(t).URI != path {
		t.Errorf("POST does not reach the site: %s", got.body)
	}
	client := e.client(true)
	if got := do(t, client, http.MethodGet, "https://localhost"+path, nil, ""); got.StatusCode != http.StatusOK {
		t.Errorf("HTTP/2: %d", got.StatusCode)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- e.stop() }()
	for { // it serves on, and says so: nothing but the delay bounds for how long
		got, err := try(t.Context(), e.client(false), http.MethodGet, "http://localhost"+path, nil, "")
		if err != nil {
			t.Fatalf("connections are refused before the balancer is told: %v", err)
		}
		if got.StatusCode == http.StatusServiceUnavailable {
			break
		}
	}
	if got, err := try(t.Context(), client, http.MethodGet, "https://localhost/", nil, ""); err != nil || got.StatusCode != http.StatusOK {
		t.Errorf("a request that comes meanwhile: %v, %+v", err, got.Response)
	}
	// A kept connection that were closed when the delay is over might have a request on its way.
	if got, err := try(t.Context(), e.client(false), http.MethodPost, "https://localhost/", nil, "x"); err != nil || got.StatusCode != http.StatusOK || !got.Close {
		t.Errorf("a request over HTTP/1.1 that comes meanwhile: %v, %+v; want an answer that ends its connection", err, got.Response)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestWithoutAHealthPathNothingAnswers(t *testing.T) {
	t.Parallel()
	e := start(t, site(echo(t), `      - {path: /, upstream: app}`))
	if got := e.get("https://localhost/.well-known/portico/health"); got.seen(t).URI != "/.well-known/portico/health" {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
}
