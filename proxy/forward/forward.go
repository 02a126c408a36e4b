// Package forward carries one exchange between a client and a target: heads, bodies, upgrades and streams.
package forward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/portico-web/portico/proxy/upstream"
)

// StatusClientGone stands in logs and metrics for a request whose client left before the answer.
const StatusClientGone = 499

// Exchange is what the edge has found out about a request and asserts towards the target.
type Exchange struct {
	Path        string // escaped and normalised, as the target shall see it
	Prefix      string // what was stripped off the path; "" for nothing
	Client      string // the client's address
	Chain       string // X-Forwarded-For
	Proto       string // http or https, as the client spoke it
	Host        string // the host that the client asked for
	RequestID   string
	Traceparent string
	Stalled     func() bool // tells whether the client paused for too long in sending the body; nil: it has none
}

// Failure is why no target's answer could be given.
type Failure int

const (
	// NoTarget means that all targets are unhealthy.
	NoTarget Failure = iota
	// Unreachable means that no target took the connection, or that it broke before an answer.
	Unreachable
	// TooLarge means that the request's body exceeds the edge's limit.
	TooLarge
	// TooSlow means that the client paused for too long in sending the request's body.
	TooSlow
)

// Answer writes the edge's own answer to a failure.
type Answer func(w http.ResponseWriter, r *http.Request, failure Failure)

// Forwarder forwards to the targets of one pool. It is safe for concurrent use.
type Forwarder struct {
	pool      *upstream.Pool
	transport *transport
	proxy     *httputil.ReverseProxy
	streams   *Streams
	answer    Answer
	log       *slog.Logger
	closed    atomic.Bool
}

type exchangeKey struct{}

// New makes a forwarder that owns pool. streams takes the exchanges that may last for ever.
func New(pool *upstream.Pool, streams *Streams, answer Answer, log *slog.Logger) *Forwarder {
	f := &Forwarder{pool: pool, transport: newTransport(pool), streams: streams, answer: answer, log: log}
	f.proxy = &httputil.ReverseProxy{
		Transport:      f.transport,
		Rewrite:        rewrite,
		ModifyResponse: f.modifyResponse,
		ErrorHandler:   f.failed,
		BufferPool:     &bufferPool{},
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return f
}

// Pool is the pool that the forwarder owns.
func (f *Forwarder) Pool() *upstream.Pool { return f.pool }

// Close ends the pool's probes and drops idle connections. Exchanges in flight go on; so do some that begin just afterwards,
// and they leave no connection behind.
func (f *Forwarder) Close() {
	f.closed.Store(true)
	f.pool.Close()
	f.transport.base.CloseIdleConnections()
}

// Forward answers r with what a target answers.
func (f *Forwarder) Forward(w http.ResponseWriter, r *http.Request, exchange Exchange) {
	attempt := &attempt{}
	defer func() {
		attempt.release()
		if f.closed.Load() {
			f.transport.base.CloseIdleConnections()
		}
	}()
	defer func() { f.streams.remove(attempt.stream) }()
	ctx := context.WithValue(r.Context(), exchangeKey{}, exchange)
	ctx = context.WithValue(ctx, attemptKey{}, attempt)
	f.proxy.ServeHTTP(w, r.WithContext(ctx))
}

func rewrite(p *httputil.ProxyRequest) {
	x, _ := p.In.Context().Value(exchangeKey{}).(Exchange)
	out := p.Out
	out.Host = p.In.Host
	out.URL.RawQuery = p.In.URL.RawQuery // whole: what an application makes of semicolons is its own business
	out.URL.Path, out.URL.RawPath = x.Path, ""
	if decoded, err := url.PathUnescape(x.Path); err == nil {
		out.URL.Path, out.URL.RawPath = decoded, x.Path
	}
	header := out.Header
	header.Set("X-Forwarded-For", x.Chain)
	header.Set("X-Forwarded-Proto", x.Proto)
	header.Set("X-Forwarded-Host", x.Host)
	header.Set("X-Real-Ip", x.Client)
	header.Set("X-Request-Id", x.RequestID)
	header.Set("Traceparent", x.Traceparent)
	if x.Prefix != "" {
		header.Set("X-Forwarded-Prefix", x.Prefix)
	}
}

// modifyResponse takes away what only the edge may say, and registers answers that may last for ever.
func (f *Forwarder) modifyResponse(response *http.Response) error {
	if response.StatusCode < 200 && response.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("status %03d is none of a final answer", response.StatusCode)
	}
	response.Header.Del("Alt-Svc")
	response.Header.Del("X-Request-Id") // the edge's own stands on every answer
	attempt := attemptOf(response.Request.Context())
	switch {
	case response.StatusCode == http.StatusSwitchingProtocols:
		attempt.stream = f.streams.add(response.Body)
	case isEventStream(response.Header):
		body := &streamBody{ReadCloser: response.Body, streams: f.streams}
		attempt.stream = f.streams.add(response.Body)
		response.Body = body
	}
	return nil
}

func isEventStream(header http.Header) bool {
	kind, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	return strings.EqualFold(kind, "text/event-stream")
}

func (f *Forwarder) failed(w http.ResponseWriter, r *http.Request, err error) {
	// First, since net/http cancels a request whose body it could not read.
	if x, _ := r.Context().Value(exchangeKey{}).(Exchange); x.Stalled != nil && x.Stalled() {
		f.answer(w, r, TooSlow)
		return
	}
	if r.Context().Err() != nil {
		w.WriteHeader(StatusClientGone)
		return
	}
	if errors.Is(err, upstream.ErrNoTarget) {
		f.log.WarnContext(r.Context(), "no healthy target", "upstream", f.pool.Settings().Name)
		f.answer(w, r, NoTarget)
		return
	}
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		f.answer(w, r, TooLarge)
		return
	}
	f.log.WarnContext(r.Context(), "upstream failed", "upstream", f.pool.Settings().Name, "error", err)
	f.answer(w, r, Unreachable)
}

// bufferPool hands out the buffers that bodies are copied through.
type bufferPool struct{ pool sync.Pool }

const bufferSize = 32 << 10

func (b *bufferPool) Get() []byte {
	if buffer, ok := b.pool.Get().(*[]byte); ok {
		return *buffer
	}
	return make([]byte, bufferSize)
}

func (b *bufferPool) Put(buffer []byte) { b.pool.Put(&buffer) }
