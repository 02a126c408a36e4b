package http1

import (
	"io"

	"github.com/portico-web/portico/proxy/message"
)

var (
	errChunkSize   = malformed("a malformed chunk size")
	errExtension   = malformed("a malformed chunk extension")
	errExtensions  = malformed("too many bytes of chunk extensions")
	errChunkEnd    = malformed("a chunk that does not end where its size says")
	errTrailer     = malformed("a trailer that frames or routes")
	errTrailerSize = malformed("too large a trailer section")
)

// What chunk lines may cost beyond the content that they bring, in bytes. A line in itself has freeLine.
const (
	maxExtension = 1 << 10  // of one chunk
	maxOverhead  = 16 << 10 // of all, above what the content justifies
	freeLine     = 16
)

// chunk is where the decoding of chunked content (RFC 9112 section 7.1) stands.
type chunk struct {
	step      step
	digits    int // of the size
	extension int // bytes of it
	overhead  int // bytes of all chunk lines that the content did not justify
}

type step uint8

const (
	inSize step = iota
	inExtension
	atSizeLF
	inData
	atDataCR
	atDataLF
	inTrailer
)

// decodeChunks decodes the chunks that are buffered, and moves their data together in place: many small ones come out as
// one.
func (b *Body) decodeChunks() {
	r := b.reader
	from, to := r.start, r.start
	for r.start < r.end && b.failure == nil {
		switch b.chunk.step {
		case inData:
			n := int(min(b.left, int64(r.end-r.start)))
			if to == from {
				from, to = r.start, r.start+n
			} else {
				to += copy(r.buffer[to:], r.buffer[r.start:r.start+n])
			}
			r.start += n
			if b.left -= int64(n); b.left == 0 {
				b.chunk.step = atDataCR
			}
		case inTrailer:
			done, refusal := b.readTrailer()
			if refusal != nil {
				b.refuse(refusal)
			} else if done {
				b.failure = io.EOF
			} else {
				b.decoded = r.buffer[from:to]
				return
			}
		default:
			if refusal := b.chunkByte(r.buffer[r.start]); refusal != nil {
				b.refuse(refusal)
			}
			r.start++
		}
	}
	b.decoded = r.buffer[from:to]
}

// chunkByte takes one byte of what stands around the data.
func (b *Body) chunkByte(c byte) *Error {
	k := &b.chunk
	switch k.step {
	case inSize:
		digit := hex(c)
		switch {
		case digit < 16 && k.digits < 16:
			b.left = b.left<<4 | int64(digit)
			k.digits++
		case digit < 16 || k.digits == 0 || b.left < 0:
			return errChunkSize
		case c == ';':
			k.step, k.extension = inExtension, 1
		case c == '\r':
			k.step = atSizeLF
		default:
			return errChunkSize
		}
	case inExtension:
		switch k.extension++; {
		case c == '\r':
			k.step = atSizeLF
		case c < ' ' || c == 0x7f:
			return errExtension
		case k.extension > maxExtension:
			return errExtensions
		}
	case atSizeLF:
		if c != '\n' {
			return errChunkSize
		}
		return b.beginChunk()
	case atDataCR:
		if c != '\r' {
			return errChunkEnd
		}
		k.step = atDataLF
	case atDataLF:
		if c != '\n' {
			return errChunkEnd
		}
		k.step, k.digits, k.extension = inSize, 0, 0
	}
	return nil
}

func (b *Body) beginChunk() *Error {
	k := &b.chunk
	free := freeLine + min(b.left, maxOverhead)
	k.overhead = max(k.overhead+k.digits+k.extension-int(free), 0)
	if k.overhead > maxOverhead {
		return errExtensions
	}
	k.step = inData
	if b.left == 0 {
		k.step = inTrailer
	}
	return nil
}

// refuse ends the content for good.
func (b *Body) refuse(refusal *Error) {
	if b.reader.answers {
		refusal = refusal.byUpstream()
	}
	b.failure = refusal
}

// readTrailer reads the trailer section when it is buffered as a whole.
func (b *Body) readTrailer() (done bool, refusal *Error) {
	r := b.reader
	n, refusal := r.section(&b.limits)
	if refusal == errHeadSize {
		refusal = errTrailerSize
	}
	if n == 0 || refusal != nil {
		return false, refusal
	}
	section := r.takeOut(int64(n))
	if n > 2 {
		section = b.trailer.Store(section)
	}
	for count, at := 0, 0; at < n-2; count++ {
		if count == b.limits.Fields {
			return false, errTrailerSize
		}
		name, value, next, refusal := field(section, at)
		if refusal != nil {
			return false, refusal
		}
		at = next
		switch read := (message.Field{ID: message.Known(name), Name: name}); {
		case read.ID == message.TransferEncoding || read.ID == message.ContentLength || read.ID == message.Host:
			return false, errTrailer
		case read.MayTrail():
			b.trailer.AddStored(read.ID, name, value)
		}
	}
	return true, nil
}
