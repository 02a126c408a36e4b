package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/message"
)

// What a handler may do wrong with an answer, or find out when it writes one.
var (
	errAnswered   = errors.New("a final answer was given already")
	errUnanswered = errors.New("content comes after an answer's head")
	errNotFinal   = errors.New("not the status of such an answer")
	errTooMuch    = errors.New("more content than the answer's head announced")
	errTooLittle  = errors.New("less content than the answer's head announced")
	errGivenUp    = errors.New("the answer was given up")
	errNoSwitch   = errors.New("the client asked for no other protocol")
	errStalled    = errors.New("the client takes nothing")
)

// stream is one exchange on an HTTP/1.1 connection: message.Stream on the codec of http1.
type stream struct {
	output
	head       message.Head
	body       body
	framing    http1.Framing
	whole      bool // the request's content was buffered when the request was taken in
	continued  bool // 100 was sent
	answered   bool
	bodiless   bool // the answer has no content
	chunked    bool
	untilClose bool
	closing    bool // the answer says that the connection ends after it
	length     int64
	written    int64
	ended      bool
	tunnelled  bool
	aborted    bool
}

var streams = sync.Pool{New: func() any { return new(stream) }}

func takeStream(c *conn) *stream {
	st := streams.Get().(*stream)
	st.conn = c
	return st
}

// release gives the stream back, with all that it holds.
func (s *stream) release() {
	if s.buffer != nil {
		s.buffer.give()
	}
	s.head.Reset()
	s.body.codec.Reset(nil, http1.Framing{}, http1.Limits{})
	*s = stream{head: s.head, body: body{codec: s.body.codec}}
	streams.Put(s)
}

// begin starts the exchange of the request whose head was just read.
func (s *stream) begin(framing http1.Framing) {
	c := s.conn
	s.output = output{conn: c}
	s.framing = framing
	s.whole = framing.Kind == http1.Sized && framing.Length <= int64(c.reader.Buffered())
	s.continued = c.reader.Buffered() > 0
	s.answered, s.bodiless, s.chunked, s.untilClose, s.closing = false, false, false, false, false
	s.length, s.written = 0, 0
	s.ended, s.tunnelled, s.aborted = false, false, false
	s.body.begin(c, framing)
	c.socket.WriteWithin(s.body.wait.Pace.StallTimeout)
}

// finish ends the exchange after the handler has returned; false when the connection is over.
func (s *stream) finish(sound bool) bool {
	c := s.conn
	if s.tunnelled {
		_ = c.wire.Close()
		return false
	}
	if !s.ended || !sound || s.aborted || s.err != nil {
		s.Abort()
		return false
	}
	if s.body.interrupted.Load() {
		c.socket.Resume()
	}
	if s.whole && !s.body.done.Load() {
		s.body.discard()
	}
	if !s.closing && s.body.done.Load() {
		return true
	}
	if s.body.done.Load() && c.reader.Buffered() == 0 && c.socket.Quiet() {
		_ = c.wire.Close()
	} else {
		c.linger(c.closeWrite)
	}
	return false
}

func (s *stream) Head() *message.Head      { return &s.head }
func (s *stream) Body() message.Body       { return &s.body }
func (s *stream) Peer() netip.AddrPort     { return s.conn.peer }
func (s *stream) Context() context.Context { return s.conn.server.base }
func (s *stream) Gone() bool               { return s.conn.socket.HungUp() }

func (s *stream) TLS() *tls.ConnectionState {
	c := s.conn
	if c.secure != nil && c.state == nil {
		state := c.secure.ConnectionState()
		c.state = &state
	}
	return c.state
}

// Interim sends 100 only to a client that waits for it, and nothing to one of HTTP/1.0 (RFC 9110 section 15.2).
func (s *stream) Interim(head *message.Head) error {
	switch {
	case s.answered:
		return errAnswered
	case head.Status < 100 || head.Status > 199 || head.Status == 101:
		return errNotFinal
	case s.head.Version == message.HTTP10 || s.aborted:
		return s.err
	case head.Status == 100 && (!s.head.Expect || s.continued || s.body.begun.Load()):
		return s.err
	}
	s.continued = s.continued || head.Status == 100
	text, _ := http1.AppendResponse(s.space(), head, http1.Answer{})
	s.hold(text)
	return s.flush()
}

