// Package server opens the edge's sockets and speaks HTTP on them. HTTP/1.1 connections are its own: one goroutine each,
// which reads a head, runs the handler and writes the answer (conn.go, stream.go, body.go). HTTP/2 is spoken by package http2
// on them (http2.go), HTTP/3 by a borrowed codec, whose requests are adapted to the same streams (adapted.go).
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/http2"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/pace"
)

// Handlers answer what comes in on the listeners.
type Handlers struct {
	Plain  message.Handler // of listen.http
	Secure message.Handler // of listen.https, over any version of HTTP
	// Refused answers a request that could not be taken in, and logs it. The stream's head has what is known of the request;
	// its content cannot be read, and the connection ends after it where that is of HTTP/1.1. nil: the bare status.
	Refused func(stream message.Stream, refusal *http1.Error)
	TLS     *tls.Config
}

// Ending is how serving comes to its end.
type Ending struct {
	// Gently is closed when there is no time left for more than the requests in flight; nil: there is none to begin with.
	// Until then connections that are idle stay open for one request more, whose answer says that it was the last: for when
	// another process serves the same sockets, so that nobody waits for this one's end.
	Gently <-chan struct{}
	// Drain is how long requests in flight may go on after that.
	Drain func() time.Duration
}

// server is what all connections share.
type server struct {
	settings  Settings
	pace      *atomic.Pointer[pace.Pace]
	relays    *atomic.Pointer[[]netip.Prefix]
	parting   *atomic.Bool
	counts    *counts
	limits    http1.Limits
	handlers  Handlers
	log       *slog.Logger
	base      context.Context // ends when what is left is cut off
	registry  registry
	draining  atomic.Bool
	gentle    atomic.Bool // drains, but leaves idle connections their time
	clock     clock
	strangers strangers
	tls       *tls.Config
	http2     *http2.Server

	connections   sync.WaitGroup  // goroutines of connections
	handshakes    context.Context // of TLS
	endHandshakes context.CancelFunc
}

// Serve serves until ctx ends or a listener fails, then stops accepting, asks stopping how to end, closes the connections
// that are idle, waits for the requests in flight, and cuts off what is left. It closes the listeners, and returns when
// everything that it started has ended. Only a listener that failed is an error.
func (l *Listeners) Serve(ctx context.Context, handlers Handlers, stopping func() Ending, log *slog.Logger) error {
	defer l.Close()
	if l.https != nil && handlers.TLS == nil {
		return errors.New("listen.https: there is no configuration of TLS to serve it with")
	}
	base, cutOff := context.WithCancel(context.WithoutCancel(ctx))
	defer cutOff()
	s := newServer(base, l, handlers, log)

	accepting, stopAccepting := context.WithCancel(ctx)
	defer stopAccepting()
	var quic *http3Codec
	if l.quic != nil {
		quic = s.newHTTP3(l.quic)
		defer quic.close()
	}
	stopRenewing := l.tickets.renewing(s.tls, quic)
	defer stopRenewing()
	failures := make(chan error, 3)
	var tcp, udp sync.WaitGroup
	start := func(loops *sync.WaitGroup, name string, serve func() error) {
		loops.Go(func() {
			if err := serve(); err != nil {
				failures <- fmt.Errorf("%s: %w", name, err)
			}
		})
	}
	if l.http != nil {
		start(&tcp, nameHTTP, func() error {
			return s.accept(accepting, l.http, func(c *net.TCPConn) { s.open(accepting, c, false) })
		})
	}
	if l.https != nil {
		start(&tcp, nameHTTPS, func() error {
			return s.accept(accepting, l.https, func(c *net.TCPConn) { s.open(accepting, c, true) })
		})
	}
	if quic != nil {
		start(&udp, "http3", quic.serve)
	}

	var failure error
	select {
	case <-ctx.Done():
	case failure = <-failures:
	}
	stopAccepting()
	ending := stopping()
	s.gentle.Store(ending.Gently != nil)
	s.draining.Store(true) // from here on answers announce the end
	if l.http != nil {
		_ = l.http.Close()
	}
	if l.https != nil {
		_ = l.https.Close()
	}
	if l.quic != nil && ending.Gently != nil {
		l.quic.give()
	}
	tcp.Wait()
	s.end(ending, quic, cutOff)
	udp.Wait()
	return failure
}

