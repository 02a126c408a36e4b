package proxy

import (
	"context"
	"net/netip"
	"time"

	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/internal/logging"
	"github.com/portico-web/portico/internal/ratelimit"
	"github.com/portico-web/portico/internal/telemetry"
	"github.com/portico-web/portico/proxy/compress"
	"github.com/portico-web/portico/proxy/forward"
	"github.com/portico-web/portico/proxy/guard"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/routing"
)

// exchange is a stream with what the edge finds out about it on its way. It stands between the stream and whoever answers:
// it notes what is answered, and puts the edge's own fields on it. It is used by the goroutine that serves the stream.
type exchange struct {
	message.Stream
	proxy *Proxy
	state *state
	start time.Time
	plain bool // it came in on the plain listener

	trusted       bool       // the peer may speak for others
	client        netip.Addr // who asks
	clientText    []byte
	chain         []byte // X-Forwarded-For to hand on
	proto         string // http or https
	host          string // the host asked for, in routing.CleanHost's form
	forwardedHost string // the host that a trusted peer says was asked for; "" when it says nothing
	path          string // in routing.Normalize's form
	requestID     []byte
	traceparent   []byte
	site          *routing.Site[*site, *route]
	route         *route
	limit         *limit // the strictest that the request was counted against; nil for none
	limited       ratelimit.Result
	user          string          // who the client was found to be; "" for nobody in particular
	identity      []identityField // what the upstream is told of that

	canaryNumber   int    // by which it belongs to a canary or not, plus 1; 0: that was not asked
	canaryAssigned string // the cookie that tells the client its number; "" when it knows

	out        message.Responder // the exchange itself, or what compresses on the way to it
	compressed compress.Responder
	content    content // of the request
	sent       forward.Exchange

	spans       *spans // nil when nobody wants to see the request
	health      bool   // a load balancer's question, which is neither logged nor counted
	refusal     string // why the request could not be taken in, or may not pass; "" when it may
	status      int    // of the answer; 0: nothing final was said
	bytes       int64
	aborted     bool
	told        bool // a failure of the edge's own is answered by the site's page
	intercepted bool // a page of the site was answered, and that ended; what an upstream says beyond its head is dropped
	dropped     int  // of that, in bytes
	dropUntil   time.Time

	texts [256]byte // room for the texts above
}

// begin takes an exchange from the pool; conclude gives it back.
func (p *Proxy) begin(stream message.Stream, plain bool) *exchange {
	p.active.Add(1)
	x, _ := p.exchanges.Get().(*exchange)
	x.Stream, x.proxy, x.state, x.start, x.plain = stream, p, p.current.Load(), time.Now(), plain
	x.out = x
	x.identify()
	return x
}

func (p *Proxy) end(x *exchange) {
	p.active.Add(-1)
	*x = exchange{}
	p.exchanges.Put(x)
}

// identify finds out who is at the other end, and gives the request its ids.
func (x *exchange) identify() {
	head, texts := x.Head(), x.texts[:0]
	text := func(grown []byte) []byte {
		made := grown[len(texts):]
		texts = grown
		return made
	}
	peer := x.Peer().Addr().Unmap().WithZone("")
	x.proto = "https"
	if x.TLS() == nil {
		x.proto = "http"
	}
	x.client = peer
	if x.trusted = guard.Contains(x.state.trusted, peer); x.trusted {
		var chain string
		x.client, chain = guard.Client(peer, values(head, message.XForwardedFor), x.state.trusted)
		x.chain = []byte(chain)
		if asserted := guard.Scheme(values(head, message.XForwardedProto)); asserted != "" {
			x.proto = asserted
		}
		x.forwardedHost = guard.Host(values(head, message.XForwardedHost))
	}
	x.clientText = text(x.client.AppendTo(texts))
	if !x.trusted {
		x.chain = x.clientText
	}
	if given := head.Get(message.XRequestID); x.trusted && httpx.ValidRequestID(given) {
		x.requestID = text(append(texts, given...))
	} else {
		x.requestID = text(httpx.AppendRequestID(texts))
	}
	continued := true
	if given := head.Get(message.Traceparent); head.Count(message.Traceparent) == 1 && guard.TraceparentValid(given) {
		x.traceparent = text(append(texts, given...))
	} else {
		x.traceparent = text(guard.AppendTraceparent(texts))
		continued = false
		head.Del(message.Tracestate) // it belongs to the trace that is not continued (W3C Trace Context, section 3.3)
	}
	if x.state.tracer != nil {
		x.trace(continued)
	}
}

func values(head *message.Head, name message.Name) []string {
	var values []string
	for _, field := range head.All() {
		if field.ID == name {
			values = append(values, string(field.Value))
		}
	}
	return values
}

// context is the stream's, with what log lines about the request carry.
func (x *exchange) context() context.Context {
	return logging.WithRequestID(telemetry.WithTraceparent(x.Context(), string(x.traceparent)), string(x.requestID))
}

// Body is the request's content, as far as the limit goes.
func (x *exchange) Body() message.Body {
	most := int64(0)
	if x.route != nil {
		most = x.route.mostContent
	}
	if most == 0 && x.state.asserted.None() {
		return x.Stream.Body()
	}
	if x.content.Body == nil {
		x.content = content{x.Stream.Body(), most > 0, most, x.state.asserted}
	}
	return &x.content
}

// content is a request's content that is counted against a limit, and whose trailer may not say what the edge asserts.
type content struct {
	message.Body
	limited  bool
	left     int64
	asserted guard.Asserted
}

func (c *content) Next() ([]byte, error) {
	next, err := c.Body.Next()
	if c.left -= int64(len(next)); c.limited && c.left < 0 {
		return nil, message.ErrTooLarge
	}
	return next, err
}

func (c *content) Trailer() *message.Fields {
	trailer := c.Body.Trailer()
	if trailer != nil {
		trailer.DeleteFunc(func(field *message.Field) bool { return c.asserted.Holds(field.Name) })
	}
	return trailer
}

// withheld tells whether the upstream may not learn a field.
func (x *exchange) withheld(field *message.Field) bool {
	return guard.FieldDropped(field, x.route.UnderscoreFields) || x.route.asserted.Holds(field.Name)
}
