package http2

import (
	"encoding/binary"
	"io"
	"sync"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/message"
)

// conn is what both ends' connections have in common: frames in and out, windows, the life of streams. One goroutine reads;
// under the lock, any goroutine may append to what is sent.
type conn struct {
	wire    io.ReadWriter
	role    role
	client  bool
	bounds  *Bounds
	reader  reader
	decoder *hpack.Decoder
	list    fieldList
	block   block
	spoke   bool // since this was last reset, a field block or content came

	goroutines sync.WaitGroup

	mu       sync.Mutex
	out      output
	encoder  encoder
	fields   []byte // scratch of a field block that is sent
	peer     peer
	streams  map[uint32]*stream
	forgone  forgone
	waiting  []*stream // for room in the output
	foreseen []foreseen
	turn     uint64
	window   int64     // of what is sent
	stalled  time.Time // since then the other end leaves no window; zero when it does
	allowed  int       // what the other end may still send
	used     int       // content that was used, and that the window was not moved on for yet
	resets   allowance
	frames   allowance
	err      error // why the connection is over; nil while it is not
}

// role is what differs between the ends.
type role interface {
	// begin says into what a field block for a stream goes. It comes before end, in the goroutine that reads.
	begin(id uint32) (*message.Head, *message.Fields, error)
	// end takes in the block that was read.
	end(id uint32, endStream bool) error
	// ended is told, with the lock held, that the other end will send no more on a stream.
	ended(st *stream)
	// opened tells whether a frame may be about this stream: it was opened once, whatever became of it.
	opened(id uint32) bool
	// goAway takes in that the other end takes no streams beyond last any more.
	goAway(last uint32, code ErrCode)
	// ponged takes in an answer to a PING.
	ponged(data [8]byte)
	// failed is told, with the lock held, that the connection is over: whoever reads has to be woken.
	failed()
}

func (c *conn) init(wire io.ReadWriter, role role, bounds *Bounds, limits *http1.Limits) {
	c.wire, c.role, c.bounds = wire, role, bounds
	c.reader.source = wire
	c.list.limits = limits
	c.decoder = hpack.NewDecoder(tableSize, c.list.add)
	c.decoder.SetAllowedMaxDynamicTableSize(uint32(max(bounds.HeaderTable, tableSize)))
	c.out.more.L = &c.mu
	c.encoder = newEncoder(bounds.HeaderTable)
	c.peer = newPeer()
	c.streams = map[uint32]*stream{}
	c.window, c.allowed = initialWindow, bounds.ConnectionWindow
	c.resets, c.frames = newAllowance(bounds.Resets), newAllowance(bounds.Frames)
}

// fail ends the connection, and everything on it. It is called with the lock held.
func (c *conn) fail(err error) {
	if c.err != nil {
		return
	}
	if err == io.EOF { //nolint:errorlint // a reader's end, which for a stream is none
		err = io.ErrUnexpectedEOF
	}
	c.err = err
	for _, st := range c.streams {
		st.end(err)
	}
	clear(c.streams)
	if c.out.running {
		c.out.waits = false
		c.out.more.Signal()
	}
	c.role.failed()
}

// hangUp tells the other end why, and fails.
func (c *conn) hangUp(err *ConnectionError, last uint32) {
	if c.err == nil {
		c.out.hold(appendGoAway(c.out.space(), last, err.Code))
		c.flush()
	}
	c.fail(err)
}

// earn is called for what is sent: window updates are the answer to it.
func (c *conn) earn() { c.frames.give(2) }

// take deals with the frames that are there, and tells whether there were any.
func (c *conn) take() (any bool, err error) {
	for {
		h, payload, whole, err := c.reader.next()
		if err != nil || !whole {
			return any, err
		}
		if err := c.onFrame(&h, payload); err != nil {
			return any, err
		}
		any = true
	}
}

