package proxy

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/portico-web/portico/proxy/forward"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/tracing"
)

// tracer decides which requests have spans.
type tracer struct {
	exporter *tracing.Exporter
	sample   float64
}

// openTracer makes the tracer of s; the exporter of previous, if it is the same, is taken over.
func (s *state) openTracer(p *Proxy, previous *state) {
	configured := s.config.Tracing
	if configured.Endpoint == "" {
		return
	}
	settings := tracing.Settings{Endpoint: configured.Endpoint, Service: configured.Service, Version: p.options.Version, Headers: configured.Headers}
	s.tracer = &tracer{sample: float64(*configured.Sample)}
	if previous != nil && previous.tracer != nil && previous.tracer.exporter.Settings().Equal(settings) {
		s.tracer.exporter = previous.tracer.exporter
		return
	}
	s.tracer.exporter = tracing.Start(settings, p.log)
}

// Where a traceparent has its parts (W3C Trace Context, section 3.2).
const (
	traceIDAt    = 3
	parentAt     = 36
	flagsAt      = 53
	traceparents = 55 // bytes of version 00
)

// spans are those of a request that somebody wants to see: of the request itself, and of the exchange with an upstream.
type spans struct {
	own, call tracing.Span
}

// trace decides whether the request has spans, and says so to the upstream. A trusted peer may have decided; who else
// sends a trace is seen as often as others, whatever it says.
func (x *exchange) trace(continued bool) {
	field := x.traceparent[:traceparents] // what a later version has behind it is not ours to hand on
	var sampled bool
	if continued && x.trusted {
		last := field[flagsAt+1]
		sampled = (last >= 'a') == (last&1 == 0) // of hex digits: 1, 3 … 9, and b, d, f, whose codes are even
	} else {
		sampled = rand.Float64() < x.state.tracer.sample //nolint:gosec // nobody gains from foreseeing it
	}
	field[0], field[1], field[flagsAt], field[flagsAt+1] = '0', '0', '0', '0'
	x.traceparent = field
	if !sampled {
		return
	}
	field[flagsAt+1] = '1'
	x.spans = &spans{own: tracing.Span{TraceID: string(field[traceIDAt : traceIDAt+32]), Kind: tracing.Server, Start: x.start}}
	if continued {
		x.spans.own.Parent = string(field[parentAt : parentAt+16])
	}
	x.spans.own.ID = x.nameSpan()
}

// nameSpan makes a new span the parent of what follows.
func (x *exchange) nameSpan() string {
	return string(tracing.AppendID(x.traceparent[parentAt:parentAt]))
}

// ask lets a forwarder answer, in a span of its own if the request has one.
func (x *exchange) ask(forwarder *forward.Forwarder) error {
	if x.spans == nil {
		return forwarder.Forward(x, x.Body(), x.out, &x.sent)
	}
	x.beginCall()
	err := forwarder.Forward(x, x.Body(), x.out, &x.sent)
	if !errors.Is(err, forward.ErrRetired) { // else another is asked
		x.endCall(forwarder, err)
	}
	return err
}

// beginCall begins the span of the exchange with an upstream, which becomes the parent of what the upstream does.
func (x *exchange) beginCall() {
	x.spans.call = tracing.Span{TraceID: x.spans.own.TraceID, Parent: x.spans.own.ID, ID: x.nameSpan(), Kind: tracing.Client, Start: time.Now()}
}

// endCall ends it.
func (x *exchange) endCall(forwarder *forward.Forwarder, err error) {
	call := &x.spans.call
	call.End = time.Now()
	call.Name = methodText(x.Head().Method)
	text := func(key, value string) {
		call.Attributes = append(call.Attributes, tracing.Attribute{Key: key, Text: value})
	}
	number := func(key string, value int64) {
		call.Attributes = append(call.Attributes, tracing.Attribute{Key: key, Number: value})
	}
	text("http.request.method", call.Name)
	text("portico.upstream", forwarder.Pool().Settings().Name)
	if target := x.sent.Target; target != "" {
		host, port, err := net.SplitHostPort(target)
		if err != nil { // a socket's path
			host = target
		}
		text("server.address", host)
		if n, err := strconv.ParseUint(port, 10, 16); err == nil {
			number("server.port", int64(n))
		}
	}
	if x.status > 0 {
		number("http.response.status_code", int64(x.status))
	}
	if problem := callProblem(x.status, err); problem != "" {
		call.Failed = true
		text("error.type", problem)
	}
	x.state.tracer.exporter.Add(*call)
}

// callProblem is what was wrong with an exchange with an upstream; "" for nothing. To who asks, 4xx is a failure, too.
func callProblem(status int, err error) string {
	failure, told := errors.AsType[*forward.Failure](err)
	switch {
	case told && failure.Kind == forward.ClientGone:
		return "client_gone"
	case told && failure.Kind == forward.TimedOut:
		return "timeout"
	case err != nil:
		return "upstream"
	case status >= http.StatusBadRequest:
		return strconv.Itoa(status)
	default:
		return ""
	}
}

// endSpans ends the span of the request itself. Names are those of OpenTelemetry's semantic conventions for HTTP.
func (x *exchange) endSpans(took time.Duration) {
	if x.health {
		return
	}
	own, head := &x.spans.own, x.Head()
	own.End = x.start.Add(took)
	method := methodText(head.Method)
	own.Name = method
	own.Attributes = make([]tracing.Attribute, 0, 14)
	text := func(key, value string) {
		if value != "" {
			own.Attributes = append(own.Attributes, tracing.Attribute{Key: key, Text: value})
		}
	}
	text("http.request.method", method)
	text("url.scheme", x.proto)
	text("url.path", x.path) // without the query, which may hold secrets
	text("server.address", x.host)
	text("client.address", string(x.clientText))
	text("network.protocol.version", [...]string{"1.1", "1.0", "2", "3"}[head.Version])
	text("user_agent.original", string(head.Get(message.UserAgent)))
	text("portico.request_id", string(x.requestID))
	if x.route != nil {
		own.Name += " " + x.route.Path
		text("http.route", x.route.Path)
	}
	if x.status > 0 {
		own.Attributes = append(own.Attributes, tracing.Attribute{Key: "http.response.status_code", Number: int64(x.status)})
	}
	switch {
	case x.status >= http.StatusInternalServerError:
		own.Failed = true
		text("error.type", strconv.Itoa(x.status))
	case x.aborted:
		own.Failed = true
		text("error.type", "aborted")
	}
	x.state.tracer.exporter.Add(*own)
}

// methodText is a method, or _OTHER, so that clients cannot make up names of spans.
func methodText(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	default:
		return "_OTHER"
	}
}
