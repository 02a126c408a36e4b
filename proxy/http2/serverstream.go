package http2

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/pace"
)

// ServerStream is one request of a client, and the way to answer it: message.Stream and its Body.
type ServerStream struct {
	stream
	server *ServerConn

	head     message.Head
	progress message.Progress
	refusal  *http1.Error // the request is not taken in
	muted    bool         // nothing is said to the client any more
	tunnel   *tunnel
	wait     pace.Wait
	talks    bool        // the answer has begun: what the client sends is part of a conversation
	begun    atomic.Bool // the content was asked for
	bodyErr  error
	context  context.Context
}

// start makes the stream that of a request. It is called with the lock held.
func (st *ServerStream) start(id uint32, endStream bool, refusal *http1.Error) {
	st.open(id)
	st.received = endStream
	st.progress, st.refusal, st.muted, st.tunnel = message.Progress{}, refusal, false, nil
	st.wait, st.talks = pace.Wait{Pace: st.server.server.Pace()}, false
	st.begun.Store(false)
	st.bodyErr = nil
	if st.head.Protocol == "" {
		st.length = st.head.Length
	}
	if refusal != nil {
		st.length, st.head.Length = message.Unknown, 0
	}
}

// serve has the stream served.
func (st *ServerStream) serve() {
	s := st.server.server
	var sound bool
	switch {
	case st.refusal != nil:
		sound = s.Run(st.refused, st)
	case !st.Gone():
		sound = s.Run(st.server.Handler, st)
	}
	st.complete(sound)
}

func (st *ServerStream) refused(stream message.Stream) { st.server.server.Refused(stream, st.refusal) }