func (c *conn) onFrame(h *frameHeader, payload []byte) error {
	if !c.peer.settled && (h.kind != frameSettings || h.has(flagAck)) {
		return errNoSettings
	}
	if c.block.open && (h.kind != frameContinuation || h.stream != c.block.stream) {
		return errInterleaved
	}
	switch h.kind {
	case frameHeaders:
		c.spoke = true
		return c.onHeaders(h, payload)
	case frameContinuation:
		return c.onContinuation(h, payload)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.kind == frameData {
		c.spoke = true
		return c.onData(h, payload)
	}
	if !c.frames.take() {
		return errControl
	}
	switch h.kind {
	case frameSettings:
		return c.onSettings(h, payload)
	case framePing:
		return c.onPing(h, payload)
	case frameWindowUpdate:
		return c.onWindowUpdate(h, payload)
	case frameRSTStream:
		return c.onRSTStream(h, payload)
	case framePriority:
		return c.onPriority(h, payload)
	case framePriorityUpdate:
		return c.onPriorityUpdate(h, payload)
	case frameGoAway:
		if h.stream != 0 {
			return errNotZero
		}
		if len(payload) < 8 {
			return errFrameSize
		}
		c.role.goAway(binary.BigEndian.Uint32(payload)&maxStream, ErrCode(binary.BigEndian.Uint32(payload[4:])))
		return nil
	case framePushPromise:
		return errPush
	default:
		return nil // RFC 9113 section 4.1
	}
}

// known finds the stream of a frame; nil when it is closed.
func (c *conn) known(h *frameHeader) (*stream, error) {
	if h.stream == 0 {
		return nil, errStreamZero
	}
	st := c.streams[h.stream]
	if st == nil && !c.role.opened(h.stream) {
		return nil, errIdleStream
	}
	return st, nil
}

// refuse resets a stream for what the other end did wrong.
func (c *conn) refuse(id uint32, why *StreamError) error {
	st := c.streams[id]
	if !(c.client && st != nil) && !c.resets.take() { // a client paid with a request, and shares the connection with others
		return errResets
	}
	if st != nil {
		c.forget(st, why)
	}
	if err := c.reply(appendRSTStream(c.out.space(), id, why.Code)); err != nil {
		return err
	}
	c.forgone.add(id)
	return nil
}

// forget ends a stream before its time.
func (c *conn) forget(st *stream, why error) {
	delete(c.streams, st.id)
	st.end(why)
}

func (c *conn) onData(h *frameHeader, payload []byte) error {
	st, err := c.known(h)
	if err != nil {
		return err
	}
	if h.length > c.allowed {
		return errOverrun
	}
	c.allowed -= h.length
	content, ok := h.unpad(payload)
	if !ok {
		return errPadding
	}
	if len(content) == 0 && !(h.has(flagEndStream) && st != nil) && !c.frames.take() {
		return errControl
	}
	if st == nil || st.received {
		c.consumed(h.length)
		if st == nil && (c.client || c.forgone.has(h.stream)) {
			return nil // it was on its way
		}
		return c.refuse(h.stream, errHalfClosed)
	}
	if st.headless {
		c.consumed(h.length)
		return c.refuse(h.stream, errHeadless)
	}
	if h.length > st.allowed {
		c.consumed(h.length)
		return c.refuse(h.stream, errOverrunStream)
	}
	st.allowed -= h.length
	st.came += int64(len(content))
	if excess := st.length != message.Unknown && st.came > st.length; excess || h.has(flagEndStream) && st.length != message.Unknown && st.came < st.length {
		c.consumed(h.length)
		return c.refuse(h.stream, errContentLength)
	}
	if padding := h.length - len(content); padding > 0 {
		c.consumed(padding)
		st.consumed(padding)
	}
	if len(content) > 0 {
		st.content.put(content)
	}
	if h.has(flagEndStream) {
		st.received = true
		c.role.ended(st)
	}
	st.readable.wake()
	return nil
}

var errHeadless = &StreamError{Code: ProtocolError, Reason: "content before a head"}

var errContentLength = &StreamError{Code: ProtocolError, Reason: "content of another length than announced"}

func (c *conn) onPing(h *frameHeader, payload []byte) error {
	if h.stream != 0 {
		return errNotZero
	}
	if len(payload) != 8 {
		return errFrameSize
	}
	if h.has(flagAck) {
		c.role.ponged([8]byte(payload))
		return nil
	}
	return c.reply(appendPing(c.out.space(), flagAck, [8]byte(payload)))
}

func (c *conn) onWindowUpdate(h *frameHeader, payload []byte) error {
	if len(payload) != 4 {
		return errFrameSize
	}
	increment := int64(binary.BigEndian.Uint32(payload) & maxWindow)
	if h.stream == 0 {
		if increment == 0 {
			return errIncrement
		}
		if c.window+increment > maxWindow {
			return errWindow
		}
		c.window += increment
		if len(c.waiting) > 0 {
			c.flush()
		}
		return nil
	}
	st, err := c.known(h)
	if err != nil || st == nil {
		return err
	}
	if increment == 0 {
		return c.refuse(h.stream, errIncrementStream)
	}
	if st.widen(increment) != nil {
		return c.refuse(h.stream, errWindowStream)
	}
	return nil
}

var errIncrementStream = &StreamError{Code: ProtocolError, Reason: "a window update of 0"}

func (c *conn) onRSTStream(h *frameHeader, payload []byte) error {
	st, err := c.known(h)
	if err != nil {
		return err
	}
	if len(payload) != 4 {
		return errFrameSize
	}
	if st == nil {
		return nil
	}
	code := ErrCode(binary.BigEndian.Uint32(payload))
	if !c.client && !c.resets.take() {
		return errResets
	}
	c.forget(st, &StreamError{Code: code, Reason: "reset by the other end", Remote: true})
	return nil
}
