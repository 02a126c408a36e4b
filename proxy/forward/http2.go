package forward

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/socket"
	"github.com/portico-web/portico/proxy/upstream"
)

// call2 is a call in HTTP/2. The codec of x/net cannot be waited for in ticks. So a goroutine waits for it and hands over
// what comes. That one, and the codec's own that reads the request's content, end with the call.
type call2 struct {
	target *upstream.Target
	pull   *pull // nil when the request has no content
	cancel context.CancelFunc
	reused atomic.Bool // the connection carried requests before

	heads       chan *message.Head // interim ones and the final one
	pieces      chan []byte        // of the answer's content
	used        chan []byte        // pieces that were handed on, to be used again
	done        chan struct{}      // closed at the end, for which err is the reason; what follows is set before
	err         error              // io.EOF after a whole answer
	trailer     *message.Fields
	interrupted chan struct{}
	once        sync.Once

	begun    bool
	deadline time.Time // of reads
	next     []byte    // a piece that Buffered found
	last     []byte    // a piece that Next gave
	ended    bool      // Next gave io.EOF
	finished bool
}

// callHTTP2 sends the request.
func (x *exchange) callHTTP2() error {
	ctx, cancel := context.WithCancel(x.stream.Context())
	c := &call2{
		target: x.target, cancel: cancel, heads: make(chan *message.Head, maxInterim+2), pieces: make(chan []byte),
		used: make(chan []byte, 2), done: make(chan struct{}), interrupted: make(chan struct{}),
	}
	if x.head.Length != 0 {
		c.pull = newPull(x.head, x.body, x.request[x.along:], c.Interrupt)
		x.upload = &c.pull.upload
	}
	x.call = c
	request := c.translate(c.trace(ctx), x.head)
	go c.run(request)
	x.sentAt = time.Now()
	x.tickedAt = x.sentAt
	return nil
}

// trace makes the codec tell about interim answers, and about the connection. The codec may not be kept waiting.
func (c *call2) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { c.reused.Store(info.Reused) },
		Got1xxResponse: func(status int, header textproto.MIMEHeader) error {
			if len(c.heads) > maxInterim {
				return errInterim
			}
			head := &message.Head{Version: message.HTTP2, Status: status}
			addFields(&head.Fields, http.Header(header))
			c.heads <- head
			return nil
		},
	})
}

// translate makes a head the codec's request.
func (c *call2) translate(ctx context.Context, head *message.Head) *http.Request {
	address := &url.URL{Scheme: "https", Host: c.target.Host, RawQuery: head.Query, ForceQuery: head.HasQuery}
	if c.target.Scheme != address.Scheme {
		address.Scheme = "http"
	}
	address.Opaque = "//" + head.Authority + head.Path // the path goes out as it is
	request := &http.Request{Method: head.Method, URL: address, Host: head.Authority, Header: make(http.Header, head.Len()+3)}
	request.Header["User-Agent"] = nil // none of the codec's own
	for _, field := range head.All() {
		request.Header.Add(string(field.Name), string(field.Value))
	}
	if head.Trailers {
		request.Header.Set("TE", "trailers")
	}
	if head.Expect {
		request.Header.Set("Expect", "100-continue")
	}
	if c.pull != nil {
		request.Body, request.GetBody, request.ContentLength = c.pull.puller(), c.pull.again, head.Length
		if head.Length == message.Unknown {
			request.Trailer = http.Header{}
			c.pull.trailer = request.Trailer
		}
	}
	return request.WithContext(ctx)
}

// run sends the request, and reads the answer to its end.
func (c *call2) run(request *http.Request) {
	defer close(c.done)
	response, err := c.target.RoundTrip(request)
	if err != nil {
		c.err = err
		return
	}
	defer func() { _ = response.Body.Close() }()
	c.heads <- finalHead(response)
	if message.Bodiless(response.StatusCode) { // the codec would miss the content that a 304 may announce
		c.err = io.EOF
		return
	}
	c.err = c.read(request.Context(), response.Body)
	if c.err == io.EOF && len(response.Trailer) > 0 { //nolint:errorlint // read returns it as it is
		c.trailer = &message.Fields{}
		addFields(c.trailer, response.Trailer)
	}
}

