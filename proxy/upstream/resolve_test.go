package upstream_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-web/portico/proxy/upstream"
)

// names resolves every name to the same addresses, which the test changes.
type names struct {
	mu    sync.Mutex
	now   []netip.Addr
	fails error
	asked chan struct{} // a question was answered
}

func newNames(addresses ...string) *names {
	n := &names{asked: make(chan struct{})}
	n.become(nil, addresses...)
	return n
}

func (n *names) become(fails error, addresses ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fails, n.now = fails, nil
	for _, address := range addresses {
		n.now = append(n.now, netip.MustParseAddr(address))
	}
}

func (n *names) lookup(ctx context.Context, _ string) ([]netip.Addr, error) {
	select {
	case n.asked <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.now), n.fails
}

// settled waits until the pool has drawn its conclusion from what names say now: who asks once more has done so.
func (n *names) settled(t *testing.T) {
	t.Helper()
	for range 2 {
		select {
		case <-n.asked:
		case <-time.After(patience):
			t.Fatal("nobody asks")
		}
	}
}

func endpoints(p *upstream.Pool) string {
	var at []string
	for _, target := range p.Targets() {
		at = append(at, target.Endpoint())
	}
	return strings.Join(at, " ")
}

func following(t *testing.T, n *names, settings upstream.Settings) *upstream.Pool {
	t.Helper()
	settings.Resolve, settings.Lookup = time.Millisecond, n.lookup
	return pool(t, settings)
}

func TestEachAddressOfANameIsATarget(t *testing.T) {
	t.Parallel()
	n := newNames("192.0.2.2", "192.0.2.1", "192.0.2.2")
	p := following(t, n, upstream.Settings{Targets: []string{"app:1", "192.0.2.9:1", "localhost:1"}})
	if got := endpoints(p); got != "app:1 192.0.2.9:1 localhost:1" {
		t.Errorf("before anything is known: %s", got)
	}
	for _, step := range []struct {
		fails     error
		addresses string
		want      string
	}{
		{nil, "192.0.2.2 192.0.2.1 192.0.2.2", "192.0.2.1:1 192.0.2.2:1"},
		{nil, "192.0.2.2 2001:db8::1 192.0.2.3", "192.0.2.2:1 192.0.2.3:1"},
		{errors.New("no such host"), "", "192.0.2.2:1 192.0.2.3:1"},
		{nil, "", "192.0.2.2:1 192.0.2.3:1"},
		{nil, "2001:db8::2 2001:db8::1", "[2001:db8::1]:1 [2001:db8::2]:1"},
		{nil, "::ffff:192.0.2.7", "192.0.2.7:1"},
	} {
		n.become(step.fails, strings.Fields(step.addresses)...)
		n.settled(t)
		if got, want := endpoints(p), step.want+" 192.0.2.9:1 localhost:1"; got != want {
			t.Errorf("%v %q: %s, want %s", step.fails, step.addresses, got, want)
		}
	}
}

func TestANameOfVeryManyAddressesIsBounded(t *testing.T) {
	t.Parallel()
	var many []string
	for address := netip.MustParseAddr("10.0.0.1"); len(many) < 1000; address = address.Next() {
		many = append(many, address.String())
	}
	n := newNames(many...)
	p := following(t, n, upstream.Settings{Targets: []string{"app:1"}})
	n.settled(t)
	if got := len(p.Targets()); got != 256 {
		t.Errorf("%d targets", got)
	}
}

func TestNamesAreNotFollowedWhenThatIsTurnedOff(t *testing.T) {
	t.Parallel()
	p := pool(t, upstream.Settings{Targets: []string{"app:1"}, Lookup: func(context.Context, string) ([]netip.Addr, error) {
		t.Error("it is asked")
		return nil, nil
	}})
	if got := endpoints(p); got != "app:1" {
		t.Error(got)
	}
}

func TestANameThatMovesTakesNewConnectionsWithIt(t *testing.T) {
	t.Parallel()
	first, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	_, port, _ := net.SplitHostPort(first.Addr().String())
	second, err := net.Listen("tcp", net.JoinHostPort("127.0.0.2", port))
	if err != nil {
		t.Skip("this system has one loopback address only:", err)
	}
	defer second.Close()
	n := newNames("127.0.0.1")
	p := following(t, n, upstream.Settings{Targets: []string{net.JoinHostPort("app", port)}})
	n.settled(t)
	connect := func(listener net.Listener) (*upstream.Target, *upstream.Conn, net.Conn) {
		target, err := p.Pick(request("192.0.2.1"), nil)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := target.Dial(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		far, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = far.SetDeadline(time.Now().Add(patience))
		return target, conn, far
	}
	_, idle, farIdle := connect(first)
	defer farIdle.Close()
	old, busy, farBusy := connect(first)
	defer farBusy.Close()
	idle.Keep()
	n.become(nil, "127.0.0.2")
	n.settled(t)
	if _, err := farIdle.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the idle connection to the old address: %v", err)
	}
	if _, err := busy.Write([]byte("x")); err != nil {
		t.Errorf("the exchange with the old address: %v", err)
	}
	if _, err := farBusy.Read(make([]byte, 1)); err != nil {
		t.Errorf("the old address, of the exchange: %v", err)
	}
	busy.Keep()
	if _, err := farBusy.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the old connection after its exchange: %v", err)
	}
	p.Release(old)
	target, conn, far := connect(second)
	defer far.Close()
	conn.Close()
	p.Release(target)
}

