package http2

import (
	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/message"
)

// The methods of role.

func (c *ServerConn) opened(id uint32) bool { return id%2 == 1 && id <= c.highest || c.forgone.has(id) }

func (c *ServerConn) goAway(uint32, ErrCode) {}

func (c *ServerConn) ponged(data [8]byte) {
	if data == pingLeaves && c.leaving == announced {
		c.depart()
	}
}

// begin finds out what a field block belongs to.
func (c *ServerConn) begin(id uint32) (*message.Head, *message.Fields, error) {
	c.entering = nil
	if id%2 == 0 {
		return nil, nil, errStreamID
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.scratch.Reset()
	if st := c.streams[id]; st != nil {
		if st.received {
			return nil, &c.scratch.Fields, nil
		}
		return nil, &st.trailer, nil
	}
	if c.forgone.has(id) {
		if !c.frames.take() {
			return nil, nil, errControl
		}
		return nil, &c.scratch.Fields, nil
	}
	if id <= c.highest {
		return nil, nil, errClosedStream
	}
	c.entering = c.takeStream()
	head := &c.entering.head
	head.Reset()
	return head, &head.Fields, nil
}

// end takes in the block that was read: a request, or what trails its content.
func (c *ServerConn) end(id uint32, endStream bool) error {
	st := c.entering
	if st == nil {
		return c.endTrailers(id, endStream)
	}
	malformed, refusal := c.list.request(endStream)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.highest = id
	if c.block.selfish {
		c.spare = append(c.spare, st)
		return c.refuse(id, errSelfish)
	}
	if len(c.streams) >= c.bounds.Streams || len(c.ready) >= c.bounds.Streams {
		c.spare = append(c.spare, st)
		return c.refuse(id, errTooMany)
	}
	st.start(id, endStream, refusal)
	if malformed != "" {
		why := &StreamError{Code: ProtocolError, Reason: malformed}
		st.refusal, st.muted, st.over = &http1.Error{Status: 400, Reason: malformed}, true, why
		if err := c.refuse(id, why); err != nil {
			return err
		}
	} else {
		st.prioritize(c.foretold(id, c.list.priority))
		c.streams[id] = &st.stream
	}
	return c.dispatch(st)
}

var errTooMany = &StreamError{Code: RefusedStream, Reason: "more streams than allowed"}

func (c *ServerConn) endTrailers(id uint32, endStream bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := c.streams[id]
	switch {
	case st == nil: // it was on its way
		return nil
	case st.received:
		return c.refuse(id, errHalfClosed)
	case c.list.malformed != "" || c.list.refusal != nil || !endStream:
		return c.refuse(id, errTrailers)
	case st.length != message.Unknown && st.came < st.length:
		return c.refuse(id, errContentLength)
	}
	st.received, st.trailed = true, st.trailer.Len() > 0
	c.ended(st)
	st.readable.wake()
	return nil
}

var errTrailers = &StreamError{Code: ProtocolError, Reason: "malformed trailers"}

func (c *ServerConn) ended(st *stream) { st.settle() }

func (c *ServerConn) failed() { c.Socket.Interrupt() }
