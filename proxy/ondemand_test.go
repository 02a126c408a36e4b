package proxy_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// application answers what may have a certificate.
type application struct {
	url    string
	mu     sync.Mutex
	asked  map[string]int // questions by name
	status atomic.Int32
}

func newApplication(t *testing.T) *application {
	t.Helper()
	a := &application{asked: map[string]int{}}
	a.status.Store(http.StatusOK)
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.asked[r.URL.Query().Get("domain")]++
		a.mu.Unlock()
		if status := int(a.status.Load()); status != http.StatusOK {
			w.Header().Set("Location", "/")
			w.WriteHeader(status)
		}
	})
	a.url = "http://" + address + "/ask?key=1"
	return a
}

func (a *application) questions(name string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked[name]
}

func (a *application) all() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	sum := 0
	for _, count := range a.asked {
		sum += count
	}
	return sum
}

// startOnDemand runs an edge that has one site of every host, with these keys of on_demand besides ask.
func startOnDemand(t *testing.T, data string, server *acmeServer, a *application, keys string) *edge {
	t.Helper()
	file := filepath.Join(data, "proxy.yaml")
	write(t, file, "listen: {https: \"127.0.0.1:0\", internal: \"127.0.0.1:0\"}\n"+
		fmt.Sprintf("tls: {%s, on_demand: {ask: %q%s}}\n", server.keys(), a.url, keys)+
		"sites: [{hosts: [\"*\"], routes: [{path: /, redirect: {to: /x}}]}]")
	return startACME(t, data, file)
}

func TestACertificateOnDemandWantsAPermission(t *testing.T) {
	t.Parallel()
	server, a := newACMEServer(t, acmeSettings{}), newApplication(t)
	data := t.TempDir()
	e := startOnDemand(t, data, server, a, "")
	server.open(1, e.Addrs().HTTPS.Port)
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			if !e.verifies("shop.customer.example", server.roots) {
				t.Error("a permitted name has no certificate")
			}
		})
	}
	clients.Wait()
	if asked, orders := a.questions("shop.customer.example"), server.orders.Load(); asked != 1 || orders != 1 {
		t.Errorf("%d questions and %d orders for one name", asked, orders)
	}
	for _, status := range []int32{201, 204, 302, 403, 404, 500, 503} {
		a.status.Store(status)
		name := fmt.Sprintf("answer%d.customer.example", status)
		for range 3 {
			if e.leaf(name) != nil {
				t.Errorf("status %d permits a certificate", status)
			}
		}
		if asked := a.questions(name); asked != 1 {
			t.Errorf("status %d: asked %d times", status, asked)
		}
	}
	before := a.all()
	for _, name := range []string{"", "localhost", "intern", "a_b.customer.example", "a..customer.example", strings.Repeat("x", 64) + ".customer.example", "host.local"} {
		if e.leaf(name) != nil {
			t.Errorf("%q has a certificate", name)
		}
	}
	if asked := a.all() - before; asked != 0 {
		t.Errorf("%d questions about what no CA certifies", asked)
	}
	if orders := server.orders.Load(); orders != 1 {
		t.Errorf("%d orders", orders)
	}
	if text := e.metrics(); strings.Contains(text, "customer.example") {
		t.Error("a client's name is in the metrics")
	}
	if told := e.certificateOf("shop.customer.example"); told.Source != "acme" || told.Expiry.IsZero() {
		t.Errorf("%+v", told)
	}
	// Stored is not permitted.
	if err := e.stop(); err != nil {
		t.Fatal(err)
	}
	a.status.Store(404)
	if again := startOnDemand(t, data, server, a, ""); again.leaf("shop.customer.example") != nil {
		t.Error("a stored certificate is shown before anybody was asked")
	}
	a.status.Store(200)
	if again := startOnDemand(t, data, server, a, ""); !again.verifies("shop.customer.example", server.roots) {
		t.Error("the stored certificate is not found")
	}
	if orders := server.orders.Load(); orders != 1 {
		t.Errorf("%d orders after restarts", orders)
	}
}

