package http2

import "github.com/portico-web/portico/proxy/message"

// maxEarly bounds the interim heads of an answer that nobody has read yet.
const maxEarly = 32

// The methods of role.

func (c *ClientConn) opened(id uint32) bool { return id%2 == 1 && id < c.next }

// goAway ends the streams that the server did not look at.
func (c *ClientConn) goAway(last uint32, _ ErrCode) {
	c.dismissed = true
	for id, st := range c.streams {
		if id > last {
			c.forget(st, errUntaken)
		}
	}
}

var errUntaken = &StreamError{Code: RefusedStream, Reason: "the server has said goodbye before", Remote: true}

// ponged has nothing to do: that something came is all that matters.
func (c *ClientConn) ponged([8]byte) {}

// ended has nothing to do: a stream counts until its Release.
func (c *ClientConn) ended(*stream) {}

func (c *ClientConn) failed() { c.Socket.Interrupt() }

// begin has a field block read into scratch, since whom it is for may go away meanwhile.
func (c *ClientConn) begin(id uint32) (*message.Head, *message.Fields, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.scratch.Reset()
	if !c.opened(id) {
		return nil, nil, errIdleStream
	}
	st := c.streams[id]
	if st == nil && !c.frames.take() {
		return nil, nil, errControl
	}
	if st == nil || !st.headless {
		return nil, &c.scratch.Fields, nil
	}
	return &c.scratch, &c.scratch.Fields, nil
}

// end takes in the block that was read: a head, or what trails the content.
func (c *ClientConn) end(id uint32, endStream bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := c.streams[id]
	switch {
	case st == nil: // it was on its way
		return nil
	case st.headless:
		return c.endHead(st.call, endStream)
	case st.received:
		return c.refuse(id, errHalfClosed)
	case c.list.malformed != "" || c.list.refusal != nil || !endStream:
		return c.refuse(id, errTrailers)
	case st.length != message.Unknown && st.came < st.length:
		return c.refuse(id, errContentLength)
	}
	st.trailer, c.scratch.Fields = c.scratch.Fields, st.trailer
	st.received, st.trailed = true, st.trailer.Len() > 0
	st.readable.wake()
	return nil
}

// endHead takes in a head. Who waits for it is woken when all that came with it has been looked at.
func (c *ClientConn) endHead(st *ClientStream, endStream bool) error {
	if malformed := c.list.response(st.method, endStream); malformed != "" {
		return c.refuse(st.id, &StreamError{Code: ProtocolError, Reason: malformed})
	}
	final := c.scratch.Status >= 200
	if st.earlyBytes += c.list.size; !final && (len(st.early) == maxEarly || st.earlyBytes > c.list.limits.HeadBytes) {
		return c.refuse(st.id, errEarly)
	}
	if final {
		st.headless, st.received = false, endStream
		st.bodiless = st.method == "HEAD" || message.Bodiless(c.scratch.Status)
		if !st.bodiless {
			st.length = c.scratch.Length
		}
	}
	st.putHead(&c.scratch)
	c.stirred = append(c.stirred, st)
	return nil
}

var errEarly = &StreamError{Code: EnhanceYourCalm, Reason: "interim answers without end"}
