package proxy_test

import (
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	_ "unsafe" // for the go:linkname below

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
	"golang.org/x/crypto/ocsp"
)

// certmagicRetries are the pauses before an attempt to get a certificate is repeated, a minute and more: too long for tests,
// which make them short before they begin.
//
//go:linkname certmagicRetries github.com/caddyserver/certmagic.retryIntervals
var certmagicRetries []time.Duration

// acmeFaults are what Pebble reads from the environment: it rejects a fifth of all nonces, and does not wait before it validates.
var acmeFaults = map[string]string{"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "20"}

// acmeServer is Pebble in this process. It answers once the ports that it proves control of are known.
type acmeServer struct {
	directory string
	rootsFile string
	roots     *x509.CertPool // of the certificates that it issues
	store     *db.MemoryStore
	calls     atomic.Int32 // of any kind, answered or not
	orders    atomic.Int32 // that were begun
	down      atomic.Bool  // answers 503 to everything
	open      func(httpPort, tlsPort int)
}

// acmeSettings vary an acmeServer.
type acmeSettings struct {
	resolver string        // of the names that it validates; "": every name is this machine
	failures int32         // of that resolver, before it answers
	validity time.Duration // of its certificates; 0: 90 days
	binding  bool          // accounts need an external account binding
	ocsp     bool          // certificates name a responder, which says that they are good
}

func newACMEServer(t *testing.T, settings acmeSettings) *acmeServer {
	t.Helper()
	if settings.resolver == "" {
		settings.resolver = nameServer(t, settings.failures)
	}
	s := &acmeServer{store: db.NewMemoryStore(), rootsFile: filepath.Join(t.TempDir(), "acme.pem"), roots: x509.NewCertPool()}
	opened := make(chan struct{})
	var handler http.Handler
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		if s.down.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		select {
		case <-opened:
			counted := &statusWriter{ResponseWriter: w}
			handler.ServeHTTP(counted, r)
			if counted.status == http.StatusCreated && strings.Contains(r.URL.Path, "order-plz") {
				s.orders.Add(1)
			}
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	s.directory = server.URL + wfe.DirectoryPath
	write(t, s.rootsFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	silent := log.New(io.Discard, "", 0)
	responder, algorithm := "", "ecdsa"
	var authority *ca.CAImpl
	if settings.ocsp {
		responder = "http://" + serve(t, func(w http.ResponseWriter, r *http.Request) { respond(authority, w, r) })
		algorithm = "rsa" // the only keys that Pebble hands out
	}
	authority = ca.New(silent, s.store, responder, algorithm, 0, 1, map[string]ca.Profile{"default": {ValidityPeriod: uint64(settings.validity / time.Second)}})
	s.roots.AddCert(authority.GetRootCert(0).Cert)
	s.open = func(httpPort, tlsPort int) {
		validation := va.New(silent, httpPort, tlsPort, false, settings.resolver, s.store)
		front := wfe.New(silent, s.store, validation, authority, []string{"ca.example"}, false, settings.binding, 0, 0)
		handler = front.Handler()
		close(opened)
	}
	return s
}

// respond answers a question by OCSP (RFC 6960): good.
func respond(authority *ca.CAImpl, w http.ResponseWriter, r *http.Request) {
	asked, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	request, err := ocsp.ParseRequest(asked)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	issuer := authority.GetIntermediateCert(0).Cert
	answer, err := ocsp.CreateResponse(issuer, issuer, ocsp.Response{
		Status: ocsp.Good, SerialNumber: request.SerialNumber, ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(24 * time.Hour),
	}, authority.GetIntermediateKey(0))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/ocsp-response")
	_, _ = w.Write(answer)
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// nameServer answers that every name is this machine, after it failed so often.
func nameServer(t *testing.T, failures int32) (address string) {
	t.Helper()
	var asked atomic.Int32
	started := make(chan struct{})
	server := &dns.Server{Addr: "127.0.0.1:0", Net: "tcp", NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, query *dns.Msg) {
		reply := new(dns.Msg).SetReply(query)
		if asked.Add(1) <= failures {
			reply.Rcode = dns.RcodeServerFailure
		} else if question := query.Question[0]; question.Qtype == dns.TypeA {
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