// complete ends the stream after the handler has returned.
func (st *ServerStream) complete(sound bool) {
	c := &st.server.conn
	if st.tunnel != nil {
		_ = st.tunnel.Close()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if st.over == nil && c.err == nil && !st.muted {
		switch {
		case st.sent && st.received:
		case st.progress.Aborted || !st.progress.Ended || !sound:
			st.giveUp(InternalError)
		default:
			delete(c.streams, st.id)
			c.part(st.id)
		}
	}
	if st.cancel != nil {
		st.cancel()
		st.context, st.cancel = nil, nil
	}
	c.leave(&st.stream)
	st.discard()
	st.head.Reset()
	st.readable.stop()
	st.writable.stop()
}

// giveUp resets the stream.
func (st *ServerStream) giveUp(code ErrCode) {
	c := &st.server.conn
	if st.over != nil || c.err != nil {
		return
	}
	delete(c.streams, st.id)
	c.forgone.add(st.id)
	st.end(&StreamError{Code: code, Reason: "given up"})
	st.reset(code)
}

func (st *ServerStream) Head() *message.Head       { return &st.head }
func (st *ServerStream) Body() message.Body        { return st }
func (st *ServerStream) Peer() netip.AddrPort      { return st.server.Peer }
func (st *ServerStream) TLS() *tls.ConnectionState { return st.server.State }

// Context ends with the stream. It is made when it is asked for: hardly anybody does.
func (st *ServerStream) Context() context.Context {
	st.conn.mu.Lock()
	defer st.conn.mu.Unlock()
	if st.context == nil {
		st.context, st.cancel = context.WithCancel(st.server.Context)
		if st.failure() != nil {
			st.cancel()
		}
	}
	return st.context
}

// Gone tells whether the client gave the request up, or has left.
func (st *ServerStream) Gone() bool {
	st.conn.mu.Lock()
	defer st.conn.mu.Unlock()
	return st.failure() != nil
}

// Interim sends 100 only to a client that waits for it.
func (st *ServerStream) Interim(head *message.Head) error {
	if err := st.progress.Interim(head); err != nil || st.muted {
		return err
	}
	if head.Status == 100 && (!st.head.Expect || st.begun.Load()) {
		return nil
	}
	return st.sendHead(head, message.Unknown, true)
}

// Answer holds the head back until content comes, Flush or End, unless other streams have something to send.
func (st *ServerStream) Answer(head *message.Head) error {
	if err := st.progress.Answer(head, st.head.Method); err != nil || st.muted {
		return err
	}
	length := head.Length
	if message.Bodiless(head.Status) { // in a 304 it would puzzle clients that miss the content then
		length = message.Unknown
	}
	return st.sendHead(head, length, false)
}

func (st *ServerStream) sendHead(head *message.Head, length int64, flush bool) error {
	c := &st.server.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out.length() >= outputSize && st.failure() == nil {
		if err := st.awaitRoom(st.server.server.Pace().StallTimeout); err != nil {
			return lost(err)
		}
	}
	if err := st.failure(); err != nil {
		return lost(err)
	}
	block := appendStatus(c.encoder.begin(c.fields[:0]), head.Status)
	block = c.encoder.appendFields(block, &head.Fields)
	if length >= 0 {
		block = appendLength(block, length)
	}
	if head.Status >= 200 && head.Get(message.Date) == nil {
		date := message.Field{ID: message.Date, Name: dateName, Value: st.server.server.Date()}
		block = c.encoder.appendField(block, &date)
	}
	st.sendBlock(block, 0)
	c.fields = block
	if head.Status >= 200 && !st.talks {
		st.talks = true
		st.readable.wake()
	}
	if flush {
		c.flush()
	}
	return nil
}

var dateName = []byte("date")

// Write waits while the client leaves no window for the content, or more urgent streams no room.
func (st *ServerStream) Write(content []byte) (int, error) {
	err := st.progress.Write(content)
	if errors.Is(err, message.ErrTooMuch) {
		st.Abort()
	}
	if err != nil {
		return 0, err
	}
	if st.muted || st.progress.Bodiless || len(content) == 0 {
		return len(content), nil
	}
	c := &st.server.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := st.write(content, st.server.server.Pace().StallTimeout); err != nil {
		if errors.Is(err, errStalled) {
			st.giveUp(Cancel)
			st.progress.Aborted = true
		}
		return 0, lost(err)
	}
	return len(content), nil
}

// lost is the error of an answer that the client does not take.
func lost(err error) error { return fmt.Errorf("writing the answer: %w", err) }

// Flush has sent what was held back. It does not wait for it.
func (st *ServerStream) Flush() error {
	if st.progress.Aborted {
		return message.ErrGivenUp
	}
	if !st.progress.Answered || st.muted {
		return nil
	}
	c := &st.server.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := st.failure(); err != nil {
		return lost(err)
	}
	c.flush()
	return nil
}

// End completes the answer.
func (st *ServerStream) End(trailer *message.Fields) error {
	err := st.progress.End()
	if errors.Is(err, message.ErrTooLittle) {
		st.Abort()
	}
	if err != nil || st.muted {
		return err
	}
	c := &st.server.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := st.failure(); err != nil {
		return lost(err)
	}
	if trailer != nil && trailer.Len() > 0 && !st.progress.Bodiless {
		block := c.encoder.appendFields(c.encoder.begin(c.fields[:0]), trailer)
		st.sendBlock(block, flagEndStream)
		c.fields = block
	} else {
		st.finish()
	}
	st.settle()
	c.flush()
	return nil
}

// settle forgets a stream that has ended in both directions: the client counts it no more, whatever is still to be done here.
func (st *stream) settle() {
	if st.sent && st.received {
		delete(st.conn.streams, st.id)
	}
}

// Abort resets the stream. What was held back of an answer leaves before, so that the client sees that one began.
func (st *ServerStream) Abort() {
	if st.progress.Aborted {
		return
	}
	st.progress.Aborted = true
	st.conn.mu.Lock()
	defer st.conn.mu.Unlock()
	if !st.muted {
		st.giveUp(InternalError)
	}
}

// The content of the request: message.Body.

// Next waits as long as the pace allows.
func (st *ServerStream) Next() ([]byte, error) {
	st.begun.Store(true)
	if st.bodyErr != nil {
		return nil, st.bodyErr
	}
	content, err := st.nextContent()
	st.bodyErr = err
	return content, err
}

func (st *ServerStream) nextContent() ([]byte, error) {
	c := st.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	st.stream.release()
	if st.refusal != nil {
		return nil, io.EOF
	}
	if st.content.size == 0 && !st.received {
		return st.awaitContent()
	}
	content, _, err := st.next(time.Time{})
	st.wait.Came(len(content), 0)
	return content, bodyError(err)
}

// awaitContent waits for content that is to come. A client that talks with the target may be silent, as long as it lives. One
// that cannot send any, because other streams' content, which nobody takes, has all the room, need not keep a rate.
func (st *ServerStream) awaitContent() ([]byte, error) {
	for {
		patience, starved := st.wait.Patience(), st.conn.allowed < leastPart
		switch {
		case st.talks:
			patience = conversation
		case starved:
			patience = st.wait.Pace.StallTimeout
		case patience <= 0:
			return nil, message.ErrTooSlow
		}
		started := time.Now()
		content, expired, err := st.next(started.Add(patience))
		if !starved && !st.talks {
			st.wait.Came(len(content), time.Since(started))
		}
		if !expired {
			return content, bodyError(err)
		}
		if !st.talks {
			return nil, message.ErrTooSlow
		}
	}
}

// conversation is how long a wait may take at once that is not bounded.
const conversation = time.Hour

// bodyError says what the end of a stream means for the content.
func bodyError(err error) error {
	ours, ofStream := errors.AsType[*StreamError](err)
	switch {
	case err == nil, err == io.EOF, errors.Is(err, message.ErrInterrupted): //nolint:errorlint // the end of content is that very value
		return err
	case ofStream && !ours.Remote:
		return fmt.Errorf("%w: %w", message.ErrMalformed, err)
	default:
		return fmt.Errorf("%w: %w", message.ErrGone, err)
	}
}

// Buffered is how many bytes have come.
func (st *ServerStream) Buffered() int {
	st.conn.mu.Lock()
	defer st.conn.mu.Unlock()
	return st.content.size - st.content.taken
}

// Trailer is what followed the content.
func (st *ServerStream) Trailer() *message.Fields {
	if st.bodyErr != io.EOF || !st.trailed { //nolint:errorlint // the end of content is that very value
		return nil
	}
	return &st.trailer
}

// Interrupt may be called until the handler returns.
func (st *ServerStream) Interrupt() {
	st.conn.mu.Lock()
	defer st.conn.mu.Unlock()
	st.quit = true
	st.readable.wake()
}
