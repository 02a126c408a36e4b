package server

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/pace"
)

// content is memory for the content that a codec hands out.
type content struct{ bytes [32 << 10]byte }

var contents = sync.Pool{New: func() any { return new(content) }}

// adaptedBody is the content of an adapted request, read at the same pace as that of HTTP/1.1.
type adaptedBody struct {
	adapted     *adapted
	memory      *content
	ahead       []byte // read already
	wait        pace.Wait
	reading     watch
	err         error
	begun       bool
	unread      bool // it counts among the origin's
	trailer     message.Fields
	interrupted atomic.Bool
}

// open makes the body that of the stream's request; a request that is refused has none.
func (b *adaptedBody) open(a *adapted, readable bool) {
	b.adapted, b.wait, b.err, b.begun = a, pace.Wait{Pace: a.server.pace.Load()}, nil, false
	b.interrupted.Store(false)
	b.reading.open(func() { _ = a.w.SetReadDeadline(longAgo) })
	switch {
	case !readable, a.head.Length == 0:
		b.err = io.EOF
	case a.head.Length == message.Unknown && a.head.Protocol == "":
		b.probe()
	}
	b.leave(b.err == nil)
}

// leave says whether content of the client's may be left unread from now on.
func (b *adaptedBody) leave(unread bool) {
	if unread == b.unread {
		return
	}
	if b.unread = unread; unread {
		b.adapted.unread.Add(1)
	} else {
		b.adapted.unread.Add(-1)
	}
}

func (b *adaptedBody) close() {
	b.leave(false)
	b.reading.close()
	if b.memory != nil {
		contents.Put(b.memory)
	}
	b.trailer.Reset()
	b.adapted, b.memory, b.ahead = nil, nil, nil
}

// probing is how long it is waited for the end of a request that should have no content.
const probing = 100 * time.Millisecond

// probe finds out whether there is content when the head does not tell: a request of HTTP/3 without any ends just behind its
// head, often in the same packet. Who asks for something usually sends none, and upstreams would be puzzled by some.
func (b *adaptedBody) probe() {
	switch b.adapted.head.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodDelete:
	default:
		return
	}
	_ = b.adapted.w.SetReadDeadline(time.Now().Add(probing))
	n, err := b.adapted.r.Body.Read(b.space())
	_ = b.adapted.w.SetReadDeadline(time.Time{})
	b.ahead = b.memory.bytes[:n]
	switch {
	case err != nil && !isTimeout(err):
		b.end(err)
		if n == 0 && errors.Is(b.err, io.EOF) {
			b.adapted.head.Length = 0
		}
	default:
		b.wait.Came(n, 0)
	}
}

func (b *adaptedBody) space() []byte {
	if b.memory == nil {
		b.memory = contents.Get().(*content)
	}
	return b.memory.bytes[:]
}

func (b *adaptedBody) Next() ([]byte, error) {
	b.begun = true
	if b.interrupted.Load() {
		return nil, message.ErrInterrupted
	}
	if next := b.ahead; len(next) > 0 {
		b.ahead = nil
		return next, nil
	}
	b.leave(false)
	defer func() { b.leave(b.err == nil) }()
	for b.err == nil {
		if n := b.read(); n > 0 {
			return b.memory.bytes[:n], nil
		}
	}
	return nil, b.err
}

// read waits for content once. The client cannot send any while that of other requests, which is left unread, takes all the
// room that the connection has: then no rate is asked of it.
func (b *adaptedBody) read() int {
	starved := b.adapted.unread.Load() > 0
	patience := b.wait.Patience()
	if starved {
		patience = b.wait.Pace.StallTimeout
	}
	if patience <= 0 {
		b.err = message.ErrTooSlow
		return 0
	}
	start := time.Now()
	b.reading.start(start, patience)
	n, err := b.adapted.r.Body.Read(b.space())
	expired := b.reading.stop()
	waited := time.Since(start)
	if starved {
		waited = 0
	}
	b.wait.Came(n, waited)
	switch {
	case err == nil:
	case b.interrupted.Load():
		b.err = message.ErrInterrupted
	case expired && isTimeout(err):
		b.err = message.ErrTooSlow
	default:
		b.end(err)
	}
	return n
}

// end says what an error of the codec means for the content.
func (b *adaptedBody) end(err error) {
	switch {
	case err == io.EOF: //nolint:errorlint // the end of content is that very value
		b.err = err
		b.takeTrailer(b.adapted.r.Trailer)
	case errors.Is(err, io.ErrUnexpectedEOF), b.adapted.r.Context().Err() == nil:
		b.err = fmt.Errorf("%w: %w", message.ErrMalformed, err)
	default:
		b.err = fmt.Errorf("%w: %w", message.ErrGone, err)
	}
}

func (b *adaptedBody) takeTrailer(trailer http.Header) {
	for name, values := range trailer {
		for _, value := range values {
			b.trailer.AddNamed(name, value)
		}
	}
}

func (b *adaptedBody) Buffered() int { return len(b.ahead) }

func (b *adaptedBody) Trailer() *message.Fields {
	if b.err != io.EOF || b.trailer.Len() == 0 { //nolint:errorlint // the end of content is that very value
		return nil
	}
	return &b.trailer
}

// Interrupt may be called until the handler returns.
func (b *adaptedBody) Interrupt() {
	b.interrupted.Store(true)
	b.reading.interrupt()
}
