package forward

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/socket"
	"github.com/portico-web/portico/proxy/upstream"
)

// limits bounds the heads and trailers of answers.
var limits = http1.Limits{HeadBytes: 256 << 10, TargetBytes: 1, Fields: 1000}

// call1 is a call in HTTP/1.1, over a connection of its own. It belongs to the exchange, and is used for one call after
// another.
type call1 struct {
	conn     *upstream.Conn // nil when there is none any more
	push     *push          // nil when the request has all its content
	begun    bool           // a byte of the answer came
	framing  http1.Framing
	reusable bool // nothing but the upload keeps the connection from being used again
	http1.Body
}

// callHTTP1 sends the request over an idle connection, or a new one.
func (x *exchange) callHTTP1() error {
	x.sentAt = time.Now()
	conn, n, err := x.reuse()
	if conn == nil {
		if conn, err = x.dial(); err != nil {
			return err
		}
		n, err = conn.Write(x.request)
		x.sentAt = time.Now()
	}
	x.tickedAt = x.sentAt
	x.call1.conn, x.call = conn, &x.call1
	switch {
	case err != nil && n == 0 && !errors.Is(err, os.ErrDeadlineExceeded):
		return &broken{err: err, untouched: true}
	case err != nil:
		x.failedAt = x.sentAt // an answer may be why
	case !x.whole:
		x.call1.push = startPush(x.head, x.body, conn, wayOf(x.head, conn))
		x.upload = &x.call1.push.upload
	}
	return nil
}

// reuse sends the request over an idle connection; nil when there is none.
func (x *exchange) reuse() (conn *upstream.Conn, written int, err error) {
	if x.fresh {
		return nil, 0, nil
	}
	if x.whole { // nothing is left to do but wait
		return x.target.Ask(x.request, x.sentAt, tick)
	}
	if conn = x.target.Idle(); conn != nil {
		written, err = conn.Write(x.request)
	}
	return conn, written, err
}

// dial makes a connection.
func (x *exchange) dial() (*upstream.Conn, error) {
	return dialling(x, func(ctx context.Context) (*upstream.Conn, error) { return x.target.Dial(ctx, x.head.Protocol != "") }, (*upstream.Conn).Keep)
}

func (c *call1) ReadWithin(now time.Time, d time.Duration) { c.conn.ReadWithin(now, d) }
func (c *call1) Interrupt()                                { c.conn.Interrupt() }

func (c *call1) readHead(head *message.Head, method string) (err error) {
	if !c.begun {
		err = c.conn.Reader.Wait()
		c.begun = err == nil
	}
	if c.begun {
		c.framing, err = c.conn.Reader.ReadResponse(head, method, limits)
	}
	if err == nil {
		if head.Status >= 200 {
			c.Reset(c.conn.Reader, c.framing, limits)
		}
		return nil
	}
	_, malformed := errors.AsType[*http1.Error](err)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, socket.ErrInterrupted):
		return err
	case malformed:
		return &Failure{BadAnswer, err}
	case c.begun:
		return &Failure{Unreachable, err}
	default:
		return &broken{err: err, aged: c.conn.Reused()}
	}
}

func (c *call1) finish(reusable bool) {
	c.reusable = reusable && c.framing.Persistent && c.Done()
	if c.reusable && c.push == nil {
		c.keep() // at once: somebody may wait for it
	}
}

func (c *call1) hangUp() {
	switch {
	case c.conn == nil:
		return
	case c.reusable && c.push.complete():
		c.keep()
		return
	case c.push != nil:
		c.push.stop()
	}
	c.conn.Close()
	c.conn = nil
	c.reset()
}

func (c *call1) keep() {
	c.conn.Keep()
	c.conn = nil
}

// reset makes ready for another call.
func (c *call1) reset() {
	c.Reset(nil, http1.Framing{}, limits)
	*c = call1{Body: c.Body}
}
