package server

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/pace"
	"github.com/portico-web/portico/proxy/socket"
)

// body is the content of a request on an HTTP/1.1 connection, read at the pace that the settings ask of clients.
type body struct {
	codec       http1.Body
	conn        *conn
	wait        pace.Wait
	err         error
	begun       atomic.Bool // Next was called
	done        atomic.Bool // read to its end
	interrupted atomic.Bool
}

func (b *body) begin(c *conn, framing http1.Framing) {
	b.codec.Reset(c.reader, framing, c.server.limits)
	b.conn, b.wait, b.err = c, pace.Wait{Pace: c.server.pace.Load()}, nil
	b.begun.Store(false)
	b.done.Store(b.codec.Done())
	b.interrupted.Store(false)
}

func (b *body) Next() ([]byte, error) {
	b.begun.Store(true)
	if b.err == nil && b.interrupted.Load() {
		b.err = message.ErrInterrupted
	}
	if b.err != nil {
		return nil, b.err
	}
	content, err := b.next()
	if err != nil {
		b.err = reading(err)
	}
	if b.codec.Done() {
		b.done.Store(true)
	}
	return content, b.err
}

func (b *body) next() ([]byte, error) {
	if b.done.Load() {
		return nil, io.EOF
	}
	if b.codec.Buffered() > 0 {
		content, err := b.codec.Next()
		b.wait.Came(len(content), 0)
		return content, err
	}
	patience := b.wait.Patience()
	if patience <= 0 {
		return nil, message.ErrTooSlow
	}
	start := time.Now()
	b.conn.socket.ReadWithin(start, patience)
	content, err := b.codec.Next()
	b.wait.Came(len(content), time.Since(start))
	return content, err
}

// reading says what an error of the codec means for the content.
func reading(err error) error {
	var malformed *http1.Error
	switch {
	case err == io.EOF: //nolint:errorlint // the end of content is that very value
		return err
	case errors.Is(err, message.ErrTooSlow), errors.Is(err, message.ErrInterrupted):
		return err
	case errors.As(err, &malformed):
		return fmt.Errorf("%w: %w", message.ErrMalformed, err)
	case errors.Is(err, socket.ErrInterrupted):
		return message.ErrInterrupted
	case isTimeout(err):
		return message.ErrTooSlow
	default:
		return fmt.Errorf("%w: %w", message.ErrGone, err)
	}
}

func (b *body) Buffered() int { return b.codec.Buffered() }

func (b *body) Trailer() *message.Fields {
	if !b.done.Load() {
		return nil
	}
	return b.codec.Trailer()
}

// Interrupt may be called until the handler returns.
func (b *body) Interrupt() {
	b.interrupted.Store(true)
	b.conn.socket.Interrupt()
}

// discard reads the rest of content that is buffered as a whole.
func (b *body) discard() {
	for {
		if _, err := b.codec.Next(); err != nil {
			break
		}
	}
	b.done.Store(b.codec.Done())
}
