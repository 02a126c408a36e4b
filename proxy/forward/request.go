package forward

import (
	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/upstream"
)

// Exchange is what the edge has found out about a request and asserts towards the target. Its bytes need to stay only while
// Forward runs.
type Exchange struct {
	Path        string // escaped and normalised, as the target shall see it
	Prefix      string // what was stripped off the path; "" for nothing
	Proto       string // http or https, as the client spoke it
	Host        string // the host that the client asked for
	Client      []byte // the client's address
	Chain       []byte // X-Forwarded-For
	RequestID   []byte
	Traceparent []byte

	Target string // set by Forward: who was asked last
}

// assert puts into the request's head what the edge answers for.
func (x *exchange) assert(sent *Exchange) {
	head := x.head
	x.sent = sent
	x.asks = upstream.Request{Head: head, Client: sent.Client}
	x.secure = sent.Proto == "https"
	head.Path = sent.Path
	head.SetBytes(message.XForwardedFor, sent.Chain)
	head.Set(message.XForwardedProto, sent.Proto)
	head.Set(message.XForwardedHost, sent.Host)
	head.SetBytes(message.XRealIP, sent.Client)
	head.SetBytes(message.XRequestID, sent.RequestID)
	head.SetBytes(message.Traceparent, sent.Traceparent)
	if sent.Prefix != "" {
		head.Set(message.XForwardedPrefix, sent.Prefix)
	}
}

// compose writes the request into the buffer: its head, and the content when all of it is there already, so that both go in
// one write and can be sent again.
func (x *exchange) compose() error {
	if len(x.request) > 0 {
		return nil
	}
	x.request = http1.AppendRequest(x.request, x.head)
	x.along = len(x.request)
	length := x.head.Length
	x.whole = length == 0
	if length <= 0 || length > maxAlong || x.head.Expect || int64(x.body.Buffered()) < length {
		return nil
	}
	for int64(len(x.request)-x.along) < length {
		piece, err := x.body.Next()
		if err != nil {
			return clientFailure(err)
		}
		x.request = append(x.request, piece...)
	}
	if int64(len(x.request)-x.along) != length {
		return clientFailure(message.ErrMalformed)
	}
	x.whole = true
	return nil
}

// maxAlong is what systems take from one write without waiting for the other end.
const maxAlong = 32 << 10

// assign tells the client by a cookie, when the pool says so, to which target it comes back.
func (x *exchange) assign() {
	if cookie := x.forwarder.pool.Cookie(&x.asks, x.target, x.secure); cookie != "" {
		x.answer.Add(message.SetCookie, cookie)
	}
}
