package proxy_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serveTLS is an upstream of https with this certificate, which wants one of its clients if clients is set; it tells the name
// that it was asked for and who asks, and each probe that comes.
func serveTLS(t *testing.T, folder, name string, clients *tls.Config) (address string, probes chan struct{}) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(folder, name+".pem"), filepath.Join(folder, name+".key"))
	if err != nil {
		t.Fatal(err)
	}
	probes = make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.UserAgent() == "portico-probe" {
			select {
			case probes <- struct{}{}:
			case <-r.Context().Done():
			}
		}
		who := "nobody"
		if len(r.TLS.PeerCertificates) > 0 {
			who = r.TLS.PeerCertificates[0].DNSNames[0]
		}
		fmt.Fprintf(w, "%s asked by %s over %s", r.TLS.ServerName, who, r.Proto)
	}))
	server.TLS = clients
	if server.TLS == nil {
		server.TLS = &tls.Config{}
	}
	server.TLS.Certificates = []tls.Certificate{pair}
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "https://"), probes
}

func TestATargetOfTLSMustProveTheNameThatIsConfigured(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	certificate(t, folder, "app", "app.internal")
	roots := certificate(t, folder, "edge", "edge.internal")
	open, _ := serveTLS(t, folder, "app", nil)
	closed, _ := serveTLS(t, folder, "app", &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots})
	ca := "ca: " + folder + "/app.pem"
	for name, c := range map[string]struct{ target, tls, want string }{
		"believed by its root": {open, "server_name: app.internal, " + ca, "app.internal asked by nobody over HTTP/2.0"},
		"another root":         {open, "server_name: app.internal, ca: " + folder + "/edge.pem", ""},
		"the system's roots":   {open, "server_name: app.internal", ""},
		"another name":         {open, "server_name: other.internal, " + ca, ""},
		"its address":          {open, ca, ""},
		"anybody":              {open, "insecure_skip_verify: true", " asked by nobody over HTTP/2.0"},
		"the edge proves itself": {closed, "server_name: app.internal, " + ca + ", cert: " + folder + "/edge.pem, key: " + folder + "/edge.key",
			"app.internal asked by edge.internal over HTTP/2.0"},
		"the edge does not": {closed, "server_name: app.internal, " + ca, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t, several("tls: {"+c.tls+"}", "https://"+c.target))
			for _, method := range []string{"GET", "POST"} {
				got := do(t, e.client(true), method, "https://localhost/", nil, "")
				if c.want == "" && got.StatusCode != http.StatusBadGateway || c.want != "" && got.body != c.want {
					t.Errorf("%s: %d %s", method, got.StatusCode, got.body)
				}
			}
		})
	}
}

func TestProbesBelieveWhomRequestsBelieve(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	certificate(t, folder, "app", "app.internal")
	roots := certificate(t, folder, "edge", "edge.internal")
	target, probes := serveTLS(t, folder, "app", &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots})
	both := "server_name: app.internal, ca: " + folder + "/app.pem, cert: " + folder + "/edge.pem, key: " + folder + "/edge.key"
	e := start(t, several("health: {interval: 50ms, timeout: 60s}, tls: {"+both+"}", "https://"+target))
	for range 3 { // of each but the last it is known how it ended
		select {
		case <-probes:
		case <-time.After(30 * time.Second):
			t.Fatal("no probe comes through")
		}
	}
	if got := e.get("https://localhost/"); got.StatusCode != http.StatusOK {
		t.Errorf("%d", got.StatusCode)
	}
	if strings.Contains(e.log.String(), "unhealthy") {
		t.Error("the probes do not pass")
	}
}

func TestACertificateThatChangedIsTakenOverByAReload(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	certificate(t, folder, "app", "app.internal")
	target, _ := serveTLS(t, folder, "app", nil)
	certificate(t, folder, "app", "app.internal") // the server has the one before
	e := start(t, several("tls: {server_name: app.internal, ca: "+folder+"/app.pem}", "https://"+target))
	if got := e.get("https://localhost/"); got.StatusCode != http.StatusBadGateway {
		t.Fatalf("by another root: %d", got.StatusCode)
	}
	certificate(t, folder, "app", "app.internal")
	if err := e.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, _ := serveTLS(t, folder, "app", nil)
	write(t, e.config, several("tls: {server_name: app.internal, ca: "+folder+"/app.pem}", "https://"+again))
	if err := e.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := e.get("https://localhost/"); got.StatusCode != http.StatusOK {
		t.Errorf("by the new root: %d", got.StatusCode)
	}
}
