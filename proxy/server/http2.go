package server

import (
	"crypto/tls"
	"errors"
	"time"

	"github.com/portico-web/portico/proxy/http2"
	"github.com/portico-web/portico/proxy/pace"
)

func (s *server) newHTTP2() *http2.Server {
	return &http2.Server{
		Bounds: s.settings.HTTP2, Limits: s.limits,
		ReadHeaderTimeout: s.settings.ReadHeaderTimeout, IdleTimeout: s.settings.IdleTimeout,
		Pace: func() *pace.Pace { return s.pace.Load() },
		Date: func() []byte { return s.clock.date(time.Now()).text },
		Run:  s.run, Refused: s.refuse,
	}
}

// serveHTTP2 serves the connection until it ends.
func (c *conn) serveHTTP2() {
	state := c.secure.ConnectionState()
	if !c.become(resting, time.Now()) || !adequate(&state) {
		c.end()
		return
	}
	connection := c.server.http2.NewServerConn(http2.Connection{
		Socket: c.socket, Wire: c.secure, State: &state, Peer: c.peer, Handler: c.handler, Context: c.server.base,
		Busy: c.startStreams, Idle: c.endStreams,
	})
	c.mu.Lock()
	c.multiplexed = connection
	c.mu.Unlock()
	if c.server.draining.Load() { // maybe too late for the call to come from drain
		connection.Drain()
	}
	c.serveStreams()
}

// serveStreams goes on in another goroutine when the connection is idle.
func (c *conn) serveStreams() {
	over, err := c.multiplexed.Serve()
	if !over {
		c.server.connections.Go(c.serveStreams)
		return
	}
	if fault, told := errors.AsType[*http2.ConnectionError](err); err == nil || told && !fault.Remote {
		c.linger(c.closeWrite)
	}
	c.end()
}

// adequate tells whether TLS is as HTTP/2 demands it (RFC 9113 section 9.2.2): before 1.3, ephemeral keys and an AEAD.
func adequate(state *tls.ConnectionState) bool {
	if state.Version >= tls.VersionTLS13 {
		return true
	}
	switch state.CipherSuite {
	case tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256:
		return state.Version == tls.VersionTLS12
	default:
		return false
	}
}

// startStreams says that the first stream begins; false when the connection was evicted.
func (c *conn) startStreams() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == leaving {
		return false
	}
	c.phase = serving
	return true
}

func (c *conn) endStreams() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == serving {
		c.phase, c.since = resting, time.Now()
	}
}
