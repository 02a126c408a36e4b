package forward

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/portico-web/portico/proxy/message"
)

// pull is an upload to a target in HTTP/2, whose codec reads it in a goroutine of its own: through one puller at a time,
// another only when it sends the request again.
type pull struct {
	upload
	along     []byte      // content that came with the request; all of it, or none
	trailer   http.Header // where the codec looks for trailers; nil for none
	interrupt func()      // ends the call

	mu    sync.Mutex // held while body is read
	ended bool       // done is closed
}

// newPull makes the upload of a request; along is all of its content, or empty.
func newPull(head *message.Head, body message.Body, along []byte, interrupt func()) *pull {
	p := &pull{along: along, interrupt: interrupt}
	p.init(head, body)
	p.givenAt.Store(time.Now().UnixNano())
	return p
}

// puller implements io.ReadCloser.
type puller struct {
	*pull
	rest   []byte
	closed chan struct{}
	once   sync.Once
}

func (p *pull) puller() *puller { return &puller{pull: p, rest: p.along, closed: make(chan struct{})} }

var errTaken = errors.New("the target gave the request back when some of its content was gone")

// again gives the codec the content anew, which is possible until some of it is gone.
func (p *pull) again() (io.ReadCloser, error) {
	if p.taken.Load() {
		return nil, errTaken
	}
	return p.puller(), nil
}

func (p *puller) Read(into []byte) (int, error) {
	select {
	case <-p.wanted:
	case <-p.quit:
	case <-p.closed:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.givenAt.Store(0)
	defer func() { p.givenAt.Store(time.Now().UnixNano()) }()
	if p.stopped() {
		return 0, net.ErrClosed
	}
	if len(p.rest) == 0 {
		if err := p.next(); err != nil {
			return 0, err
		}
	}
	n := copy(into, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// stopped tells whether nobody wants what would be read.
func (p *puller) stopped() bool {
	select {
	case <-p.quit:
		return true
	case <-p.closed:
		return true
	default:
		return false
	}
}

func (p *puller) next() error {
	if len(p.along) > 0 {
		p.end(nil, nil)
		return io.EOF
	}
	p.taken.Store(true)
	if p.stopped() { // release may have looked just before
		return net.ErrClosed
	}
	content, err := p.body.Next()
	switch {
	case err == nil:
		p.rest = content
		return nil
	case errors.Is(err, message.ErrInterrupted): // by release
		p.end(nil, net.ErrClosed)
		return net.ErrClosed
	case err != io.EOF: //nolint:errorlint // a Body's end is io.EOF itself
		p.end(err, nil)
		p.interrupt()
		return err
	}
	if trailer := cleanTrailer(p.body.Trailer()); trailer != nil && p.trailer != nil {
		for _, field := range trailer.All() {
			p.trailer.Add(string(field.Name), string(field.Value))
		}
	}
	p.end(nil, nil)
	return io.EOF
}

func (p *pull) end(clientErr, err error) {
	if !p.ended {
		p.ended, p.clientErr, p.err = true, clientErr, err
		close(p.done)
	}
}

// Close ends a Read that waits, and all later ones. The codec calls it, also at the regular end.
func (p *puller) Close() error {
	p.once.Do(func() { close(p.closed) })
	p.release()
	return nil
}

// release ends a reading of the body that waits. What is left of the body is lost.
func (p *pull) release() {
	if p.taken.Load() && !p.over() {
		p.body.Interrupt()
	}
	p.mu.Lock()   // the reading is over
	p.mu.Unlock() //nolint:staticcheck // nothing is to be done meanwhile
}

// stop ends the upload for good.
func (p *pull) stop() {
	close(p.quit)
	p.release()
}
