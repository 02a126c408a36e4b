package http2

import "encoding/binary"

// block is a field block that is being received.
type block struct {
	open      bool // CONTINUATION is to follow
	stream    uint32
	endStream bool
	selfish   bool // the stream was said to depend on itself
	parts     int
	bytes     []byte
}

// onHeaders takes in HEADERS, without the lock.
func (c *conn) onHeaders(h *frameHeader, payload []byte) error {
	if h.stream == 0 {
		return errStreamZero
	}
	fragment, ok := h.unpad(payload)
	if !ok {
		return errPadding
	}
	selfish := false
	if h.has(flagPriority) { // RFC 7540's, which RFC 9113 section 5.3.2 lets be ignored
		if len(fragment) < 5 {
			return errFrameSize
		}
		selfish = binary.BigEndian.Uint32(fragment)&maxStream == h.stream
		fragment = fragment[5:]
	}
	c.block.stream, c.block.endStream, c.block.selfish, c.block.parts = h.stream, h.has(flagEndStream), selfish, 0
	if !h.has(flagEndHeaders) {
		c.block.open = true
		c.block.bytes = append(c.block.bytes[:0], fragment...)
		return nil
	}
	return c.decode(fragment)
}

func (c *conn) onContinuation(h *frameHeader, payload []byte) error {
	if !c.block.open {
		return errContinued
	}
	if c.block.parts++; c.block.parts > c.bounds.Continuations {
		return errBlockPart
	}
	// A block that is a little too large is refused politely, when it is known what it is about.
	if len(c.block.bytes)+len(payload) > 2*c.list.limits.HeadBytes {
		return errBlockSize
	}
	c.block.bytes = append(c.block.bytes, payload...)
	if !h.has(flagEndHeaders) {
		return nil
	}
	whole := c.block.bytes
	c.block.open, c.block.bytes = false, nil
	return c.decode(whole)
}

// decode decompresses a block. Whatever becomes of it, the decompression goes on from there for the next.
func (c *conn) decode(fragment []byte) error {
	head, into, err := c.role.begin(c.block.stream)
	if err != nil {
		return err
	}
	c.list.begin(head, into)
	if _, err := c.decoder.Write(fragment); err != nil {
		return errCompression
	}
	if c.decoder.Close() != nil {
		return errCompression
	}
	if c.list.size > listFactor*c.list.limits.HeadBytes {
		return errBlockSize
	}
	return c.role.end(c.block.stream, c.block.endStream)
}

// listFactor is how much larger than its limit a list may become when decompressed, and still be refused politely.
const listFactor = 16
