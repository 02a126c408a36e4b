//go:build containers

package containers

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// healthPath is listen.health_path of docker/proxy.fleet.yaml.
const healthPath = "/.well-known/portico/health"

// balancer relays TCP to several edges as a network load balancer does: it asks each edge for its health_path, gives new
// connections to the healthy ones by turns, tells the client by the PROXY protocol, and leaves connections that exist alone. It
// makes up an address of a client for each connection.
type balancer struct {
	listener net.Listener
	targets  []*balanced
	next     atomic.Uint64
	relaying sync.WaitGroup
	stop     context.CancelFunc
}

// balanced is an edge.
type balanced struct {
	address string
	healthy atomic.Bool
}

// startBalancer relays to port 443 of these addresses until the test ends.
func startBalancer(t *testing.T, addresses ...string) *balancer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	b := &balancer{listener: listener, stop: stop}
	for _, address := range addresses {
		target := &balanced{address: address}
		b.targets = append(b.targets, target)
		b.relaying.Go(func() { target.watch(ctx) })
	}
	b.relaying.Go(func() { b.accept(ctx) })
	t.Cleanup(func() {
		stop()
		_ = listener.Close()
		b.relaying.Wait()
	})
	return b
}

func (b *balancer) address() string { return b.listener.Addr().String() }

// healthy tells whether an edge gets new connections.
func (b *balancer) healthy(address string) bool {
	return slices.ContainsFunc(b.targets, func(target *balanced) bool { return target.address == address && target.healthy.Load() })
}

// watch asks the edge how it is, four times a second; two bad answers in a row take it out.
func (t *balanced) watch(ctx context.Context) {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialRelayed(ctx, t.address+":80", netip.AddrPort{})
	}}}
	for bad := 0; pause(ctx, 250*time.Millisecond); {
		if t.asked(ctx, client) {
			bad = 0
			t.healthy.Store(true)
		} else if bad++; bad > 1 {
			t.healthy.Store(false)
		}
	}
}

func (t *balanced) asked(ctx context.Context, client *http.Client) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.address+healthPath, nil)
	if err != nil {
		return false
	}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

func (b *balancer) accept(ctx context.Context) {
	for {
		client, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.relaying.Go(func() { b.relay(ctx, client) })
	}
}

// relay ends with the connection, or the test.
func (b *balancer) relay(ctx context.Context, client net.Conn) {
	defer client.Close()
	var healthy []*balanced
	for _, target := range b.targets {
		if target.healthy.Load() {
			healthy = append(healthy, target)
		}
	}
	if len(healthy) == 0 {
		return
	}
	number := b.next.Add(1)
	dialing, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	edge, err := dialRelayed(dialing, healthy[number%uint64(len(healthy))].address+":443", netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + number%200)}), 4000))
	if err != nil {
		return
	}
	defer edge.Close()
	defer context.AfterFunc(ctx, func() { _, _ = client.Close(), edge.Close() })()
	answers := make(chan struct{})
	go func() {
		defer close(answers)
		_, _ = io.Copy(client, edge)
		_ = client.(*net.TCPConn).CloseWrite()
	}()
	if _, err := io.Copy(edge, client); err != nil {
		_ = client.Close()
	}
	_ = edge.(*net.TCPConn).CloseWrite()
	<-answers
}

// dialRelayed opens a connection that begins with a header of the PROXY protocol, version 2, about this client; the zero
// client is the balancer itself.
func dialRelayed(ctx context.Context, address string, client netip.AddrPort) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	header := []byte("\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00") // version 2, LOCAL, no addresses
	if client.IsValid() {
		header = []byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c") // PROXY, TCP over IPv4, 12 bytes
		from, to := client.Addr().As4(), conn.RemoteAddr().(*net.TCPAddr).AddrPort()
		there := to.Addr().Unmap().As4()
		header = append(append(header, from[:]...), there[:]...)
		header = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(header, client.Port()), to.Port())
	}
	if _, err := conn.Write(header); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}
