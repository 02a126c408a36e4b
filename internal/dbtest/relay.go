package dbtest

import (
	"net"
	"net/url"
	"sync"
	"testing"
	"time"
)

// Relay is the network between programs and a server, and fails as networks do. All methods may be called concurrently.
type Relay struct {
	URL      string // of the server, by way of the relay
	target   string
	listener net.Listener
	running  sync.WaitGroup
	ended    chan struct{}

	mu          sync.Mutex
	delay       time.Duration // of what the server answers
	blackholed  chan struct{} // open while nothing passes; nil when it does
	refusing    bool          // it takes no connection
	connections map[net.Conn]bool
}

// NewRelay puts a relay in front of the server at a URL; it ends with the test.
func NewRelay(t testing.TB, rawURL string) *Relay {
	t.Helper()
	parsed, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &Relay{target: parsed.Host, listener: listener, ended: make(chan struct{}), connections: map[net.Conn]bool{}}
	parsed.Host = listener.Addr().String()
	r.URL = parsed.String()
	r.running.Go(r.accept)
	t.Cleanup(func() {
		close(r.ended)
		_ = listener.Close()
		r.Cut()
		r.running.Wait()
	})
	return r
}

func (r *Relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.running.Go(func() { r.carry(client) })
	}
}

func (r *Relay) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", r.target)
	if err != nil {
		return
	}
	defer server.Close()
	r.mu.Lock()
	if r.refusing {
		r.mu.Unlock()
		return
	}
	r.connections[client], r.connections[server] = true, true
	r.mu.Unlock()
	var back sync.WaitGroup
	back.Go(func() {
		r.copy(client, server, true)
		_ = client.Close()
	})
	r.copy(server, client, false)
	_ = server.Close()
	back.Wait()
	r.mu.Lock()
	delete(r.connections, client)
	delete(r.connections, server)
	r.mu.Unlock()
}

func (r *Relay) copy(to, from net.Conn, answers bool) {
	buffer := make([]byte, 4096)
	for {
		n, err := from.Read(buffer)
		if err != nil || !r.passes(answers) {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// passes waits as long as the trouble wants; it tells whether the relay still runs.
func (r *Relay) passes(answers bool) bool {
	r.mu.Lock()
	held, delay := r.blackholed, r.delay
	r.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-r.ended:
			return false
		}
	}
	if !answers || delay == 0 {
		return true
	}
	select {
	case <-time.After(delay):
		return true
	case <-r.ended:
		return false
	}
}

// Blackhole lets nothing pass, and breaks nothing off, until Heal.
func (r *Relay) Blackhole() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blackholed = make(chan struct{})
}

// Slow makes every answer of the server late, until Heal.
func (r *Relay) Slow(by time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.delay = by
}

// Heal ends all trouble.
func (r *Relay) Heal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.delay, r.refusing = 0, false
	if r.blackholed != nil {
		close(r.blackholed)
		r.blackholed = nil
	}
}

// Cut breaks every connection off.
func (r *Relay) Cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hangUp()
}

// Refuse breaks every connection off and takes no other, as when the server is down, until Heal.
func (r *Relay) Refuse() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refusing = true
	r.hangUp()
}

func (r *Relay) hangUp() {
	for connection := range r.connections {
		_ = connection.Close()
	}
}
