package http2

import (
	"io"
	"time"

	"github.com/portico-web/portico/proxy/message"
)

// consumed moves the connection's window on for content that nobody needs any more: in steps, which are smaller when content
// that nobody takes holds most of the window.
func (c *conn) consumed(n int) {
	c.used += n
	if (c.used >= c.bounds.ConnectionWindow/4 || c.used > c.allowed && c.used >= leastPart) && c.err == nil {
		c.out.hold(appendWindowUpdate(c.out.space(), 0, c.used))
		c.allowed += c.used
		c.used = 0
		c.flush()
	}
}

// firstWindow is what a stream may send ahead at first.
const firstWindow = initialWindow

// consumed moves the stream's window on. It grows when the other end used most of it while what came was used at once: then
// it, and not who takes the content, is what holds the stream up.
func (st *stream) consumed(n int) {
	c := st.conn
	st.used += n
	if st.received || st.over != nil || st.used < st.granted/2 || c.err != nil {
		return
	}
	increment := st.used
	if st.content.size == 0 && st.granted < c.bounds.StreamWindow {
		grown := min(2*st.granted, c.bounds.StreamWindow)
		increment += grown - st.granted
		st.granted = grown
	}
	st.allowed += increment
	st.used = 0
	c.out.hold(appendWindowUpdate(c.out.space(), st.id, increment))
	c.flush()
}

// next waits for the content that comes next, until a time.
func (st *stream) next(until time.Time) (content []byte, expired bool, err error) {
	st.release()
	for st.content.size == 0 && !st.received && !st.quit && st.failure() == nil {
		if !st.readable.wait(until) {
			return nil, true, nil
		}
	}
	switch {
	case st.quit:
		return nil, false, message.ErrInterrupted
	case st.failure() != nil && !(st.received && st.over == nil):
		return nil, false, st.failure()
	case st.content.size > 0:
		return st.content.take(), false, nil
	default:
		return nil, false, io.EOF
	}
}

// release lets go of the content that next gave last.
func (st *stream) release() {
	if n := st.content.taken; n > 0 {
		st.content.release()
		st.conn.consumed(n)
		st.consumed(n)
	}
}

// discard lets go of all content.
func (st *stream) discard() {
	if n := st.content.size; n > 0 {
		st.content.drop()
		st.conn.consumed(n)
	}
}
