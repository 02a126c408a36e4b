package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/portico-web/portico/proxy/config"
	"github.com/portico-web/portico/proxy/forward"
	"github.com/portico-web/portico/proxy/guard"
	"github.com/portico-web/portico/proxy/message"
)

// forwardAuth is a route's forward_auth made ready: a server of the operator's says whether a request passes.
type forwardAuth struct {
	service     *service
	path, query string
	hasQuery    bool
	copied      []string
	timeout     time.Duration
}

func newForwardAuth(configured *config.ForwardAuth, service *service) *forwardAuth {
	f := &forwardAuth{service: service, copied: configured.Copy, timeout: configured.Timeout}
	f.path, f.query, f.hasQuery = strings.Cut(configured.Path, "?")
	return f
}

// authenticate is the policy. A server that fails lets nobody pass.
func (f *forwardAuth) authenticate(x *exchange) bool {
	question := f.question(x)
	sent := x.assertions()
	sent.Path = f.path
	sent.Host = x.Head().Authority // by which the site was chosen, whatever a balancer lets its clients write
	by, err := f.ask(x, question, &sent)
	if by == nil {
		x.refused(policyForwardAuth, "the auth server takes no requests now")
		return false
	}
	if err == nil && !question.understood() {
		err = &forward.Failure{Kind: forward.BadAnswer, Err: fmt.Errorf("the auth server answers %d", question.answer.Status)}
	}
	if err != nil {
		x.refused(policyForwardAuth, "the auth server failed")
		x.forwardFailed(by, question.explain(err))
		return false
	}
	if question.answer.Status > 299 {
		x.refused(policyForwardAuth, "the auth server refused")
		x.relay(question)
		return false
	}
	for _, name := range f.copied {
		for _, field := range question.answer.All() {
			if field.Is(name) {
				x.tell(name, string(field.Value))
			}
		}
	}
	return true
}

// ask has the question answered. by is who did that, nil when the request has been answered instead.
func (f *forwardAuth) ask(x *exchange, q *question, sent *forward.Exchange) (by *forward.Forwarder, err error) {
	for {
		now := f.service.admit(x)
		if now == nil {
			return nil, nil
		}
		if err := now.forwarder.Forward(q, noBody{}, q, sent); !errors.Is(err, forward.ErrRetired) { // else it was replaced just now
			return now.forwarder, err
		}
	}
}

// question makes the request to the auth server: the client's fields, without its content and what is about that.
func (f *forwardAuth) question(x *exchange) *question {
	q := &question{client: x.Stream, until: time.Now().Add(f.timeout)}
	head := x.Head()
	q.head.Method, q.head.Authority = http.MethodGet, head.Authority
	q.head.Query, q.head.HasQuery = f.query, f.hasQuery
	for _, field := range head.All() {
		if !unasked(&field) && !guard.FieldDropped(&field, false) && !x.state.asserted.Holds(field.Name) {
			q.head.AddKnown(field.ID, string(field.Name), string(field.Value))
		}
	}
	q.head.AddNamed(forwardedMethod, head.Method)
	q.head.AddNamed(forwardedURI, withQuery(x.path, head.Query))
	return q
}

const (
	forwardedMethod = "X-Forwarded-Method"
	forwardedURI    = "X-Forwarded-Uri"
)

// unasked tells whether a field of the client's is not for the auth server: it is about content, or asks for a part or for
// another form of the answer.
func unasked(field *message.Field) bool {
	switch field.ID {
	case message.AcceptEncoding, message.ContentEncoding, message.ContentRange, message.ContentType, message.IdempotencyKey,
		message.IfNoneMatch, message.Range, message.SecWebSocketAccept, message.SecWebSocketKey:
		return true
	}
	return hasPrefix(field.Name, "if-") || hasPrefix(field.Name, "content-")
}

func hasPrefix(name []byte, prefix string) bool {
	return len(name) >= len(prefix) && message.EqualFold(name[:len(prefix)], prefix)
}

// relay gives the client what the auth server answered.
func (x *exchange) relay(q *question) {
	if isGRPC(x.Head()) {
		x.fail(q.answer.Status, "You do not have permission to perform this action.")
		return
	}
	q.answer.Length = int64(len(q.content))
	err := x.Answer(&q.answer)
	if err == nil && len(q.content) > 0 && x.Head().Method != http.MethodHead {
		_, err = x.Write(q.content)
	}
	if err == nil {
		err = x.End(nil)
	}
	x.finish(err)
}

// question is a stream that the edge itself asks something on; it keeps the answer. It is gone when its time is over, or when
// the client is.
type question struct {
	head    message.Head
	client  message.Stream
	until   time.Time
	answer  message.Head
	content []byte
}

// maxAuthAnswer bounds the content of an auth server's answer, in bytes.
const maxAuthAnswer = 1 << 20

var errAuthAnswer = errors.New("the auth server's answer is larger than 1 MiB")

// understood tells whether the answer lets pass or refuses.
func (q *question) understood() bool {
	status := q.answer.Status
	return status >= 200 && status <= 499 && status != http.StatusNotModified
}

// explain makes of what went wrong a failure that the client is answered for. Nothing was said to it yet, however much came
// of the auth server's answer.
func (q *question) explain(err error) error {
	failure, ok := errors.AsType[*forward.Failure](err)
	switch {
	case !ok:
		return &forward.Failure{Kind: forward.Unreachable, Err: err}
	case failure.Kind == forward.ClientGone && !q.clientGone():
		return &forward.Failure{Kind: forward.TimedOut, Err: errors.New("the auth server does not answer in time")}
	default:
		return failure
	}
}

func (q *question) clientGone() bool { return q.client.Gone() || q.client.Context().Err() != nil }

func (q *question) Interim(*message.Head) error { return nil }

func (q *question) Answer(head *message.Head) error {
	q.answer.CopyFrom(&head.Fields)
	q.answer.Status = head.Status
	return nil
}

func (q *question) Write(content []byte) (int, error) {
	if len(q.content)+len(content) > maxAuthAnswer {
		return 0, errAuthAnswer
	}
	q.content = append(q.content, content...)
	return len(content), nil
}

func (q *question) Flush() error                                 { return nil }
func (q *question) End(*message.Fields) error                    { return nil }
func (q *question) Head() *message.Head                          { return &q.head }
func (q *question) Body() message.Body                           { return noBody{} }
func (q *question) Peer() netip.AddrPort                         { return q.client.Peer() }
func (q *question) TLS() *tls.ConnectionState                    { return q.client.TLS() }
func (q *question) Context() context.Context                     { return q.client.Context() }
func (q *question) Gone() bool                                   { return time.Now().After(q.until) || q.client.Gone() }
func (q *question) Tunnel(*message.Head) (message.Tunnel, error) { return nil, errors.ErrUnsupported }
func (q *question) Abort()                                       {}

// noBody is the content of a request that has none.
type noBody struct{}

func (noBody) Next() ([]byte, error)    { return nil, io.EOF }
func (noBody) Buffered() int            { return 0 }
func (noBody) Trailer() *message.Fields { return nil }
func (noBody) Interrupt()               {}
