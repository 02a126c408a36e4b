package proxy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portico-web/portico/internal/dbtest"
	"github.com/portico-web/portico/internal/health"
	"github.com/portico-web/portico/internal/logging"
	"github.com/portico-web/portico/internal/telemetry"
	"github.com/portico-web/portico/proxy"
	"github.com/portico-web/portico/proxy/config"
)

func TestMain(m *testing.M) {
	if file := os.Getenv(edgeOfTests); file != "" {
		os.Exit(beAnEdge(file))
	}
	for name, value := range acmeFaults {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	for i := range certmagicRetries {
		certmagicRetries[i] = time.Second
	}
	if err := trustOurselves(); err != nil {
		panic(err)
	}
	// certmagic's file locks are kept fresh by a goroutine that sees only seconds later that the lock is gone.
	goleak.VerifyTestMain(dbtest.Suite{M: m}, goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),
		// It keeps one rate limiter for each CA as long as the process lives.
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*RingBufferRateLimiter).loop"),
		goleak.IgnoreAnyFunction("github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks")) // Pebble has no end
}

// edge is a running Proxy on ports of its own, which ends with the test.
type edge struct {
	*proxy.Proxy
	t      testing.TB
	data   string
	config string // the configuration's file
	log    *buffer
	stop   func() error // ends it as SIGTERM does, and waits
}

// start runs an edge of this configuration. Its listen addresses are replaced by free ports.
func start(t testing.TB, yaml string) *edge {
	t.Helper()
	data := t.TempDir()
	file := filepath.Join(data, "proxy.yaml")
	write(t, file, yaml)
	return startFrom(t, file, data)
}

func startFrom(t testing.TB, file, data string) *edge {
	t.Helper()
	e := &edge{t: t, data: data, config: file, log: &buffer{}}
	cfg, err := config.Load(file, noVariables)
	if err != nil {
		t.Fatal(err)
	}
	return launch(t, e, cfg, options(t, e))
}

// launch runs an edge with these options until the test ends.
func launch(t testing.TB, e *edge, cfg *config.Config, set proxy.Options) *edge {
	t.Helper()
	var err error
	if e.Proxy, err = proxy.New(cfg, set); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	e.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := e.stop(); err != nil {
			t.Errorf("the edge ended with: %v", err)
		}
		if t.Failed() {
			t.Logf("the edge's log:\n%s", e.log)
		}
	})
	select {
	case <-e.Ready():
	case err := <-ended:
		e.stop = func() error { return nil }
		t.Fatalf("the edge does not start: %v", err)
	}
	return e
}

func options(t testing.TB, e *edge) proxy.Options {
	t.Helper()
	log, err := logging.New(e.log, "info", "json")
	if err != nil {
		t.Fatal(err)
	}
	return proxy.Options{
		Log: log, Registry: telemetry.NewRegistry("proxy", "test"), Checks: &health.Checks{}, DataDir: e.data,
		ConfigPath: e.config, Lookup: noVariables,
		HTTP: "127.0.0.1:0", HTTPS: "127.0.0.1:0", Internal: "127.0.0.1:0",
	}
}

// buffer is a log that may be read while it is written.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// roots are what a client trusts that was given the edge's root certificate.
func (e *edge) roots() *x509.CertPool {
	e.t.Helper()
	pool := x509.NewCertPool()
	pem, err := os.ReadFile(filepath.Join(e.data, "ca", "root.pem"))
	if err != nil || !pool.AppendCertsFromPEM(pem) {
		e.t.Fatalf("root certificate: %v", err)
	}
	return pool
}

// dial leads every https:// and http:// host to the edge.
func (e *edge) dial(ctx context.Context, network, address string) (net.Conn, error) {
	to := e.Addrs().HTTPS.String()
	if _, port, _ := net.SplitHostPort(address); port == "80" {
		to = e.Addrs().HTTP.String()
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, network, to)
}

// client speaks HTTP/1.1 or HTTP/2 to the edge, whatever the URL's host, and follows no redirects.
func (e *edge) client(http2 bool) *http.Client {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	transport := &http.Transport{
		DialContext: e.dial, TLSClientConfig: &tls.Config{RootCAs: e.roots()}, Protocols: protocols, DisableCompression: true,
	}
	if http2 {
		protocols.SetHTTP1(true)
	}
	e.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// answer is a response read to its end.
type answer struct {
	*http.Response
	body string
}

func do(t testing.TB, client *http.Client, method, url string, header http.Header, body string) answer {
	t.Helper()
	got, err := try(t.Context(), client, method, url, header, body)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func try(ctx context.Context, client *http.Client, method, url string, header http.Header, body string) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	if host := header.Get("Host"); host != "" {
		request.Host = host
	}
	response, err := client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return answer{response, string(content)}, err
}

func (e *edge) get(url string) answer {
	e.t.Helper()
	return do(e.t, e.client(false), http.MethodGet, url, nil, "")
}

// dialTLS opens a connection for HTTP/1.1.
func (e *edge) dialTLS() (net.Conn, error) {
	return tls.Dial("tcp", e.Addrs().HTTPS.String(), &tls.Config{RootCAs: e.roots(), ServerName: "localhost"})
}

// raw sends bytes to the edge's TLS port by HTTP/1.1 and returns everything that comes back.
func (e *edge) raw(request string) string {
	e.t.Helper()
	connection, err := e.dialTLS()
	if err != nil {
		e.t.Fatal(err)
	}
	defer connection.Close()
	if _, err := io.WriteString(connection, request); err != nil {
		e.t.Fatal(err)
	}
	content, err := io.ReadAll(connection)
	if err != nil {
		e.t.Fatal(err)
	}
	return string(content)
}

// report is what /readyz says.
func (e *edge) report() health.Report {
	e.t.Helper()
	got := do(e.t, http.DefaultClient, http.MethodGet, "http://"+e.Addrs().Internal.String()+"/readyz", nil, "")
	http.DefaultClient.CloseIdleConnections()
	var report health.Report
	if err := json.Unmarshal([]byte(got.body), &report); err != nil {
		e.t.Fatalf("%v in %s", err, got.body)
	}
	return report
}

func (e *edge) metrics() string {
	e.t.Helper()
	got := do(e.t, http.DefaultClient, http.MethodGet, "http://"+e.Addrs().Internal.String()+"/metrics", nil, "")
	http.DefaultClient.CloseIdleConnections()
	return got.body
}

// seen is a request as the upstream saw it, which it answers.
type seen struct {
	Method, URI, Host, Proto, Body string
	Header                         http.Header
}

// echo is an upstream that answers with what it sees; its address comes back.
func echo(t *testing.T) string {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_ = json.NewEncoder(w).Encode(seen{r.Method, r.RequestURI, r.Host, r.Proto, string(body), r.Header})
	})
}

func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func (a answer) seen(t *testing.T) seen {
	t.Helper()
	var got seen
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.StatusCode != http.StatusOK {
		t.Fatalf("%d, %v in %s", a.StatusCode, err, a.body)
	}
	return got
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// site is a configuration of one site on localhost and below, with the upstream app.
func site(app, routes string) string {
	return "listen: {http3: true}\nupstreams: {app: {targets: [\"" + app + "\"]}}\nsites:\n  - hosts: [localhost, \"*.localhost\", 127.0.0.1]\n    routes:\n" + routes
}

func noVariables(string) (string, bool) { return "", false }