// pieceSize is that of a frame, as most send it.
const pieceSize = 16 << 10

// read hands over the answer's content: never more than two pieces ahead.
func (c *call2) read(ctx context.Context, body io.Reader) error {
	for made := 0; ; {
		var into []byte
		if made < cap(c.used) {
			made++
			into = make([]byte, pieceSize)
		} else {
			select {
			case into = <-c.used:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		n, err := body.Read(into)
		if n > 0 {
			select {
			case c.pieces <- into[:n]:
			case <-ctx.Done():
				return ctx.Err()
			}
		} else {
			c.used <- into
		}
		if err != nil {
			return err
		}
	}
}

func finalHead(response *http.Response) *message.Head {
	head := &message.Head{Version: message.HTTP2, Status: response.StatusCode, Length: response.ContentLength}
	addFields(&head.Fields, response.Header)
	if len(response.Trailer) > 0 {
		names := make([]string, 0, len(response.Trailer))
		for name := range response.Trailer {
			names = append(names, name)
		}
		slices.Sort(names)
		head.Add(message.Trailer, strings.Join(names, ", "))
	}
	return head
}

func addFields(fields *message.Fields, header http.Header) {
	for name, values := range header {
		if name == "Content-Length" {
			continue
		}
		for _, value := range values {
			fields.AddNamed(name, value)
		}
	}
}

func (c *call2) ReadWithin(now time.Time, d time.Duration) { c.deadline = now.Add(d) }
func (c *call2) Interrupt()                                { c.once.Do(func() { close(c.interrupted) }) }

// wait waits for a head, or for a piece if pieces is not nil; both are nil when the call has ended.
func (c *call2) wait(pieces <-chan []byte) (head *message.Head, piece []byte, err error) {
	timer := time.NewTimer(time.Until(c.deadline))
	defer timer.Stop()
	select {
	case head = <-c.heads:
	case piece = <-pieces:
	case <-c.interrupted:
		err = socket.ErrInterrupted
	case <-timer.C:
		err = os.ErrDeadlineExceeded
	case <-c.done:
		select {
		case head = <-c.heads: // it came before the end
		case <-c.interrupted:
			err = socket.ErrInterrupted
		default:
		}
	}
	return head, piece, err
}

func (c *call2) readHead(head *message.Head, _ string) error {
	next, _, err := c.wait(nil)
	if err != nil {
		return err
	}
	if next != nil {
		*head = *next
		c.begun = true
		return nil
	}
	_, refused := errors.AsType[*upstream.DialError](c.err)
	switch {
	case refused, errors.Is(c.err, upstream.ErrHTTP1):
		return c.err
	case errors.Is(c.err, errInterim):
		return &Failure{BadAnswer, c.err}
	case c.begun:
		return &Failure{Unreachable, c.err}
	default:
		return &broken{err: c.err, aged: c.reused.Load() && upstream.Lost(c.err)}
	}
}

func (c *call2) Next() ([]byte, error) {
	if c.last != nil {
		c.used <- c.last[:cap(c.last)]
		c.last = nil
	}
	if c.next == nil && !c.ended {
		_, piece, err := c.wait(c.pieces)
		if err != nil {
			return nil, err
		}
		c.next = piece
	}
	if c.next == nil {
		c.ended = true
		return nil, c.err
	}
	c.last, c.next = c.next, nil
	return c.last, nil
}

func (c *call2) Buffered() int {
	if c.next == nil && !c.ended {
		select {
		case c.next = <-c.pieces:
		default:
		}
	}
	return len(c.next)
}

// Done tells whether Next gives what it gives without waiting, apart from what is Buffered.
func (c *call2) Done() bool {
	select {
	case <-c.done:
		return true
	default:
		return c.ended
	}
}

func (c *call2) Trailer() *message.Fields {
	if !c.ended {
		return nil
	}
	return c.trailer
}

func (c *call2) finish(bool) { c.finished = true }

func (c *call2) hangUp() {
	if c.finished && c.pull != nil {
		c.pull.complete()
	}
	c.cancel()
	if c.pull != nil {
		c.pull.stop()
		c.pull = nil
	}
	<-c.done
}
