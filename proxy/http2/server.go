// Package http2 speaks HTTP/2 (RFC 9113), to clients and to upstreams: frames, streams, flow control, priorities (RFC 9218) and
// extended CONNECT (RFC 8441). One goroutine reads a connection; what is sent gathers in one buffer, which another goroutine
// sends while there is something to send. A server's streams are served by a few goroutines, which serve one after the other.
package http2

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/pace"
	"github.com/portico-web/portico/proxy/socket"
)

// Server is what the connections of a server share. All members but Limits' must be set.
type Server struct {
	Bounds            Bounds
	Limits            http1.Limits
	ReadHeaderTimeout time.Duration // for SETTINGS, a field block, and a sign of life that was asked for
	IdleTimeout       time.Duration // without streams
	Pace              func() *pace.Pace
	Date              func() []byte // the value of Date, for answers that have none
	// Run serves a stream, and tells whether the handler returned in good order.
	Run func(message.Handler, message.Stream) bool
	// Refused answers a request that could not be taken in. The client of one that is malformed does not see the answer.
	Refused func(message.Stream, *http1.Error)
}

// ServerConn is one connection of a client. Serve runs it; Drain may be called by any goroutine.
type ServerConn struct {
	conn
	Connection
	server *Server

	// Of the goroutine that reads.
	entering *ServerStream // whose field block is being read; nil when that belongs to no new stream
	scratch  message.Head  // for one that is dropped
	pressing time.Time     // since then SETTINGS, or the end of a field block, is awaited; zero when neither is
	quiet    time.Time     // since then nothing came
	asked    bool          // for a sign of life
	prefaced bool          // the preface came
	idling   bool          // nothing came for a while, and nothing is being served

	// Under the lock.
	highest uint32          // stream that the client opened
	working int             // streams that are served, or wait to be
	ready   []*ServerStream // those that wait
	spare   []*ServerStream // to be used again
	workers workers
	since   time.Time // working is 0
	greeted bool      // what must be said first (RFC 9113 section 3.4) was
	leaving departure
	leaveAt time.Time // of the first word of it
}

// Connection is what a ServerConn is told about its connection.
type Connection struct {
	Socket  *socket.Conn
	Wire    io.ReadWriter // TLS over the socket, or the socket
	State   *tls.ConnectionState
	Peer    netip.AddrPort
	Handler message.Handler
	Context context.Context // of streams
	Busy    func() bool     // the first stream begins; false when none may
	Idle    func()          // the last one has ended
}

// departure is how far the connection is on its way to its end (RFC 9113 section 6.8).
type departure uint8

const (
	staying   departure = iota
	announced           // the client was told to open no more streams; those that are on their way are still served
	departing           // the client knows which were the last
)

// Times of a connection.
const (
	restAfter = 100 * time.Millisecond // without traffic: then the connection gives back what it holds
	lookAfter = 5 * time.Second        // how often it is looked whether the last stream has ended since
	lastCall  = time.Second            // for streams that are on their way when the client is told to open no more
)

// NewServerConn takes a connection on which HTTP/2 was negotiated, and nothing was said yet.
func (s *Server) NewServerConn(connection Connection) *ServerConn {
	c := &ServerConn{server: s, Connection: connection}
	c.conn.init(connection.Wire, c, &s.Bounds, &s.Limits)
	c.workers.more.L = &c.mu
	return c
}

// Serve serves the connection. Before its end, it returns when the connection has become idle: it is to be called again, best
// by another goroutine, since the stack that requests needed would stay for as long as nobody asks for the next. At the end,
// everything that it started has ended; the socket stays open. With nil, everything that the client was to be told has left;
// the client may still be sending.
func (c *ServerConn) Serve() (over bool, err error) {
	if c.since.IsZero() {
		now := time.Now()
		c.pressing, c.quiet, c.since = now, now, now
		c.mu.Lock()
		c.greet()
		c.mu.Unlock()
	}
	if err = c.serve(); errors.Is(err, errIdling) {
		return false, nil
	}
	c.mu.Lock()
	if fault, told := errors.AsType[*ConnectionError](err); told && !fault.Remote {
		c.hangUp(fault, c.highest)
		_ = c.Socket.SetWriteDeadline(time.Now().Add(lastCall)) // to one that does not read
	} else {
		c.fail(err)
	}
	c.workers.dismiss()
	c.mu.Unlock()
	c.goroutines.Wait()
	c.reader.drop()
	if errors.Is(err, errDeparted) {
		err = nil
	}
	return true, err
}

var (
	errDeparted = errors.New("nothing is left to be served")
	errIdling   = errors.New("nothing is to be served for now")
)

func (c *ServerConn) greet() {
	c.out.hold(appendSettings(c.out.space(),
		setting{settingMaxConcurrentStreams, uint32(c.bounds.Streams)},
		setting{settingHeaderTableSize, uint32(c.bounds.HeaderTable)},
		setting{settingMaxHeaderListSize, uint32(c.server.Limits.HeadBytes)},
		setting{settingEnableConnectProtocol, 1},
		setting{settingNoRFC7540Priorities, 1}))
	if more := c.bounds.ConnectionWindow - initialWindow; more > 0 {
		c.out.hold(appendWindowUpdate(c.out.space(), 0, more))
	}
	c.greeted = true
	if c.leaving != staying {
		c.announce()
	}
	c.flush()
}

