package http2

import (
	"runtime"
	"sync"
)

const (
	// outputSize is how much is gathered before whoever has more content to send must wait: two TLS records.
	outputSize = 32 << 10
	// outputMost is the size beyond which a buffer is not used again.
	outputMost = 64 << 10
	// leastPart is the smallest part of a content that is sent for want of room only.
	leastPart = 1 << 10
)

type outputBuffer struct{ bytes []byte }

var outputBuffers = sync.Pool{New: func() any { return &outputBuffer{make([]byte, 0, outputSize+4<<10)} }}

func (b *outputBuffer) give() {
	if cap(b.bytes) <= outputMost {
		b.bytes = b.bytes[:0]
		outputBuffers.Put(b)
	}
}

// output gathers frames. Everybody appends to it under the connection's lock; one goroutine, which exists while there is
// something to do, sends what has gathered. So many answers leave in one system call when many are given at once.
type output struct {
	buffer     *outputBuffer // nil when nothing was gathered
	generation uint32        // how often it was sent
	wanted     bool          // what was gathered is to be sent
	replies    int           // frames in the buffer that the other end asked for
	parting    []uint32      // streams to be reset when what was gathered has left; see part

	running bool // the goroutine exists
	waits   bool // for more
	retired bool // it is to end when there is nothing to send
	more    sync.Cond
}

// space is what has gathered, to be appended to.
func (o *output) space() []byte {
	if o.buffer == nil {
		o.buffer = outputBuffers.Get().(*outputBuffer)
	}
	return o.buffer.bytes
}

// hold takes what space became.
func (o *output) hold(bytes []byte) { o.buffer.bytes = bytes }

func (o *output) length() int {
	if o.buffer == nil {
		return 0
	}
	return len(o.buffer.bytes)
}

// flush has sent what has gathered, and what waiting streams may send. It is called with the lock held.
func (c *conn) flush() {
	o := &c.out
	o.wanted = true
	switch {
	case !o.running:
		o.running, o.retired = true, false
		c.goroutines.Go(c.write)
	case o.waits:
		o.waits = false
		o.more.Signal()
	}
}

// write is the goroutine that sends. After the connection's end it sends what was gathered before.
func (c *conn) write() {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := &c.out
	for {
		for !o.wanted {
			if c.err != nil || o.retired {
				o.running = false
				return
			}
			o.waits = true
			o.more.Wait()
		}
		c.mu.Unlock()
		runtime.Gosched() // let those who are about to answer do so before
		c.mu.Lock()
		o.wanted = false
		c.share()
		full := o.buffer
		if full == nil {
			continue
		}
		parting := o.parting
		o.buffer, o.replies, o.parting = nil, 0, nil
		o.generation++
		c.mu.Unlock()
		_, err := c.wire.Write(full.bytes)
		full.give()
		c.mu.Lock()
		if err != nil {
			o.wanted = false
			c.fail(err)
			continue
		}
		for _, id := range parting {
			o.hold(appendRSTStream(o.space(), id, NoError))
			o.wanted = true
		}
	}
}

// part resets a stream whose answer is whole, so that the client sends no more of the request (RFC 9113 section 8.1). That
// leaves behind the answer, in a TLS record of its own: some clients that read both at once miss the answer.
func (c *conn) part(id uint32) {
	c.forgone.add(id)
	c.earn() // the end of the request may be on its way
	c.out.parting = append(c.out.parting, id)
	if c.out.buffer == nil {
		c.out.space()
	}
	c.flush()
}

// reply appends a frame that the other end made necessary, and has it sent. Who asks for many and reads none is hung up on.
func (c *conn) reply(frames []byte) error {
	c.out.hold(frames)
	if c.out.replies++; c.out.replies > c.bounds.Replies {
		return errAnswers
	}
	c.flush()
	return nil
}

// share gives the room that there is to the streams that wait for some: the most urgent first, and those that share in turns.
func (c *conn) share() {
	for len(c.waiting) > 0 {
		st := c.mostUrgent()
		if st == nil {
			return
		}
		before, frames := len(st.pending), outputSize
		if st.shares {
			frames = 1
		}
		st.pending = st.send(st.pending, frames)
		if before == len(st.pending) && (before > 0 || c.out.length() >= outputSize) { // no room
			c.out.wanted = true
			return
		}
		if c.turn++; st.shares {
			st.turn = c.turn
		}
		if len(st.pending) == 0 {
			c.leave(st)
			if st.last {
				st.finish()
			}
			st.writable.wake()
		}
	}
}

// mostUrgent is the stream whose turn it is, of those that may send.
func (c *conn) mostUrgent() *stream {
	var first *stream
	for _, st := range c.waiting {
		if len(st.pending) > 0 && (st.window <= 0 || c.window <= 0) {
			continue
		}
		if first == nil || st.before(first) {
			first = st
		}
	}
	return first
}

// before tells whose turn is first (RFC 9218 section 10). Streams of one urgency that do not share are served one after the
// other, in the order in which they were opened.
func (st *stream) before(other *stream) bool {
	switch {
	case st.urgency != other.urgency:
		return st.urgency < other.urgency
	case st.shares != other.shares:
		return other.shares
	case st.shares:
		return st.turn < other.turn
	default:
		return st.id < other.id
	}
}

// wait puts the stream among those that wait for room.
func (c *conn) wait(st *stream) {
	if !st.queued {
		st.queued = true
		c.waiting = append(c.waiting, st)
	}
}

func (c *conn) leave(st *stream) {
	if !st.queued {
		return
	}
	st.queued = false
	for i, other := range c.waiting {
		if other == st {
			last := len(c.waiting) - 1
			c.waiting[i] = c.waiting[last]
			c.waiting[last] = nil
			c.waiting = c.waiting[:last]
			return
		}
	}
}