// Answer says that the connection ends after it when the request's content may not be read to its end.
func (s *stream) Answer(head *message.Head) error {
	switch {
	case s.aborted:
		return errGivenUp
	case s.answered:
		return errAnswered
	case head.Status < 200:
		return errNotFinal
	}
	s.answered = true
	isHead := s.head.Method == "HEAD"
	s.bodiless = isHead || message.Bodiless(head.Status)
	s.length = head.Length
	s.untilClose = head.Length == message.Unknown && !s.bodiless && s.head.Version == message.HTTP10
	s.closing = s.untilClose || !s.framing.Persistent || s.conn.server.draining.Load() || !s.whole && !s.body.done.Load()
	s.writeHead(head, isHead)
	return s.err
}

func (s *stream) writeHead(head *message.Head, isHead bool) {
	a := http1.Answer{Version: s.head.Version, Head: isHead, Close: s.closing}
	if head.Get(message.Date) == nil {
		a.Date = s.conn.server.clock.date(time.Now()).text
	}
	text, chunked := http1.AppendResponse(s.space(), head, a)
	s.chunked = chunked && !s.bodiless
	s.hold(text)
}

// Write holds content back until there is much of it, Flush or End.
func (s *stream) Write(content []byte) (int, error) {
	switch {
	case s.aborted:
		return 0, errGivenUp
	case !s.answered || s.ended:
		return 0, errUnanswered
	case s.bodiless || len(content) == 0:
		return len(content), s.err
	}
	s.written += int64(len(content))
	if s.length >= 0 && s.written > s.length {
		s.Abort()
		return 0, errTooMuch
	}
	if s.chunked {
		s.hold(http1.AppendChunkHeader(s.space(), len(content)))
	}
	err := s.write(content)
	if s.chunked {
		err = s.write(chunkEnd)
	}
	if err != nil {
		return 0, fmt.Errorf("writing the answer: %w", err)
	}
	return len(content), nil
}

var chunkEnd = []byte("\r\n")

// Flush sends on what was held back.
func (s *stream) Flush() error {
	if s.aborted {
		return errGivenUp
	}
	return s.flush()
}

// End completes the answer. Trailers leave with chunked content only.
func (s *stream) End(trailer *message.Fields) error {
	switch {
	case s.aborted:
		return errGivenUp
	case !s.answered || s.ended:
		return errUnanswered
	case !s.bodiless && s.length >= 0 && s.written < s.length:
		s.Abort()
		return errTooLittle
	}
	s.ended = true
	if s.chunked {
		s.hold(http1.AppendLastChunk(s.space(), trailer))
	}
	return s.flush()
}

// Abort sends what was held back of an answer, so that the client sees that one began and does not ask again, and closes the
// connection without a clean end.
func (s *stream) Abort() {
	if s.aborted {
		return
	}
	s.aborted = true
	if s.answered && !s.ended {
		_ = s.flush()
	}
	// An end would make a part pass for the whole where nothing else tells of it, also to most clients of TLS. And for
	// somebody who stopped reading the system would keep what is still to be sent.
	if s.untilClose || isTimeout(s.err) {
		s.conn.socket.Reset()
		return
	}
	_ = s.conn.socket.Close() // without close_notify
}

// Tunnel answers 101.
func (s *stream) Tunnel(head *message.Head) (message.Tunnel, error) {
	switch {
	case s.aborted:
		return nil, errGivenUp
	case s.answered:
		return nil, errAnswered
	case head.Status != 101:
		return nil, errNotFinal
	case s.head.Protocol == "" || s.head.Version != message.HTTP11:
		return nil, errNoSwitch
	}
	s.answered, s.tunnelled = true, true
	s.writeHead(head, false)
	if err := s.flush(); err != nil {
		return nil, err
	}
	s.conn.socket.ReadBy(time.Time{})
	return &tunnel{conn: s.conn, ahead: s.conn.reader.Detach()}, nil
}

// tunnel is the connection after its protocol has changed.
type tunnel struct {
	conn  *conn
	ahead []byte // what the client sent with its request
	once  sync.Once
}

func (t *tunnel) Read(p []byte) (int, error) {
	if len(t.ahead) > 0 {
		n := copy(p, t.ahead)
		t.ahead = t.ahead[n:]
		return n, nil
	}
	return t.conn.wire.Read(p)
}

func (t *tunnel) Write(p []byte) (int, error) { return t.conn.wire.Write(p) }
func (t *tunnel) CloseWrite() error           { return t.conn.closeWrite() }

func (t *tunnel) Close() error {
	var err error
	t.once.Do(func() { err = t.conn.wire.Close() })
	return err
}
