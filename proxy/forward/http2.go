package forward

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/portico-web/portico/proxy/http2"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/socket"
)

// call2 is a call in HTTP/2, over a stream of a connection that it shares with others. It belongs to the exchange, and is used
// for one call after another.
type call2 struct {
	*http2.ClientStream // nil when there is none any more

	push     *push // nil when the request has all its content
	begun    bool  // a head of the answer came
	finished bool  // nothing but the upload is still under way
}

// callHTTP2 sends the request, over a connection that stands or a new one.
func (x *exchange) callHTTP2() error {
	stream := x.target.Stream()
	if stream == nil {
		var err error
		if stream, err = dialling(x, x.target.DialStream, (*http2.ClientStream).Release); err != nil {
			return err
		}
	}
	x.sentAt = time.Now()
	x.tickedAt = x.sentAt
	x.call2 = call2{ClientStream: stream}
	x.call = &x.call2
	if err := stream.Send(x.head, x.target.Scheme == "https", x.request[x.along:], x.whole); err != nil {
		return &broken{err: err, untouched: true}
	}
	if !x.whole {
		x.call2.push = startPush(x.head, x.body, stream, stream)
		x.upload = &x.call2.push.upload
	}
	return nil
}

// dialling has a connection made, and gives up when the client leaves; drop takes one that is made just then.
func dialling[T any](x *exchange, dial func(context.Context) (T, error), drop func(T)) (none T, err error) {
	type dialled struct {
		conn T
		err  error
	}
	ctx, cancel := context.WithCancel(x.stream.Context())
	defer cancel()
	result := make(chan dialled, 1)
	go func() {
		conn, err := dial(ctx)
		result <- dialled{conn, err}
	}()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case made := <-result:
			return made.conn, made.err
		case <-ticker.C:
			if !x.gone() {
				continue
			}
			cancel()
			if made := <-result; made.err == nil {
				drop(made.conn)
			}
			return none, errGone
		}
	}
}

func (c *call2) readHead(head *message.Head, _ string) error {
	err := c.ReadHead(head)
	switch {
	case err == nil:
		c.begun = true
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, socket.ErrInterrupted):
		return err
	case http2.Malformed(err):
		return &Failure{BadAnswer, err}
	case c.begun:
		return &Failure{Unreachable, err}
	default:
		return &broken{err: err, untouched: http2.Untouched(err), aged: c.Reused() && http2.Lost(err)}
	}
}

func (c *call2) finish(bool) { c.finished = true }

func (c *call2) hangUp() {
	if c.ClientStream == nil {
		return
	}
	if c.push != nil && !(c.finished && c.push.complete()) {
		c.push.stop()
	}
	c.Release()
	*c = call2{}
}
