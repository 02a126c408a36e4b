package proxy_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-web/portico/internal/health"
	"github.com/portico-web/portico/proxy/control"
)

// acmeEdge runs an edge with one site of this domain, whose certificate comes by tls-alpn-01 with these keys of tls.
func acmeEdge(t *testing.T, domain, keys string) *edge {
	t.Helper()
	data := t.TempDir()
	file := filepath.Join(data, "proxy.yaml")
	write(t, file, "listen: {https: \"127.0.0.1:0\", internal: \"127.0.0.1:0\"}\ntls: {"+keys+"}\n"+
		"sites: [{hosts: ["+domain+"], routes: [{path: /, redirect: {to: /x}}]}]")
	return startACME(t, data, file)
}

// leaf is the certificate that the edge shows to who asks for name, whatever it is worth; nil when there is none.
func (e *edge) leaf(name string) *x509.Certificate {
	connection, err := tls.Dial("tcp", e.Addrs().HTTPS.String(), &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		return nil
	}
	defer connection.Close()
	return connection.ConnectionState().PeerCertificates[0]
}

// certificateOf is what the control socket tells of a name.
func (e *edge) certificateOf(name string) control.Certificate {
	for _, certificate := range e.Status().Certificates {
		if certificate.Name == name {
			return certificate
		}
	}
	return control.Certificate{}
}

func TestACertificateComesWhenTheCAIsBack(t *testing.T) {
	t.Parallel()
	server := newACMEServer(t, acmeSettings{})
	server.down.Store(true)
	e := acmeEdge(t, "four.example", server.keys())
	server.open(1, e.Addrs().HTTPS.Port)
	eventually(t, "the failure", func() bool { return e.certificateOf("four.example").Error != "" })
	told := e.certificateOf("four.example")
	if told.Source != "acme" || !told.Expiry.IsZero() || told.Failed.IsZero() || !strings.Contains(told.Error, "503") || strings.Contains(told.Error, "\n") {
		t.Errorf("%+v", told)
	}
	if report := e.report(); report.Status != health.Degraded || !strings.Contains(report.Checks["certificates"].Detail, "four.example: ") {
		t.Errorf("%+v", report)
	}
	if text := e.metrics(); !strings.Contains(text, `portico_edge_certificate_failed{name="four.example"} 1`) || strings.Contains(text, "portico_edge_certificate_failures_total 0") {
		t.Error("the metrics do not tell")
	}
	server.down.Store(false)
	eventually(t, "the certificate", func() bool { return e.verifies("four.example", server.roots) })
	told = e.certificateOf("four.example")
	if told.Error != "" || told.Expiry.Before(time.Now()) || !strings.Contains(told.Issuer, "Pebble") {
		t.Errorf("%+v", told)
	}
	if report := e.report(); report.Status != health.OK {
		t.Errorf("%+v", report)
	}
	if text := e.metrics(); !strings.Contains(text, `portico_edge_certificate_failed{name="four.example"} 0`) {
		t.Error("the metrics do not tell that all is well")
	}
}

