package server

import "sync"

// bufferSize is how much of an answer is held back. It is what a TLS record takes at most.
const bufferSize = 16 << 10

// buffer is a piece of memory for what is to be written. Taken when there is something, it goes back when that is sent.
type buffer struct{ bytes []byte }

var buffers = sync.Pool{New: func() any { return &buffer{make([]byte, 0, bufferSize)} }}

func takeBuffer() *buffer { return buffers.Get().(*buffer) }

func (b *buffer) give() {
	if cap(b.bytes) > 2*bufferSize { // a large head
		return
	}
	b.bytes = b.bytes[:0]
	buffers.Put(b)
}

// output gathers what is written to a connection into as few writes as possible.
type output struct {
	conn   *conn
	buffer *buffer // nil when nothing is held back
	err    error   // of the connection; nothing can be written any more
}

// space is the buffer's content, to be appended to.
func (o *output) space() []byte {
	if o.buffer == nil {
		o.buffer = takeBuffer()
	}
	return o.buffer.bytes
}

// hold takes what space became.
func (o *output) hold(bytes []byte) { o.buffer.bytes = bytes }

// write holds p back, or as much of it as the buffer has room for; what fills whole buffers beyond is not copied.
func (o *output) write(p []byte) error {
	for len(p) > 0 {
		held := o.space()
		room := max(bufferSize-len(held), 0)
		if len(p) <= room {
			o.hold(append(held, p...))
			return o.err
		}
		if len(held) > 0 {
			o.hold(append(held, p[:room]...))
			o.send(o.buffer.bytes)
			o.hold(o.buffer.bytes[:0])
			p = p[room:]
			continue
		}
		whole := len(p) - len(p)%bufferSize
		o.send(p[:whole])
		p = p[whole:]
	}
	return o.err
}

func (o *output) send(p []byte) {
	if o.err == nil {
		_, o.err = o.conn.wire.Write(p)
	}
}

// flush sends what was held back.
func (o *output) flush() error {
	if o.buffer != nil {
		if len(o.buffer.bytes) > 0 {
			o.send(o.buffer.bytes)
		}
		o.buffer.give()
		o.buffer = nil
	}
	return o.err
}
