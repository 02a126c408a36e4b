package http1

import (
	"io"

	"github.com/portico-web/portico/proxy/message"
)

// Body is the content of the message whose head a Reader has read. It is used by one goroutine, which does not use the
// Reader until Done. The zero value has no content.
type Body struct {
	reader  *Reader
	limits  Limits
	kind    Kind
	left    int64  // of Sized content, or of the chunk
	chunk   chunk  // where decoding stands
	decoded []byte // not handed out yet
	failure error  // what comes after decoded: io.EOF, or a refusal
	trailer message.Fields
}

// Reset makes b the content that follows the head that r has just read.
func (b *Body) Reset(r *Reader, framing Framing, limits Limits) {
	b.trailer.Reset()
	*b = Body{reader: r, limits: limits, kind: framing.Kind, left: framing.Length, trailer: b.trailer}
	if b.kind == Bodiless || b.kind == Sized && b.left == 0 {
		b.failure = io.EOF
	}
}

// Next returns the content that comes next, at least one byte, in the Reader's own buffer: it is valid until the next call.
// At the exact end of the content the error is io.EOF, every time; *Error when the framing is malformed, for good as well;
// io.ErrUnexpectedEOF when the connection ends before the content; or the source's, after which Next may be called again.
func (b *Body) Next() ([]byte, error) {
	for {
		b.decode()
		if len(b.decoded) > 0 {
			content := b.decoded
			b.decoded = nil
			return content, nil
		}
		if b.failure != nil {
			return nil, b.failure
		}
		if err := b.reader.fill(b.limits.HeadBytes); err == io.EOF { //nolint:errorlint // a Read's io.EOF is never wrapped
			if b.kind != UntilClose {
				return nil, io.ErrUnexpectedEOF
			}
			b.failure = io.EOF
		} else if err != nil {
			return nil, err
		}
	}
}

// Buffered is how many bytes Next gives without waiting.
func (b *Body) Buffered() int {
	b.decode()
	return len(b.decoded)
}

// Done tells whether everything was read, to the exact end, trailers included.
func (b *Body) Done() bool {
	return (b.failure == io.EOF || b.reader == nil) && len(b.decoded) == 0 //nolint:errorlint // set as it is
}

// Trailer is what followed the content; nil before the end, and when nothing followed.
func (b *Body) Trailer() *message.Fields {
	if !b.Done() || b.trailer.Len() == 0 {
		return nil
	}
	return &b.trailer
}

// decode takes content out of what is buffered, unless some is ready.
func (b *Body) decode() {
	if len(b.decoded) > 0 || b.failure != nil {
		return
	}
	if b.reader == nil {
		b.failure = io.EOF
		return
	}
	switch b.kind {
	case Chunked:
		b.decodeChunks()
	case Sized:
		b.decoded = b.reader.takeOut(b.left)
		if b.left -= int64(len(b.decoded)); b.left == 0 {
			b.failure = io.EOF
		}
	case UntilClose:
		b.decoded = b.reader.takeOut(int64(b.reader.Buffered()))
	case Bodiless:
	}
}

// takeOut takes up to n bytes out of the buffer; they stay valid until the next fill.
func (r *Reader) takeOut(n int64) []byte {
	taken := r.unread()
	if int64(len(taken)) > n {
		taken = taken[:n]
	}
	r.start += len(taken)
	return taken
}