func TestReloadsWhileTheCAIsDownPlaceNoMoreOrders(t *testing.T) {
	t.Parallel()
	server := newACMEServer(t, acmeSettings{})
	server.down.Store(true)
	e := acmeEdge(t, "twelve.example", server.keys())
	server.open(1, e.Addrs().HTTPS.Port)
	for range 20 {
		if err := e.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the failure", func() bool { return e.certificateOf("twelve.example").Error != "" })
	server.down.Store(false)
	eventually(t, "the certificate", func() bool { return e.verifies("twelve.example", server.roots) })
	if orders := server.orders.Load(); orders != 1 {
		t.Errorf("%d orders", orders)
	}
}

func TestAValidationThatFailsIsRepeated(t *testing.T) {
	t.Parallel()
	server := newACMEServer(t, acmeSettings{failures: 12})
	e := acmeEdge(t, "eleven.example", server.keys())
	server.open(1, e.Addrs().HTTPS.Port)
	eventually(t, "the failure", func() bool { return e.certificateOf("eleven.example").Error != "" })
	eventually(t, "the certificate", func() bool { return e.verifies("eleven.example", server.roots) })
	eventually(t, "the end of the trouble", func() bool { return e.report().Status == health.OK })
}

func TestTheFallbackIssuesWhenTheFirstDoesNot(t *testing.T) {
	t.Parallel()
	first, second := newACMEServer(t, acmeSettings{}), newACMEServer(t, acmeSettings{})
	first.down.Store(true)
	e := acmeEdge(t, "five.example", first.keys()+fmt.Sprintf(", fallback: {directory: %q, directory_ca: %q}", second.directory, second.rootsFile))
	first.open(1, e.Addrs().HTTPS.Port)
	second.open(1, e.Addrs().HTTPS.Port)
	eventually(t, "the certificate", func() bool { return e.verifies("five.example", second.roots) })
	if report := e.report(); report.Status != health.OK {
		t.Errorf("%+v", report)
	}
}

func TestAccountsAreBoundToTheCAsOwn(t *testing.T) {
	t.Parallel()
	const key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	for what, c := range map[string]struct{ domain, key, says string }{
		"the right key": {domain: "six.example", key: key},
		"a wrong key":   {"seven.example", "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "unauthorized"},
		"none":          {"eight.example", "", "externalAccountRequired"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			server := newACMEServer(t, acmeSettings{binding: true})
			if err := server.store.AddExternalAccountKeyByID("kid-1", key); err != nil {
				t.Fatal(err)
			}
			keys := server.keys()
			if c.key != "" {
				file := filepath.Join(t.TempDir(), "eab")
				write(t, file, c.key+"\n")
				keys += fmt.Sprintf(", eab: {key_id: kid-1, key_file: %q}", file)
			}
			e := acmeEdge(t, c.domain, keys)
			server.open(1, e.Addrs().HTTPS.Port)
			if c.says == "" {
				eventually(t, "the certificate", func() bool { return e.verifies(c.domain, server.roots) })
				return
			}
			eventually(t, "the refusal", func() bool { return e.certificateOf(c.domain).Error != "" })
			if told := e.certificateOf(c.domain); !strings.Contains(told.Error, c.says) || strings.Contains(told.Error, c.key) && c.key != "" {
				t.Errorf("%+v", told)
			}
		})
	}
}

// shortLife is how long certificates of the tests below are valid: they are due when a third of it is left.
const shortLife = 12 * time.Second

func TestARenewalThatFailsKeepsTheCertificate(t *testing.T) {
	t.Parallel()
	server := newACMEServer(t, acmeSettings{validity: shortLife})
	e := acmeEdge(t, "nine.example", server.keys())
	server.open(1, e.Addrs().HTTPS.Port)
	eventually(t, "the certificate", func() bool { return e.leaf("nine.example") != nil })
	first := e.leaf("nine.example")
	server.down.Store(true)
	eventually(t, "the failure of the renewal", func() bool {
		if err := e.Reload(t.Context()); err != nil { // which looks what is due
			t.Fatal(err)
		}
		return e.certificateOf("nine.example").Error != ""
	})
	if now := e.leaf("nine.example"); now == nil || now.SerialNumber.Cmp(first.SerialNumber) != 0 {
		t.Error("the certificate is gone")
	}
	if report := e.report(); report.Status != health.Degraded {
		t.Errorf("%+v", report)
	}
	server.down.Store(false)
	eventually(t, "the renewed certificate", func() bool {
		if err := e.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		now := e.leaf("nine.example")
		return now != nil && now.SerialNumber.Cmp(first.SerialNumber) != 0
	})
}

func TestARenewalUnderLoadFailsNoHandshake(t *testing.T) {
	t.Parallel()
	server := newACMEServer(t, acmeSettings{validity: shortLife})
	e := acmeEdge(t, "ten.example", server.keys())
	server.open(1, e.Addrs().HTTPS.Port)
	eventually(t, "the certificate", func() bool { return e.leaf("ten.example") != nil })
	first := e.leaf("ten.example")
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for range 4 {
		transport := &http.Transport{DialContext: e.dial, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
		client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		clients.Go(func() {
			for ctx.Err() == nil {
				got, err := try(t.Context(), client, http.MethodGet, "https://ten.example/", nil, "")
				if err != nil || got.StatusCode != http.StatusPermanentRedirect || got.TLS.PeerCertificates[0].VerifyHostname("ten.example") != nil {
					t.Errorf("%+v, %v", got, err)
					return
				}
			}
		})
	}
	eventually(t, "the renewed certificate", func() bool {
		if err := e.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		now := e.leaf("ten.example")
		return now != nil && now.SerialNumber.Cmp(first.SerialNumber) != 0
	})
	stop()
	clients.Wait()
}