func TestQuestionsAreLimitedAndTimedOut(t *testing.T) {
	t.Parallel()
	server, a := newACMEServer(t, acmeSettings{}), newApplication(t)
	a.status.Store(404)
	e := startOnDemand(t, t.TempDir(), server, a, ", rate: 3/h")
	for i := range 10 {
		if e.leaf(fmt.Sprintf("n%d.limited.example", i)) != nil {
			t.Error("a certificate without permission")
		}
	}
	if asked := a.all(); asked != 3 {
		t.Errorf("%d questions", asked)
	}
	release := make(chan struct{})
	slow := newApplication(t)
	slow.url = "http://" + serve(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	hung := startOnDemand(t, t.TempDir(), server, slow, ", timeout: 50ms")
	if hung.leaf("slow.example") != nil {
		t.Error("a certificate without an answer")
	}
	close(release)
}

func TestAReloadTakesOverWhoIsAsked(t *testing.T) {
	t.Parallel()
	server, a := newACMEServer(t, acmeSettings{}), newApplication(t)
	data := t.TempDir()
	e := startOnDemand(t, data, server, a, "")
	server.open(1, e.Addrs().HTTPS.Port)
	if !e.verifies("first.reload.example", server.roots) {
		t.Fatal("no certificate")
	}
	write(t, e.config, "listen: {https: \"127.0.0.1:0\", internal: \"127.0.0.1:0\"}\ntls: {"+server.keys()+"}\nsites: [{hosts: [\"*\"], routes: [{path: /, redirect: {to: /x}}]}]")
	if err := e.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e.leaf("second.reload.example") != nil || a.questions("second.reload.example") != 0 {
		t.Error("on_demand is still at work")
	}
	if !e.verifies("first.reload.example", server.roots) {
		t.Error("the certificate from before is gone")
	}
}

func TestAnAnswerThatComesAfterAReloadDoesNotSpeakForTheNewURL(t *testing.T) {
	t.Parallel()
	const name = "late.reload.example"
	server, after := newACMEServer(t, acmeSettings{}), newApplication(t)
	asked, release := make(chan struct{}), make(chan struct{})
	before := &application{url: "http://" + serve(t, func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-release
		w.WriteHeader(http.StatusNotFound)
	})}
	e := startOnDemand(t, t.TempDir(), server, before, ", timeout: 8s, refused_for: 1h")
	server.open(1, e.Addrs().HTTPS.Port)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		if e.leaf(name) != nil {
			t.Error("a certificate without permission")
		}
	}()
	<-asked
	content, err := os.ReadFile(e.config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, e.config, strings.Replace(string(content), before.url, after.url, 1))
	if err := e.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(release)
	<-answered
	if !e.verifies(name, server.roots) || after.questions(name) != 1 {
		t.Errorf("the new URL permits the name, and was asked %d times", after.questions(name))
	}
}

func TestACertificateOnDemandIsRenewedWhileItIsPermitted(t *testing.T) {
	t.Parallel()
	server, a := newACMEServer(t, acmeSettings{validity: shortLife}), newApplication(t)
	e := startOnDemand(t, t.TempDir(), server, a, ", allowed_for: 1ms, refused_for: 1ms")
	server.open(1, e.Addrs().HTTPS.Port)
	first := e.leaf("renewed.example")
	if first == nil {
		t.Fatal("no certificate")
	}
	renewed := func() bool {
		if err := e.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		now := e.leaf("renewed.example")
		return now != nil && now.SerialNumber.Cmp(first.SerialNumber) != 0
	}
	a.status.Store(503) // nobody can tell
	eventually(t, "the renewal", renewed)
	a.status.Store(404)
	eventually(t, "the end of a name that is refused", func() bool {
		if err := e.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		return e.leaf("renewed.example") == nil
	})
}
