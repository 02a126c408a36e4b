package http2

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/portico-web/portico/proxy/socket"
)

// readSize is the size of a reader's buffer. The largest frame has room in it beside what comes behind.
const readSize = 32 << 10

type readBuffer struct{ bytes [readSize]byte }

var readBuffers = sync.Pool{New: func() any { return new(readBuffer) }}

// reader takes frames out of what a connection sends. Its buffer is pooled, and exists only while there is something in it or
// soon to be. It is used by one goroutine at a time.
type reader struct {
	source     io.Reader
	buffer     *readBuffer // nil without one
	start, end int         // what is still to be read
	patient    bool        // the next byte is awaited without a buffer
	one        [1]byte
	failure    error // came with the last bytes, and is reported after them
}

// next takes the next frame, if it is there as a whole. The payload is valid until fill.
func (r *reader) next() (h frameHeader, payload []byte, whole bool, err error) {
	if r.end-r.start < frameHeaderSize {
		return h, nil, false, nil
	}
	data := r.buffer.bytes[r.start:r.end]
	h = parseFrameHeader(data)
	if h.length > maxFrameSize {
		return h, nil, false, errFrameSize
	}
	if len(data) < frameHeaderSize+h.length {
		return h, nil, false, nil
	}
	r.start += frameHeaderSize + h.length
	return h, data[frameHeaderSize : frameHeaderSize+h.length], true, nil
}

// fill waits for more bytes. Its errors are those of the source; after a timeout it may be called again.
func (r *reader) fill() error {
	if r.failure != nil {
		return r.failure
	}
	if r.patient && r.start == r.end {
		n, err := r.source.Read(r.one[:])
		if n == 0 {
			return err
		}
		r.take()
		r.buffer.bytes[0], r.end, r.failure = r.one[0], 1, err
		return nil
	}
	r.take()
	if r.start > 0 {
		r.end = copy(r.buffer.bytes[:], r.buffer.bytes[r.start:r.end])
		r.start = 0
	}
	n, err := r.source.Read(r.buffer.bytes[r.end:])
	r.end += n
	if n > 0 {
		r.failure = err
		return nil
	}
	return err
}

// wait waits for more bytes. How long, and whether at all, is asked anew when the time is over, and when the socket is
// interrupted.
func (r *reader) wait(s *socket.Conn, now time.Time, patience func(now time.Time) (time.Duration, error)) error {
	for {
		within, err := patience(now)
		if err != nil {
			return err
		}
		s.ReadWithin(now, within)
		err = r.fill()
		switch {
		case err == nil:
			return nil
		case errors.Is(err, socket.ErrInterrupted):
			s.Resume()
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		}
		now = time.Now()
	}
}

func (r *reader) take() {
	if r.buffer == nil {
		r.buffer = readBuffers.Get().(*readBuffer)
		r.start, r.end = 0, 0
	}
	r.patient = false
}

// rest gives the buffer back, if it is empty, until something comes.
func (r *reader) rest() {
	if r.start == r.end {
		r.drop()
		r.patient = true
	}
}

func (r *reader) drop() {
	if r.buffer != nil {
		readBuffers.Put(r.buffer)
		r.buffer = nil
	}
	r.start, r.end = 0, 0
}

// peek is what is buffered, at most n bytes.
func (r *reader) peek(n int) []byte {
	if r.buffer == nil {
		return nil
	}
	return r.buffer.bytes[r.start:min(r.end, r.start+n)]
}

func (r *reader) skip(n int) { r.start += n }

// within tells whether a frame other than DATA, which has a pace of its own, has come in part.
func (r *reader) within() bool {
	n := r.end - r.start
	return n > 0 && (n < frameHeaderSize || frameType(r.buffer.bytes[r.start+3]) != frameData)
}