func newServer(base context.Context, l *Listeners, handlers Handlers, log *slog.Logger) *server {
	settings := l.settings
	s := &server{
		settings: settings, pace: &l.pace, relays: &l.relays, parting: &l.parting, counts: &l.counts, limits: settings.limits(), handlers: handlers, log: log, base: base,
	}
	s.handshakes, s.endHandshakes = context.WithCancel(base) //nolint:gosec // drain calls it, or base ends
	s.registry.init(settings.Connections, &l.counts)
	if handlers.TLS != nil {
		s.tls = handlers.TLS.Clone()
		// Small records first would let a browser begin a little earlier, and cost more of them with each answer.
		s.tls.DynamicRecordSizingDisabled = true
		for _, protocol := range []string{"h2", "http/1.1"} {
			if !slices.Contains(s.tls.NextProtos, protocol) {
				s.tls.NextProtos = append(s.tls.NextProtos, protocol)
			}
		}
		s.http2 = s.newHTTP2()
	}
	return s
}

// end lets what is in flight come to its end, and cuts off what does not.
func (s *server) end(ending Ending, quic *http3Codec, cutOff context.CancelFunc) {
	defer cutOff()
	patience, cut := context.WithCancel(s.base)
	defer cut()
	var open sync.WaitGroup
	open.Go(s.connections.Wait)
	late := false // HTTP/3 was cut off
	if quic != nil {
		open.Go(func() {
			if ending.Gently != nil {
				quic.settle(patience)
			}
			late = quic.shutdown(patience) != nil
		})
	}
	over := make(chan struct{})
	go func() {
		open.Wait()
		close(over)
	}()
	if ending.Gently != nil {
		s.askToLeave()
		select {
		case <-over:
		case <-ending.Gently:
		}
		s.gentle.Store(false)
	}
	defer time.AfterFunc(lastCall, s.endHandshakes).Stop()
	s.askToLeave()
	drain := ending.Drain()
	select {
	case <-over:
	case <-time.After(drain):
		cut()
		s.cutOff(drain)
		cutOff()
	}
	<-over
	if late {
		s.warnCutOff("http3", drain)
	}
}

func (s *server) askToLeave() {
	for _, m := range s.registry.all() {
		m.drain()
	}
}

// cutOff closes the connections that are left.
func (s *server) cutOff(after time.Duration) {
	cut := map[string]bool{}
	for _, m := range s.registry.all() {
		if m.cut() {
			cut[m.name()] = true
		}
	}
	for _, name := range []string{nameHTTP, nameHTTPS} {
		if cut[name] {
			s.warnCutOff(name, after)
		}
	}
}

// warnCutOff tells of requests that did not end in time. A client may take as long as it likes: it is no failure of the edge's.
func (s *server) warnCutOff(protocol string, after time.Duration) {
	s.log.Warn("requests still in flight were cut off", "protocol", protocol, "after", after.String())
}

// run lets the handler serve a stream, and tells whether it returned in good order. A panic other than http.ErrAbortHandler
// is logged.
func (s *server) run(handler message.Handler, stream message.Stream) (sound bool) {
	defer func() {
		if sound {
			return
		}
		if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint // that very value is the sign
			s.log.Error("a request's handler panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	handler(stream)
	return true
}

// refuse answers a request that could not be taken in.
func (s *server) refuse(stream message.Stream, refusal *http1.Error) {
	if s.handlers.Refused != nil {
		s.handlers.Refused(stream, refusal)
		return
	}
	var answer message.Head
	answer.Status = refusal.Status
	if stream.Answer(&answer) == nil {
		_ = stream.End(nil)
	}
}

// wellEnded tells whether a codec's serving ended because it was told to.
func wellEnded(err error, ends ...error) bool {
	return slices.ContainsFunc(ends, func(end error) bool { return errors.Is(err, end) })
}
