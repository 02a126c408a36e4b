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

// stream is one exchange on an HTTP/1.1 connection: message.Stream on the codec of http1.
type stream struct {
	output
	head       message.Head
	body       body
	framing    http1.Framing
	whole      bool // the request's content was buffered when the request was taken in
	continued  bool // 100 was sent
	progress   message.Progress
	chunked    bool
	untilClose bool
	closing    bool // the answer says that the connection ends after it
	tunnelled  bool
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
	s.progress = message.Progress{}
	s.chunked, s.untilClose, s.closing, s.tunnelled = false, false, false, false
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
	if !s.progress.Ended || !sound || s.progress.Aborted || s.err != nil {
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
	if err := s.progress.Interim(head); err != nil {
		return err
	}
	switch {
	case s.head.Version == message.HTTP10:
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
	if err := s.progress.Answer(head, s.head.Method); err != nil {
		return err
	}
	s.untilClose = head.Length == message.Unknown && !s.progress.Bodiless && s.head.Version == message.HTTP10
	s.closing = s.untilClose || !s.framing.Persistent || s.conn.server.parting.Load() || s.conn.server.draining.Load() || !s.whole && !s.body.done.Load()
	s.writeHead(head)
	return s.err
}

func (s *stream) writeHead(head *message.Head) {
	a := http1.Answer{Version: s.head.Version, Head: s.head.Method == "HEAD", Close: s.closing}
	if head.Get(message.Date) == nil {
		a.Date = s.conn.server.clock.date(time.Now()).text
	}
	text, chunked := http1.AppendResponse(s.space(), head, a)
	s.chunked = chunked && !s.progress.Bodiless
	s.hold(text)
}

// Write holds content back until there is much of it, Flush or End.
func (s *stream) Write(content []byte) (int, error) {
	if err := s.progress.Write(content); err != nil {
		return 0, s.stop(err)
	}
	if s.progress.Bodiless || len(content) == 0 {
		return len(content), s.err
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
	if s.progress.Aborted {
		return message.ErrGivenUp
	}
	return s.flush()
}

// End completes the answer. Trailers leave with chunked content only.
func (s *stream) End(trailer *message.Fields) error {
	if err := s.progress.End(); err != nil {
		return s.stop(err)
	}
	if s.chunked {
		s.hold(http1.AppendLastChunk(s.space(), trailer))
	}
	return s.flush()
}

// stop aborts the answer if its content is not what its head announced.
func (s *stream) stop(err error) error {
	if errors.Is(err, message.ErrTooMuch) || errors.Is(err, message.ErrTooLittle) {
		s.Abort()
	}
	return err
}

// Abort sends what was held back of an answer, so that the client sees that one began and does not ask again, and closes the
// connection without a clean end.
func (s *stream) Abort() {
	if s.progress.Aborted {
		return
	}
	s.progress.Aborted = true
	if s.progress.Answered && !s.progress.Ended {
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
	if err := s.progress.Switch(head, &s.head); err != nil {
		return nil, err
	}
	s.tunnelled = true
	s.writeHead(head)
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
