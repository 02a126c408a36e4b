package server

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/net/http2"

	"github.com/portico-web/portico/proxy/message"
)

// http2Codec speaks HTTP/2 on connections that negotiated it.
type http2Codec struct {
	base  *http.Server
	codec *http2.Server //nolint:staticcheck // net/http's own serves listeners only, not a connection that was accepted
}

// What an HTTP/2 connection may hold of its requests' content, in bytes.
const (
	connectionWindow = 512 << 10
	streamWindow     = 256 << 10
)

func (s *server) newHTTP2() *http2Codec {
	h := &http2Codec{
		base: &http.Server{
			MaxHeaderBytes:    s.settings.HeaderBytes,
			ReadHeaderTimeout: s.settings.ReadHeaderTimeout,
			IdleTimeout:       s.settings.IdleTimeout,
			ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
			HTTP2: &http.HTTP2Config{
				MaxConcurrentStreams:          s.settings.Streams,
				MaxReceiveBufferPerConnection: connectionWindow,
				MaxReceiveBufferPerStream:     streamWindow,
				MaxReadFrameSize:              16 << 10,
				SendPingTimeout:               s.settings.StallTimeout, // so that whoever left without a word is found out
				PingTimeout:                   s.settings.ReadHeaderTimeout,
			},
		},
		codec: &http2.Server{}, //nolint:staticcheck // as above
	}
	if err := http2.ConfigureServer(h.base, h.codec); err != nil { //nolint:staticcheck // it makes Shutdown send GOAWAY
		s.log.Error("HTTP/2 cannot be set up as it is meant to be", "err", err)
	}
	return h
}

// goAway asks the clients of all connections to open no more streams.
func (h *http2Codec) goAway() {
	ended, cancel := context.WithCancel(context.Background())
	cancel() // there are no listeners and connections of net/http to wait for
	_ = h.base.Shutdown(ended)
}

// serveHTTP2 serves the connection until it ends, and waits for its handlers.
func (c *conn) serveHTTP2() {
	defer c.end()
	if !c.become(resting, time.Now()) {
		return
	}
	if !c.readPreface() {
		return
	}
	state := c.secure.ConnectionState()
	c.state = &state
	h := c.server.http2
	h.codec.ServeConn(c.secure, &http2.ServeConnOpts{Context: c.server.base, BaseConfig: h.base, Handler: c, SawClientPreface: true}) //nolint:staticcheck // see http2Codec
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.handling.Wait()
}

// readPreface reads what every client says first (RFC 9113 section 3.4). The codec would wait for it for a time of its own.
func (c *conn) readPreface() bool {
	var preface [len(http2.ClientPreface)]byte
	c.socket.ReadWithin(time.Now(), c.server.settings.ReadHeaderTimeout)
	_, err := io.ReadFull(c.secure, preface[:])
	c.socket.ReadBy(time.Time{})
	return err == nil && string(preface[:]) == http2.ClientPreface
}

// ServeHTTP serves one stream of HTTP/2.
func (c *conn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !c.startStream() {
		panic(http.ErrAbortHandler)
	}
	defer c.endStream()
	c.server.adapt(c.handler, w, r, origin{message.HTTP2, c.peer, c.state, &c.unread})
}

func (c *conn) startStream() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.phase == leaving {
		return false
	}
	c.handling.Add(1)
	c.streams++
	c.phase = serving
	return true
}

func (c *conn) endStream() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams--; c.streams == 0 && c.phase == serving {
		c.phase, c.since = resting, time.Now()
	}
	c.handling.Done()
}
