package http2

import (
	"context"
	"errors"
	"time"

	"github.com/portico-web/portico/proxy/message"
)

// stream is what both ends' streams have in common: two directions with their windows. What it holds is guarded by the
// connection's lock. It belongs to one connection, which may use it again for another id.
type stream struct {
	conn *conn
	id   uint32
	over error         // why it ended before its time; nil while it did not
	call *ClientStream // that this is of; nil on a server
	sending
	receiving
	trailer  message.Fields // of what is received
	readable waiter
	writable waiter
	cancel   context.CancelFunc // of the context that somebody asked for; nil when nobody did
}

type sending struct {
	window     int64  // what the other end takes; negative after it shrank
	pending    []byte // content that waits for room
	last       bool   // END_STREAM is to follow it
	queued     bool   // among those that wait
	sent       bool   // END_STREAM
	frame      int    // where the stream's last frame begins in the output, plus one; 0 for nowhere
	generation uint32 // of that output
	urgency    uint8
	shares     bool // the bandwidth, with other streams of its urgency
	turn       uint64
	stalled    time.Time // since then the other end leaves no window; zero when it does
}

type receiving struct {
	content  queue
	received bool  // END_STREAM
	allowed  int   // what the other end may still send
	granted  int   // the size of its window
	used     int   // content that was used, and that the window was not moved on for yet
	length   int64 // as announced; message.Unknown when it was not
	headless bool  // the head has to come first
	came     int64
	trailed  bool // there are trailers
	quit     bool // reading was interrupted
}

var (
	errOverrunStream = &StreamError{Code: FlowControlError, Reason: "more content than the stream's window"}
	errWindowStream  = &StreamError{Code: FlowControlError, Reason: "a window of more than 2^31-1"}
	errHalfClosed    = &StreamError{Code: StreamClosed, Reason: "a frame behind the end of the stream"}
	errStalled       = errors.New("the other end takes nothing")
)

// init makes the stream one of the connection's, for good.
func (st *stream) init(c *conn) {
	st.conn = c
	st.readable.init(&c.mu)
	st.writable.init(&c.mu)
}

// open makes the stream ready for a new id.
func (st *stream) open(id uint32) {
	c := st.conn
	c.turn++
	st.id, st.over = id, nil
	st.sending = sending{window: c.peer.initialWindow, urgency: defaultUrgency, shares: true, turn: c.turn}
	st.receiving = receiving{allowed: firstWindow, granted: firstWindow, length: message.Unknown}
	st.trailer.Reset()
}

// widen changes the window of what is sent.
func (st *stream) widen(delta int64) error {
	if st.window+delta > maxWindow {
		return errWindowStream
	}
	st.window += delta
	if st.window > 0 && st.queued {
		st.conn.flush()
	}
	return nil
}

// failure is why nothing can be sent, or received, any more.
func (st *stream) failure() error {
	if st.over != nil {
		return st.over
	}
	return st.conn.err
}

// end notes that the stream ended before its time, and wakes who waits on it.
func (st *stream) end(why error) {
	if st.over == nil {
		st.over = why
	}
	st.conn.leave(st)
	st.readable.wake()
	st.writable.wake()
	if st.cancel != nil {
		st.cancel()
	}
}

// send appends as much content as there is room and window for, at most so many frames, and returns the rest.
func (st *stream) send(content []byte, frames int) []byte {
	c := st.conn
	for ; len(content) > 0 && frames > 0; frames-- {
		room := outputSize - c.out.length() - frameHeaderSize
		n := min(len(content), dataSize, c.peer.frameSize, room, int(st.window), int(c.window))
		if n <= 0 || n == room && n < leastPart {
			break
		}
		st.frame, st.generation = c.out.length()+1, c.out.generation
		c.out.hold(append(appendFrameHeader(c.out.space(), n, frameData, 0, st.id), content[:n]...))
		st.window -= int64(n)
		c.window -= int64(n)
		if n >= leastPart || n == len(content) { // not for what a window of a few bytes makes of it
			c.earn()
		}
		st.stalled, c.stalled = time.Time{}, time.Time{}
		content = content[n:]
	}
	return content
}

// write sends content, and waits while the other end, or more urgent streams, leave no room for it.
func (st *stream) write(content []byte, patience time.Duration) error {
	c := st.conn
	if err := st.failure(); err != nil {
		return err
	}
	if len(c.waiting) == 0 || st.mayPass() {
		content = st.send(content, outputSize)
	}
	if len(content) == 0 {
		if c.out.length() >= maxFrameSize {
			c.flush()
		}
		return nil
	}
	st.pending = content
	return st.awaitRoom(patience)
}

// mayPass tells whether nobody waits who would be served before.
func (st *stream) mayPass() bool {
	first := st.conn.mostUrgent()
	return first == nil || st.before(first)
}

// awaitRoom waits until what is pending was sent, or until the output has room for a head.
func (st *stream) awaitRoom(patience time.Duration) error {
	c := st.conn
	c.wait(st)
	c.flush()
	for st.queued {
		if st.failure() == nil {
			st.writable.wait(st.patient(time.Now(), patience))
		}
		err := st.failure()
		if err == nil && st.stuck(time.Now(), patience) {
			err = errStalled
		}
		if err != nil {
			c.leave(st)
			st.pending = nil
			return err
		}
	}
	return nil
}

// patient is when to look again whether the other end takes what is sent.
func (st *stream) patient(now time.Time, patience time.Duration) time.Time {
	if c := st.conn; c.window <= 0 && c.stalled.IsZero() {
		c.stalled = now
	}
	if st.window <= 0 && st.stalled.IsZero() {
		st.stalled = now
	}
	return now.Add(patience)
}

// stuck tells whether the other end has left no window for so long. That others are served first is no such thing, and a
// connection that takes nothing at all is found out by its socket.
func (st *stream) stuck(now time.Time, patience time.Duration) bool {
	c := st.conn
	return st.window <= 0 && !st.stalled.IsZero() && now.Sub(st.stalled) >= patience ||
		c.window <= 0 && !c.stalled.IsZero() && now.Sub(c.stalled) >= patience
}

// finish sends END_STREAM, on the last frame if that has not left yet.
func (st *stream) finish() {
	c := st.conn
	st.sent = true
	if st.frame > 0 && st.generation == c.out.generation {
		c.out.buffer.bytes[st.frame-1+4] |= flagEndStream
		return
	}
	c.out.hold(appendFrameHeader(c.out.space(), 0, frameData, flagEndStream, st.id))
}

// sendBlock sends a field block.
func (st *stream) sendBlock(block []byte, flags uint8) {
	c := st.conn
	st.frame, st.generation = c.out.length()+1, c.out.generation
	c.out.hold(appendBlock(c.out.space(), st.id, block, c.peer.frameSize, flags))
	if flags&flagEndStream != 0 {
		st.sent = true
	}
}

// reset tells the other end that the stream ended before its time.
func (st *stream) reset(code ErrCode) {
	c := st.conn
	if c.err == nil {
		c.out.hold(appendRSTStream(c.out.space(), st.id, code))
		c.flush()
	}
}
