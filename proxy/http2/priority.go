package http2

import (
	"encoding/binary"
	"strings"
)

// defaultUrgency is that of a request which names none (RFC 9218 section 4.1).
const defaultUrgency = 3

// prioritize takes in a priority as the field of that name gives it (RFC 9218 section 4): a dictionary, of which only u and i
// count. What is malformed changes nothing. A request that says nothing shares, so that clients which know no priorities have
// none of their streams wait for the others.
func (st *stream) prioritize(field string) {
	if field == "" {
		return
	}
	st.urgency, st.shares = defaultUrgency, false
	for member := range strings.SplitSeq(field, ",") {
		member, _, _ = strings.Cut(strings.Trim(member, " \t"), ";")
		name, value, valued := strings.Cut(member, "=")
		switch {
		case name == "u" && len(value) == 1 && '0' <= value[0] && value[0] <= '7':
			st.urgency = value[0] - '0'
		case name == "i" && (!valued || value == "?1"):
			st.shares = true
		case name == "i" && value == "?0":
			st.shares = false
		}
	}
}

// onPriority takes in what RFC 7540 called a priority: only its form matters (RFC 9113 section 5.3.2).
func (c *conn) onPriority(h *frameHeader, payload []byte) error {
	if h.stream == 0 {
		return errStreamZero
	}
	if len(payload) != 5 {
		return c.refuse(h.stream, errPrioritySize)
	}
	if binary.BigEndian.Uint32(payload)&maxStream == h.stream {
		return c.refuse(h.stream, errSelfish)
	}
	return nil
}

var (
	errPrioritySize = &StreamError{Code: FrameSizeError, Reason: "a PRIORITY frame of a wrong size"}
	errSelfish      = &StreamError{Code: ProtocolError, Reason: "a stream that depends on itself"}
)

const (
	maxPriority = 64 // bytes of a priority
	maxForeseen = 16 // priorities of streams that are still to come
	priorityAt  = 4  // where a PRIORITY_UPDATE has its text
)

// foreseen is the priority of a stream that has not come yet (RFC 9218 section 7.1).
type foreseen struct {
	stream   uint32
	priority string
}

func (c *conn) onPriorityUpdate(h *frameHeader, payload []byte) error {
	switch {
	case h.stream != 0:
		return errNotZero
	case len(payload) < priorityAt:
		return errFrameSize
	case len(payload) > priorityAt+maxPriority:
		return nil // it may be ignored
	}
	id, priority := binary.BigEndian.Uint32(payload)&maxStream, string(payload[priorityAt:])
	if id == 0 || c.client {
		return errStreamID
	}
	if st := c.streams[id]; st != nil {
		st.prioritize(priority)
		return nil
	}
	if c.role.opened(id) {
		return nil // it is over
	}
	_ = c.foretold(id, "") // what was said before does not hold any more
	if len(c.foreseen) == maxForeseen {
		c.foreseen = append(c.foreseen[:0], c.foreseen[1:]...)
	}
	c.foreseen = append(c.foreseen, foreseen{id, priority})
	return nil
}

// foretold is the priority that was announced for a stream, before its request's own.
func (c *conn) foretold(id uint32, own string) string {
	for i, f := range c.foreseen {
		if f.stream == id {
			c.foreseen = append(c.foreseen[:i], c.foreseen[i+1:]...)
			return f.priority
		}
	}
	return own
}
