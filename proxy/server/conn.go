package server

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/http2"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/socket"
)

// Times and sizes of a connection.
const (
	readBuffer    = 16 << 10
	mostHandshake = 10 * time.Second
	idleTick      = 100 * time.Millisecond // after which an idle connection gives back what it holds
	lastCall      = time.Second            // for what is on its way when the server drains
	stale         = time.Second            // after which a handshake or a head that still comes makes room for other connections
)

// phase is what a connection does.
type phase uint8

const (
	shakingHands phase = iota
	waiting            // for a request, in a read that can be interrupted
	resting            // with nothing in flight: HTTP/2 without streams, or after the last answer
	takingIn           // a head, of which something came
	serving
	leaving // nothing is served any more
)

// conn is one TCP connection of a client. A goroutine serves it; the methods of member may be called by others.
type conn struct {
	server  *server
	socket  *socket.Conn
	wire    net.Conn  // secure, or socket
	secure  *tls.Conn // nil on a plain connection
	handler message.Handler
	peer    netip.AddrPort
	state   *tls.ConnectionState

	reader *http1.Reader
	fresh  bool    // no request came yet
	idling bool    // the next wait is a long one
	work   *stream // of the request that is served, kept for a while for the next one

	mu    sync.Mutex
	phase phase
	since time.Time // of phase
	woken bool      // the wait for a request was interrupted

	multiplexed *http2.ServerConn // nil unless HTTP/2 is spoken
}

// open takes in a connection that was accepted.
func (s *server) open(ctx context.Context, accepted *net.TCPConn, secure bool) {
	wrapped, err := socket.New(accepted)
	if err != nil {
		_ = accepted.Close()
		return
	}
	_ = accepted.SetKeepAlivePeriod(keepAlive)
	c := &conn{server: s, socket: wrapped, wire: wrapped, handler: s.handlers.Plain, fresh: true, since: time.Now()}
	if remote, isTCP := wrapped.RemoteAddr().(*net.TCPAddr); isTCP {
		peer := remote.AddrPort()
		c.peer = netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
	}
	wrapped.WriteWithin(s.pace.Load().StallTimeout)
	serve := c.serveHTTP1
	if secure {
		c.secure = tls.Server(wrapped, s.tls)
		c.wire, c.handler, serve = c.secure, s.handlers.Secure, c.shakeHands
	}
	if s.relayed(c.peer.Addr()) {
		talk := serve
		serve = func() { c.introduce(talk) }
	}
	if !s.registry.enter(ctx, c) {
		_ = wrapped.Close()
		return
	}
	c.become(shakingHands, time.Now()) // its time begins now: it may have waited for long
	s.connections.Go(serve)
}

// shakeHands does the TLS handshake, and hands the connection to a goroutine of the protocol that was negotiated: the
// handshake needs a deep stack, which would stay for as long as the connection does.
func (c *conn) shakeHands() {
	s := c.server
	c.socket.ReadBy(c.since.Add(min(s.settings.ReadHeaderTimeout, mostHandshake)))
	if err := c.secure.HandshakeContext(s.handshakes); err != nil {
		c.server.counts.handshakesFailed.Add(1)
		c.tellPlain(err)
		c.end()
		return
	}
	switch c.secure.ConnectionState().NegotiatedProtocol {
	case "h2":
		s.connections.Go(c.serveHTTP2)
	case "", "http/1.1":
		s.connections.Go(c.serveHTTP1)
	default: // a protocol that ends with its handshake, as acme-tls/1 does
		c.end()
	}
}