func TestAServerThatComesUpMustProveItselfWhileOthersServe(t *testing.T) {
	t.Parallel()
	answering := make(chan chan bool) // each probe of the second server, which is told whether to pass
	port := probed(t, "127.0.0.1:0", func() bool { return true })
	probed(t, net.JoinHostPort("127.0.0.2", port), func() bool {
		reply := make(chan bool)
		select {
		case answering <- reply:
			return <-reply
		case <-t.Context().Done():
			return false
		}
	})
	n := newNames("127.0.0.1")
	p := following(t, n, upstream.Settings{
		Targets: []string{net.JoinHostPort("app", port)},
		Health:  &upstream.Probe{Path: "/", Interval: 20 * time.Millisecond, Timeout: time.Minute},
	})
	n.settled(t)
	n.become(nil, "127.0.0.1", "127.0.0.2")
	n.settled(t)
	probe := <-answering
	if targets := p.Targets(); len(targets) != 2 || !targets[0].Healthy() || targets[1].Healthy() {
		t.Fatalf("before the first probe is answered: %s, healthy: %v", endpoints(p), targets[1].Healthy())
	}
	probe <- true
	<-answering <- true // asked again, so the first is taken note of
	if !p.Targets()[1].Healthy() {
		t.Error("it passed, and is not used")
	}
	go func() { // the others, until the end
		for {
			select {
			case probe := <-answering:
				probe <- true
			case <-t.Context().Done():
				return
			}
		}
	}()
}

func TestTheServersBehindANameAreWaitedForUntilTheyAreProbed(t *testing.T) {
	t.Parallel()
	var asked atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Store(true)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	p := pool(t, upstream.Settings{
		Targets: []string{"app.invalid:" + port}, Resolve: time.Hour, Health: &upstream.Probe{Path: "/", Interval: time.Hour, Timeout: patience},
		Lookup: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		},
	})
	p.Probed()
	if target := p.Targets()[0]; target.Endpoint() != "127.0.0.1:"+port || target.Healthy() || !asked.Load() {
		t.Errorf("%s, healthy: %t, asked: %t", target.Endpoint(), target.Healthy(), asked.Load())
	}
}

func TestTheServersOfANameAreCheckedSideBySide(t *testing.T) {
	t.Parallel()
	var all []netip.Addr
	for address := netip.MustParseAddr("127.0.0.1"); len(all) < 8; address = address.Next() {
		all = append(all, address)
	}
	asked := make(chan struct{}, len(all))
	together := make(chan struct{})
	port := probed(t, "127.0.0.1:0", rendezvous(t, asked, together))
	for _, address := range all[1:] {
		probed(t, net.JoinHostPort(address.String(), port), rendezvous(t, asked, together))
	}
	settings := upstream.Settings{
		Resolve: time.Hour, Health: &upstream.Probe{Path: "/", Timeout: patience}, ResponseTimeout: patience,
		Lookup: func(context.Context, string) ([]netip.Addr, error) { return slices.Clone(all), nil },
	}
	plain := settings
	plain.Health = nil
	for name, check := range map[string]func() error{
		"with probes":    func() error { return settings.Check(t.Context(), "app.invalid:"+port) },
		"without probes": func() error { return plain.Check(t.Context(), "app.invalid:"+port) },
		"smoke test":     func() error { return settings.Smoke(t.Context(), "app.invalid:"+port, "/", "") },
	} {
		checked := make(chan error, 1)
		go func() { checked <- check() }()
		for range all { // nobody has an answer yet
			select {
			case <-asked:
			case err := <-checked:
				t.Fatalf("%s: %v", name, err)
			}
		}
		for range all {
			together <- struct{}{}
		}
		if err := <-checked; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// rendezvous passes a probe once the test has seen it, and lets it.
func rendezvous(t *testing.T, asked chan<- struct{}, pass <-chan struct{}) func() bool {
	return func() bool {
		asked <- struct{}{}
		select {
		case <-pass:
			return true
		case <-t.Context().Done():
			return false
		}
	}
}

func TestTheFirstServerOfANameThatFailsEndsItsCheck(t *testing.T) {
	t.Parallel()
	port := probed(t, "127.0.0.1:0", func() bool { <-t.Context().Done(); return true })
	probed(t, net.JoinHostPort("127.0.0.2", port), func() bool { return false })
	settings := upstream.Settings{
		Resolve: time.Hour, Health: &upstream.Probe{Path: "/", Timeout: time.Hour},
		Lookup: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")}, nil
		},
	}
	if err := settings.Check(t.Context(), "app.invalid:"+port); err == nil || !strings.HasSuffix(err.Error(), " answers 503") {
		t.Error(err)
	}
}
