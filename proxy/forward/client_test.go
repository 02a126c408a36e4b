package forward_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-web/portico/proxy/forward"
	"github.com/portico-web/portico/proxy/message"
)

// client is a message.Stream in memory. It writes down what it is answered, one event each: "200 5" for a head and its
// length, "+text" for content, "flush", "end" with trailers, and interim heads.
type client struct {
	t       testing.TB
	head    message.Head
	body    *content
	context context.Context
	left    atomic.Bool
	refuse  atomic.Bool   // writes fail
	hold    chan struct{} // content is taken when it is closed; nil for at once

	mu     sync.Mutex
	events []string
	news   chan struct{} // there is another event

	answered message.Head
	answer   strings.Builder
	trailer  string
	tunnel   *net.TCPConn // the client's end of it
	opened   chan struct{}
}

// ask is a request as a client's codec reads it.
func ask(t testing.TB, method, target string) *client {
	c := &client{t: t, context: t.Context(), news: make(chan struct{}, 1), opened: make(chan struct{}), body: newContent()}
	c.body.finish()
	path, query, hasQuery := strings.Cut(target, "?")
	c.head.Method, c.head.Path, c.head.Query, c.head.HasQuery = method, path, query, hasQuery
	c.head.Authority = "example.test"
	return c
}

// with adds content that has arrived.
func (c *client) with(text string) *client {
	c.head.Length = int64(len(text))
	c.body = newContent()
	c.body.send(text)
	c.body.finish()
	return c
}

// uploading adds content that is still to come.
func (c *client) uploading(length int64) *client {
	c.head.Length, c.body = length, newContent()
	return c
}

func (c *client) field(name, value string) *client {
	c.head.AddNamed(name, value)
	return c
}

// through forwards the request and returns Forward's error.
func (c *client) through(f *forward.Forwarder) error {
	return f.Forward(c, c.body, c, &forward.Exchange{
		Path: c.head.Path, Proto: "https", Host: "example.test", Client: []byte("192.0.2.1"), Chain: []byte("192.0.2.1"),
		RequestID: []byte("id-1"), Traceparent: []byte("00-trace"),
	})
}

// start is through, in a goroutine.
func (c *client) start(f *forward.Forwarder) <-chan error {
	done := make(chan error, 1)
	go func() { done <- c.through(f) }()
	return done
}

func (c *client) note(event string) error {
	if c.refuse.Load() {
		return io.ErrClosedPipe
	}
	c.mu.Lock()
	c.events = append(c.events, event)
	c.mu.Unlock()
	select {
	case c.news <- struct{}{}:
	default:
	}
	return nil
}

// saw is all events so far.
func (c *client) saw() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.events)
}

// await waits for an event.
func (c *client) await(event string) {
	c.t.Helper()
	c.until(event, func(events []string) bool { return slices.Contains(events, event) })
}

func (c *client) until(what string, happened func(events []string) bool) {
	c.t.Helper()
	for timeout := time.After(10 * time.Second); !happened(c.saw()); {
		select {
		case <-c.news:
		case <-timeout:
			c.t.Fatalf("no %q in %q", what, c.saw())
		}
	}
}

func (c *client) Head() *message.Head              { return &c.head }
func (c *client) Body() message.Body               { return c.body }
func (c *client) Peer() netip.AddrPort             { return netip.AddrPort{} }
func (c *client) TLS() *tls.ConnectionState        { return nil }
func (c *client) Context() context.Context         { return c.context }
func (c *client) Gone() bool                       { return c.left.Load() }
func (c *client) Abort()                           { c.t.Error("Forward aborts the stream") }
func (c *client) Interim(head *message.Head) error { return c.note(describe(head)) }
func (c *client) Flush() error                     { return c.note("flush") }

func describe(head *message.Head) string {
	text := fmt.Sprint(head.Status)
	for _, field := range head.All() {
		text += " " + string(field.Name) + "=" + string(field.Value)
	}
	return text
}

func (c *client) Answer(head *message.Head) error {
	c.answered.CopyFrom(&head.Fields)
	c.answered.Status, c.answered.Length = head.Status, head.Length
	return c.note(fmt.Sprint(head.Status, " ", head.Length))
}

func (c *client) Write(content []byte) (int, error) {
	if c.hold != nil {
		<-c.hold
	}
	c.answer.Write(content)
	return len(content), c.note("+" + string(content))
}

func (c *client) End(trailer *message.Fields) error {
	if trailer != nil {
		for _, field := range trailer.All() {
			c.trailer += string(field.Name) + "=" + string(field.Value) + ";"
		}
	}
	return c.note("end")
}

func (c *client) ended() bool { return slices.Contains(c.saw(), "end") }

// Tunnel gives one end of a TCP connection, and keeps the other for the test.
func (c *client) Tunnel(head *message.Head) (message.Tunnel, error) {
	c.answered.CopyFrom(&head.Fields)
	c.answered.Status, c.answered.Protocol = head.Status, head.Protocol
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	dialled, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		return nil, err
	}
	accepted, err := listener.Accept()
	if err != nil {
		return nil, err
	}
	c.tunnel = dialled.(*net.TCPConn)
	close(c.opened)
	return accepted.(*net.TCPConn), c.note("tunnel")
}

// content is a message.Body in memory.
type content struct {
	mu          sync.Mutex
	change      *sync.Cond
	rest        []string
	err         error // after rest
	trailer     *message.Fields
	interrupted bool
	read        bool
	hidden      bool // it has arrived, but nobody can know
}

func newContent() *content {
	c := &content{}
	c.change = sync.NewCond(&c.mu)
	return c
}

func (c *content) send(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rest = append(c.rest, text)
	c.change.Broadcast()
}

func (c *content) finish() { c.fail(io.EOF) }

func (c *content) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
	c.change.Broadcast()
}

func (c *content) Next() ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = true
	for {
		switch {
		case c.interrupted:
			return nil, message.ErrInterrupted
		case len(c.rest) > 0:
			next := []byte(c.rest[0])
			c.rest = c.rest[1:]
			return next, nil
		case c.err != nil:
			return nil, c.err
		}
		c.change.Wait()
	}
}

func (c *content) Buffered() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hidden {
		return 0
	}
	return len(strings.Join(c.rest, ""))
}

func (c *content) Trailer() *message.Fields {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.trailer
}

func (c *content) Interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interrupted = true
	c.change.Broadcast()
}

func (c *content) wasRead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read
}

// awaitFlushed waits until the head, and so many pieces of content, were flushed.
func (c *client) awaitFlushed(pieces int) {
	c.t.Helper()
	c.until(fmt.Sprint("flush after piece ", pieces), func(events []string) bool {
		last := -1
		for i, event := range events {
			if event == "flush" {
				last = i
			}
		}
		if last < 0 {
			return false
		}
		written := 0
		for _, event := range events[:last] {
			if strings.HasPrefix(event, "+") {
				written++
			}
		}
		return written >= pieces
	})
}
