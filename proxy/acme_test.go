package proxy_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"

	"github.com/portico-web/portico/internal/health"
	"github.com/portico-web/portico/proxy/config"
)

// acmeServer is Pebble in this process. It answers once the ports that it proves control of are known.
type acmeServer struct {
	directory string
	rootsFile string
	roots     *x509.CertPool // of the certificates that it issues
	open      func(httpPort, tlsPort int)
}

func newACMEServer(t *testing.T) *acmeServer {
	t.Helper()
	resolver := nameServer(t)
	opened := make(chan struct{})
	var handler http.Handler
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-opened:
			handler.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	s := &acmeServer{directory: server.URL + wfe.DirectoryPath, rootsFile: filepath.Join(t.TempDir(), "acme.pem")}
	write(t, s.rootsFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	silent := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	authority := ca.New(silent, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {ValidityPeriod: 0}})
	s.roots = x509.NewCertPool()
	s.roots.AddCert(authority.GetRootCert(0).Cert)
	s.open = func(httpPort, tlsPort int) {
		front := wfe.New(silent, store, va.New(silent, httpPort, tlsPort, false, resolver, store), authority, []string{"ca.example"}, false, false, 0, 0)
		handler = front.Handler()
		close(opened)
	}
	return s
}

// nameServer answers that every name is this machine.
func nameServer(t *testing.T) (address string) {
	t.Helper()
	started := make(chan struct{})
	server := &dns.Server{Addr: "127.0.0.1:0", Net: "tcp", NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, query *dns.Msg) {
		reply := new(dns.Msg).SetReply(query)
		if question := query.Question[0]; question.Qtype == dns.TypeA {
			record, _ := dns.NewRR(question.Name + " 60 IN A 127.0.0.1")
			reply.Answer = append(reply.Answer, record)
		}
		_ = w.WriteMsg(reply)
	})}
	ended := make(chan error, 1)
	go func() { ended <- server.ListenAndServe() }()
	select {
	case <-started:
	case err := <-ended:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Shutdown()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return server.Listener.Addr().String()
}

func TestCertificatesComeByACMEAndAreKept(t *testing.T) {
	t.Parallel()
	// The domains differ: certmagic keeps the challenges of a process in one place, by name.
	for challenge, domain := range map[string]string{"http-01": "one.example", "tls-alpn-01": "two.example"} {
		t.Run(challenge, func(t *testing.T) {
			t.Parallel()
			server := newACMEServer(t)
			data := t.TempDir()
			file := filepath.Join(data, "proxy.yaml")
			listen := "listen: {https: \"127.0.0.1:0\"}\n"
			if challenge == "http-01" {
				listen = "listen: {http: \"127.0.0.1:0\", https: \"127.0.0.1:0\"}\n"
			}
			write(t, file, listen+fmt.Sprintf("tls: {issuer: acme, email: ops@example.com, directory: %q, directory_ca: %q}\n", server.directory, server.rootsFile)+
				"upstreams: {app: {targets: [\""+named(t, "app")+"\"]}}\n"+
				"sites: [{hosts: ["+domain+", \"*."+domain+"\"], redirect_from: [www."+domain+"], routes: [{path: /, upstream: app}]}]")
			run := func() *edge {
				e := &edge{t: t, data: data, config: file, log: &buffer{}}
				cfg, err := config.Load(file, noVariables)
				if err != nil {
					t.Fatal(err)
				}
				set := options(t, e)
				set.HTTP, set.HTTPS, set.Checks = "", "", &health.Checks{}
				return launch(t, e, cfg, set)
			}
			e := run()
			if challenge == "http-01" {
				server.open(e.Addrs().HTTP.Port, 1)
			} else {
				server.open(1, e.Addrs().HTTPS.Port)
			}
			for _, host := range []string{domain, "www." + domain} {
				eventually(t, "the certificate for "+host, func() bool { return e.verifies(host, server.roots) })
			}
			if e.verifies("other."+domain, server.roots) {
				t.Error("a name under the wildcard has a certificate that nobody could prove")
			}
			if _, err := os.Stat(filepath.Join(data, "ca")); err == nil {
				t.Error("a local CA was made too")
			}
			if err := e.stop(); err != nil {
				t.Fatal(err)
			}
			if again := run(); !again.verifies(domain, server.roots) {
				t.Error("after a restart the certificate is not there at once")
			}
		})
	}
}