// tellPlain answers a client that speaks HTTP without TLS.
func (c *conn) tellPlain(err error) {
	var header tls.RecordHeaderError
	if errors.As(err, &header) && header.Conn != nil && looksPlain(header.RecordHeader) {
		_, _ = c.socket.Write([]byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 29\r\n\r\nThis port speaks HTTPS only.\n"))
		c.linger(c.socket.CloseWrite)
	}
}

func looksPlain(first [5]byte) bool {
	switch string(first[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH":
		return true
	default:
		return false
	}
}

// end closes the connection, if it still is open, and takes it out of the registry.
func (c *conn) end() {
	_ = c.socket.Close()
	c.server.registry.leave(c)
}

// become changes the phase; false when the connection was evicted. Interruptions of the phase before are over.
func (c *conn) become(next phase, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == leaving {
		return false
	}
	c.phase, c.since = next, now
	if c.woken {
		c.woken = false
		c.socket.Resume()
	}
	return true
}

// serveHTTP1 serves one request after the other. A connection that has become idle goes on in a new goroutine, since the stack
// that a request needed would stay for as long as nobody asks for the next.
func (c *conn) serveHTTP1() {
	if c.reader == nil {
		c.reader = http1.NewReader(c.wire, readBuffer)
	}
	for c.await() && c.exchange() {
		c.fresh = false
	}
	if c.idling {
		c.server.connections.Go(c.serveHTTP1)
		return
	}
	c.rest()
	c.end()
}

// await waits for the first byte of a request; false when the connection is over.
func (c *conn) await() bool {
	now := time.Now()
	if c.reader.Buffered() > 0 { // sent ahead
		return c.become(takingIn, now)
	}
	idling := c.idling
	if c.idling = false; !idling && !c.become(waiting, now) {
		return false
	}
	var err error
	switch {
	case c.server.draining.Load() && !c.server.gentle.Load():
		err = c.waitOnceMore()
	case idling:
		err = c.waitLong()
	default:
		err = c.waitShortly()
	}
	if c.idling {
		return false
	}
	if errors.Is(err, socket.ErrInterrupted) {
		err = c.waitOnceMore()
	}
	if err != nil && (isTimeout(err) || errors.Is(err, net.ErrClosed)) {
		_ = c.wire.Close() // with close_notify
	}
	return err == nil && c.become(takingIn, time.Now())
}

// waitShortly gives back what the connection holds, and leaves it idling, when nothing comes soon.
func (c *conn) waitShortly() error {
	patience := c.patience()
	c.socket.ReadWithin(c.since, min(patience, idleTick))
	err := c.reader.Wait()
	if c.idling = isTimeout(err) && patience > idleTick; c.idling {
		c.rest()
	}
	return err
}

// waitLong waits for what is left of the idle timeout.
func (c *conn) waitLong() error {
	c.socket.ReadBy(c.since.Add(c.patience()))
	return c.reader.Wait()
}

// patience is how long a request may be waited for.
func (c *conn) patience() time.Duration {
	if c.fresh {
		return c.server.settings.ReadHeaderTimeout
	}
	return c.server.settings.IdleTimeout
}

// waitOnceMore takes what was on its way when the server began to drain.
func (c *conn) waitOnceMore() error {
	now := time.Now()
	if !c.become(waiting, now) || (!c.fresh && c.socket.Quiet()) {
		return net.ErrClosed
	}
	c.socket.ReadWithin(now, lastCall)
	return c.reader.Wait()
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// rest gives back what only a request needs.
func (c *conn) rest() {
	if c.work != nil {
		c.work.release()
		c.work, c.state = nil, nil
	}
	if c.reader != nil {
		c.reader.Release()
	}
}

// exchange takes in one request and has it answered; false when the connection is over.
func (c *conn) exchange() bool {
	s := c.server
	if c.work == nil {
		c.work = takeStream(c)
	}
	st := c.work
	st.head.Reset()
	now := c.since // only this goroutine sets it
	c.socket.ReadWithin(now, s.settings.ReadHeaderTimeout)
	framing, err := c.reader.ReadRequest(&st.head, s.limits)
	if !c.become(serving, now) {
		return false
	}
	if err != nil {
		return c.refuse(st, err)
	}
	st.begin(framing)
	return st.finish(s.run(c.handler, st))
}

// refuse answers a request whose head could not be read, if there is somebody to answer. The connection is over.
func (c *conn) refuse(st *stream, err error) bool {
	var refusal *http1.Error
	if isTimeout(err) {
		refusal = errSlowHead
	} else if !errors.As(err, &refusal) {
		return false
	}
	st.begin(http1.Framing{})
	st.head.Length = 0
	return st.finish(c.server.run(func(message.Stream) { c.server.refuse(st, refusal) }, st))
}

var errSlowHead = &http1.Error{Status: 408, Reason: "the head comes too slowly"}

// closeWrite says that nothing more will be sent.
func (c *conn) closeWrite() error {
	if c.secure != nil {
		_ = c.secure.CloseWrite()
	}
	return c.socket.CloseWrite()
}

// What a client may still send after the last answer: closing while it does would take that answer away from it, since the
// system then resets the connection.
const (
	lingerFor  = 5 * time.Second
	lingerMost = 64 << 20
)

// linger ends the connection once the client has had time to read what was sent.
func (c *conn) linger(closeWrite func() error) {
	c.rest()
	if closeWrite() != nil || !c.become(resting, time.Now()) {
		return
	}
	c.socket.Resume()
	scratch := takeBuffer()
	defer scratch.give()
	space := scratch.bytes[:cap(scratch.bytes)]
	c.socket.ReadWithin(time.Now(), lingerFor)
	for total := 0; total < lingerMost; {
		n, err := c.socket.Read(space) // below TLS, whose content nobody reads any more
		if err != nil {
			return
		}
		total += n
	}
}

// The methods of member.

func (c *conn) name() string {
	if c.secure != nil {
		return nameHTTPS
	}
	return nameHTTP
}

func (c *conn) idleSince() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.since, c.idle()
}

func (c *conn) idle() bool {
	switch c.phase {
	case waiting, resting:
		return true
	case shakingHands, takingIn:
		return time.Since(c.since) > stale
	default:
		return false
	}
}

func (c *conn) evict() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.idle() {
		return false
	}
	c.phase = leaving
	_ = c.socket.Close()
	return true
}

// drain wakes the goroutine that waits for a request, if there is no time for one more.
func (c *conn) drain() {
	c.mu.Lock()
	if c.phase == waiting && !c.server.gentle.Load() {
		c.woken = true
		c.socket.Interrupt()
	}
	multiplexed := c.multiplexed
	c.mu.Unlock()
	if multiplexed != nil {
		multiplexed.Drain()
	}
}

func (c *conn) cut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	busy := c.phase == serving
	c.phase = leaving
	_ = c.socket.Close()
	return busy
}
