package http1

import (
	"io"
	"math/bits"
	"sync"
)

// Buffers by size, in powers of two: one that is idle belongs to nobody.
var pools [32]sync.Pool

type pooled struct{ bytes []byte }

// smallest is the smallest buffer of a Reader, in bytes.
const smallest = 64

// Reader reads the messages of one connection through a buffer, which exists only while there is something in it or soon to
// be. It is used by one goroutine at a time.
type Reader struct {
	source io.Reader
	size   int // of a pooled buffer

	buffer     []byte  // nil without one
	held       *pooled // where buffer comes from; nil when it has grown
	start, end int     // buffer[start:end] is still to be read
	failure    error   // came with the last bytes, and is reported after them

	patient bool // nothing came in time: the next byte is awaited in one
	one     [1]byte

	scanned   int  // how many of the bytes to be read are known to hold no end of a section
	skipped   bool // an empty line before a request was skipped
	answers   bool // the other end is an upstream
	authority string
}

// NewReader returns a Reader whose buffer has size bytes, at least 64. It grows for a larger head only.
func NewReader(source io.Reader, size int) *Reader {
	return &Reader{source: source, size: max(size, smallest)}
}

// Reset makes the Reader read from another source. What was buffered is gone.
func (r *Reader) Reset(source io.Reader) {
	r.drop()
	*r = Reader{source: source, size: r.size, authority: r.authority}
}

// Wait returns when a byte is buffered. Errors of the source are returned as they are. After a timeout it may be called
// again; the buffer, when empty, is given back meanwhile.
func (r *Reader) Wait() error {
	if r.start < r.end {
		return nil
	}
	return r.fill(0)
}

// Buffered is how many bytes are buffered.
func (r *Reader) Buffered() int { return r.end - r.start }

// Detach takes out what is buffered, as a copy: what follows an upgrade belongs to another protocol.
func (r *Reader) Detach() []byte {
	rest := append([]byte(nil), r.unread()...)
	r.drop()
	return rest
}

// Release gives the buffer back when it is empty.
func (r *Reader) Release() {
	if r.start == r.end {
		r.drop()
	}
}

func (r *Reader) unread() []byte { return r.buffer[r.start:r.end] }

// fill waits for more bytes and puts them behind what is there. A full buffer grows, up to limit.
func (r *Reader) fill(limit int) error {
	if r.failure != nil {
		err := r.failure
		r.failure = nil
		return err
	}
	if r.start == r.end {
		if r.patient {
			return r.await()
		}
		r.start, r.end = 0, 0
		if r.held == nil {
			r.take()
		}
	}
	r.makeRoom(limit)
	n, err := r.read(r.buffer[r.end:])
	r.end += n
	if n > 0 {
		r.failure = err
		return nil
	}
	if r.start == r.end {
		r.patient = true
		r.drop()
	}
	return err
}

// await waits for one byte without a buffer.
func (r *Reader) await() error {
	n, err := r.read(r.one[:])
	if n == 0 {
		return err
	}
	r.take()
	r.buffer[0] = r.one[0]
	r.end, r.failure, r.patient = 1, err, false
	return nil
}

// read is one Read that brings something or an error.
func (r *Reader) read(p []byte) (int, error) {
	for range 100 {
		if n, err := r.source.Read(p); n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

func (r *Reader) makeRoom(limit int) {
	if r.start > 0 {
		r.end = copy(r.buffer, r.unread())
		r.start = 0
	}
	if r.end < len(r.buffer) {
		return
	}
	larger := make([]byte, max(min(2*len(r.buffer), limit), len(r.buffer)+1))
	end, scanned := copy(larger, r.buffer), r.scanned
	r.drop()
	r.buffer, r.end, r.scanned = larger, end, scanned
}

func (r *Reader) take() {
	r.drop()
	class := bits.Len(uint(r.size - 1))
	held, _ := pools[class].Get().(*pooled)
	if held == nil {
		held = &pooled{make([]byte, 1<<class)}
	}
	r.held, r.buffer = held, held.bytes[:r.size]
}

func (r *Reader) drop() {
	if r.held != nil {
		pools[bits.Len(uint(r.size-1))].Put(r.held)
	}
	r.held, r.buffer = nil, nil
	r.start, r.end, r.scanned = 0, 0, 0
}
