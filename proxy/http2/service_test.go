package http2_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/http2"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/pace"
	"github.com/portico-web/portico/proxy/socket"
)

// service says how a connection is to be served. What is zero has a default that no test meets.
type service struct {
	bounds       http2.Bounds
	limits       http1.Limits
	header, idle time.Duration
	pace         pace.Pace
	wire         func(io.ReadWriter) io.ReadWriter // around the socket; nil for the socket itself
	handler      message.Handler
	leaving      bool // it is drained before it is served
}

// served is one connection of a service.
type served struct {
	*http2.ServerConn
	ended chan struct{}
	err   error // how it ended

	mu          sync.Mutex
	refused     []string // statuses, reasons and what is known of the targets of requests that were refused
	busy, rests int

	begun, returned atomic.Int64 // handlers
}

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// serve serves a connection, which is closed by the other end.
func (s service) serve(t testing.TB, conn *net.TCPConn) *served {
	t.Helper()
	made, err := socket.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	made.WriteWithin(patience)
	var wire io.ReadWriter = made
	if s.wire != nil {
		wire = s.wire(made)
	}
	if s.limits == (http1.Limits{}) {
		s.limits = http1.Limits{HeadBytes: 16 << 10, TargetBytes: 4 << 10, Fields: 100}
	}
	if s.header == 0 {
		s.header = patience
	}
	if s.idle == 0 {
		s.idle = patience
	}
	if s.handler == nil {
		s.handler = func(stream message.Stream) { answer(stream, 200, "") }
	}
	served := &served{ended: make(chan struct{})}
	rate := s.pace.WithDefaults()
	server := &http2.Server{
		Bounds: s.bounds.WithDefaults(), Limits: s.limits, ReadHeaderTimeout: s.header, IdleTimeout: s.idle,
		Pace:    func() *pace.Pace { return &rate },
		Date:    func() []byte { return []byte("Sun, 06 Nov 1994 08:49:37 GMT") },
		Run:     served.run,
		Refused: served.refuse,
	}
	served.ServerConn = server.NewServerConn(http2.Connection{
		Socket: made, Wire: wire, Peer: netip.MustParseAddrPort("127.0.0.1:1"), Handler: s.handler, Context: context.Background(),
		Busy: func() bool { served.count(&served.busy); return true },
		Idle: func() { served.count(&served.rests) },
	})
	if s.leaving {
		served.Drain()
	}
	go func() {
		defer close(served.ended)
		for over := false; !over; {
			over, served.err = served.Serve()
		}
		_ = made.Close()
	}()
	return served
}

func (s *served) run(handler message.Handler, stream message.Stream) bool {
	s.begun.Add(1)
	defer s.returned.Add(1)
	handler(stream)
	return true
}

func (s *served) refuse(stream message.Stream, refusal *http1.Error) {
	s.mu.Lock()
	s.refused = append(s.refused, strconv.Itoa(refusal.Status)+" "+refusal.Reason)
	s.mu.Unlock()
	answer(stream, refusal.Status, "refused\n")
}

// refusals are those of requests that could not be taken in.
func (s *served) refusals() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.refused)
}

func (s *served) count(n *int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*n++
}

// wait waits until the connection was served, and tells how it ended.
func (s *served) wait(t testing.TB) error {
	t.Helper()
	select {
	case <-s.ended:
		return s.err
	case <-time.After(patience):
		t.Fatal("the connection is served for ever")
		return nil
	}
}

// answer gives a whole answer, with the length announced; none to HEAD.
func answer(stream message.Stream, status int, content string, fields ...string) {
	head := message.Head{Status: status, Length: int64(len(content))}
	for i := 0; i < len(fields); i += 2 {
		head.AddNamed(fields[i], fields[i+1])
	}
	if stream.Answer(&head) != nil {
		return
	}
	if content != "" {
		if _, err := stream.Write([]byte(content)); err != nil {
			return
		}
	}
	_ = stream.End(nil)
}

// content reads a request's content to its end.
func content(body message.Body) (string, error) {
	var all []byte
	for {
		part, err := body.Next()
		if errors.Is(err, io.EOF) {
			return string(all), nil
		}
		if err != nil {
			return string(all), err
		}
		all = append(all, part...)
	}
}

// pair is a TCP connection over loopback.
func pair(t testing.TB) (client, server *net.TCPConn) {
	t.Helper()
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return connect(t, listener)
}

func connect(t testing.TB, listener *net.TCPListener) (client, server *net.TCPConn) {
	t.Helper()
	client, err := net.DialTCP("tcp", nil, listener.Addr().(*net.TCPAddr))
	if err != nil {
		t.Fatal(err)
	}
	server, err = listener.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	return client, server
}

// gate lets writes through while it is open.
type gate struct {
	io.ReadWriter
	mu     sync.Mutex
	more   sync.Cond
	closed bool
	waits  bool // a write
	slow   bool // what passes takes some time
}

func newGate(around io.ReadWriter) *gate {
	g := &gate{ReadWriter: around}
	g.more.L = &g.mu
	return g
}

func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	for g.closed {
		g.waits = true
		g.more.Broadcast()
		g.more.Wait()
	}
	g.waits = false
	slow := g.slow
	g.mu.Unlock()
	if slow {
		time.Sleep(3 * time.Millisecond)
	}
	return g.ReadWriter.Write(p)
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}

// held waits until a write waits.
func (g *gate) held() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for !g.waits {
		g.more.Wait()
	}
}

// open lets writes pass; slowly, so that all who have something to send may say so between them.
func (g *gate) open(slow bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed, g.slow = false, slow
	g.more.Broadcast()
}