// announce asks the client to open no more streams.
func (c *ServerConn) announce() {
	c.out.hold(appendPing(appendGoAway(c.out.space(), maxStream, NoError), 0, pingLeaves))
}

func (c *ServerConn) serve() error {
	if c.idling {
		if err := c.wait(time.Now()); err != nil {
			return err
		}
	}
	for {
		if err := c.takeIn(); err != nil {
			return err
		}
		if err := c.await(); err != nil {
			return err
		}
	}
}

// takeIn deals with what has come.
func (c *ServerConn) takeIn() error {
	if !c.prefaced {
		known := c.reader.peek(len(Preface))
		if !strings.HasPrefix(Preface, string(known)) {
			return errPreface
		}
		if len(known) < len(Preface) {
			return nil
		}
		c.reader.skip(len(Preface))
		c.prefaced = true
	}
	any, err := c.take()
	if any && !c.block.open {
		c.pressing = time.Time{}
	}
	return err
}

var errPreface = violation("a malformed preface")

// await waits for more to come, and looks after the connection meanwhile.
func (c *ServerConn) await() error {
	now := time.Now()
	c.quiet, c.asked = now, false
	if !c.peer.settled || c.block.open || c.reader.within() {
		if c.pressing.IsZero() {
			c.pressing = now
		}
	}
	return c.wait(now)
}

func (c *ServerConn) wait(now time.Time) error {
	err := c.reader.wait(c.Socket, now, c.patience)
	if err == nil {
		c.idling = false
	}
	return err
}

// patience is for how long to wait before the connection is looked after again; an error ends it.
func (c *ServerConn) patience(now time.Time) (time.Duration, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	patience, err := c.stay(now)
	if err != nil {
		return 0, err
	}
	if quiet := now.Sub(c.quiet); quiet < restAfter {
		patience = min(patience, restAfter-quiet)
	} else if c.rest() && !c.idling {
		c.idling = true
		return 0, errIdling
	}
	if c.working > 0 {
		patience = min(patience, lookAfter)
	}
	if !c.pressing.IsZero() {
		left := c.server.ReadHeaderTimeout - now.Sub(c.pressing)
		if left <= 0 {
			return 0, errSlow
		}
		patience = min(patience, left)
	}
	return patience, nil
}

var (
	errSlow   = &ConnectionError{Code: SettingsTimeout, Reason: "SETTINGS, or the rest of a field block, comes too slowly"}
	errSilent = errors.New("the client gives no sign of life")
)

// stay is for how long the connection may go on like this.
func (c *ServerConn) stay(now time.Time) (left time.Duration, err error) {
	if c.leaving == announced && now.Sub(c.leaveAt) >= lastCall {
		c.depart()
	}
	switch {
	case c.leaving == announced:
		return lastCall - now.Sub(c.leaveAt), nil
	case c.working > 0:
		return c.listen(now)
	case c.leaving == departing:
		return 0, errDeparted
	}
	if left = c.server.IdleTimeout - now.Sub(c.since); left <= 0 {
		c.leaving = departing
		c.out.hold(appendGoAway(c.out.space(), c.highest, NoError))
		c.flush()
		return 0, errDeparted
	}
	return left, nil
}

// listen asks a client for a sign of life that has said nothing for long while it is being served.
func (c *ServerConn) listen(now time.Time) (left time.Duration, err error) {
	silence := c.server.Pace().StallTimeout
	if c.asked {
		silence += c.server.ReadHeaderTimeout
	}
	if left = silence - now.Sub(c.quiet); left > 0 {
		return left, nil
	}
	if c.asked {
		return 0, errSilent
	}
	c.asked = true
	c.out.hold(appendPing(c.out.space(), 0, pingAlive))
	c.flush()
	return c.server.ReadHeaderTimeout, nil
}

// What the PINGs carry that are sent.
var (
	pingAlive  = [8]byte{'a', 'l', 'i', 'v', 'e'}
	pingLeaves = [8]byte{'l', 'e', 'a', 'v', 'e', 's'}
)

// rest gives back what only traffic needs, and tells whether nothing is being served.
func (c *ServerConn) rest() bool {
	c.reader.rest()
	c.workers.dismiss()
	c.spare, c.fields = nil, nil
	if len(c.ready) == 0 {
		c.ready = nil
	}
	if len(c.waiting) == 0 {
		c.waiting = nil
	}
	if !c.block.open {
		c.block.bytes = nil
	}
	c.list.forget()
	c.scratch.Reset()
	if c.out.running {
		c.out.retired = true
		c.out.more.Signal()
	}
	return c.working == 0
}

// Drain asks the client to open no more streams. Serve returns when those that there are have ended.
func (c *ServerConn) Drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving != staying || c.err != nil {
		return
	}
	c.leaving, c.leaveAt = announced, time.Now()
	if !c.greeted {
		return
	}
	c.announce()
	c.flush()
	c.Socket.Interrupt() // so that the time begins
}

// depart tells the client which streams were the last. What it opened since it was told to stop is taken back.
func (c *ServerConn) depart() {
	c.leaving = departing
	c.forgone.from = c.highest + 1
	c.out.hold(appendGoAway(c.out.space(), c.highest, NoError))
	c.flush()
}
