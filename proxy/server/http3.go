package server

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// What an HTTP/3 connection may hold of its requests' content at first, in bytes; it may come to twice that.
const (
	connectionWindow = 512 << 10
	streamWindow     = 256 << 10
)

// http3Codec speaks HTTP/3.
type http3Codec struct {
	server    *server
	codec     *http3.Server
	transport *quic.Transport
}

type connectionKey struct{} // of a request's context: its *quicConn

func (s *server) newHTTP3(packets *packets) *http3Codec {
	h := &http3Codec{server: s, transport: &quic.Transport{Conn: packets, ConnectionIDGenerator: packets}}
	h.codec = &http3.Server{
		Handler:        http.HandlerFunc(h.serveStream),
		TLSConfig:      http3.ConfigureTLSConfig(s.handlers.TLS),
		MaxHeaderBytes: s.settings.HeaderBytes,
		IdleTimeout:    s.settings.IdleTimeout,
		QUICConfig: &quic.Config{
			MaxIdleTimeout:        s.settings.IdleTimeout,
			HandshakeIdleTimeout:  min(s.settings.ReadHeaderTimeout, mostHandshake) / 2, // a handshake may take twice that
			MaxIncomingStreams:    int64(s.settings.Streams),
			MaxIncomingUniStreams: 8, // control, two of QPACK, and those that nobody knows

			// Heads, too, need room of the connection: an upload that nobody reads may not take much of it. It gets more as it is read.
			InitialStreamReceiveWindow:     streamWindow / 4,
			MaxStreamReceiveWindow:         2 * streamWindow,
			InitialConnectionReceiveWindow: connectionWindow,
			MaxConnectionReceiveWindow:     2 * connectionWindow,
		},
		ConnContext: h.opened,
		Logger:      slog.New(slog.DiscardHandler),
	}
	return h
}

// serve takes connections in until shutdown is called; those that there are go on.
func (h *http3Codec) serve() error {
	listener, err := h.transport.ListenEarly(h.codec.TLSConfig, h.codec.QUICConfig)
	if err != nil {
		return err
	}
	defer listener.Close()
	if err := h.codec.ServeListener(listener); !wellEnded(err, http.ErrServerClosed, quic.ErrServerClosed) {
		return err
	}
	return nil
}

// close ends what is left, after shutdown.
func (h *http3Codec) close() { _ = h.transport.Close() }

// settling is the time for handshakes that another process, which gets the new ones, forwards.
const settling = 500 * time.Millisecond

func (h *http3Codec) settle(ctx context.Context) {
	select {
	case <-time.After(settling):
	case <-ctx.Done():
	}
}

// farewell is how long a client may take to close a connection that was told GOAWAY and has nothing in flight.
const farewell = time.Second

// shutdown sends GOAWAY, and closes each connection soon after its last request, all of them when ctx ends, which is an
// error.
func (h *http3Codec) shutdown(ctx context.Context) error {
	over := make(chan error, 1)
	go func() { over <- h.codec.Shutdown(ctx) }()
	ticker := time.NewTicker(farewell / 4)
	defer ticker.Stop()
	for {
		select {
		case err := <-over:
			return err
		case <-ticker.C:
			for _, m := range h.server.registry.all() {
				if q, isQUIC := m.(*quicConn); isQUIC {
					q.leaveIfIdleFor(farewell)
				}
			}
		}
	}
}

// opened takes in a connection; without room for it, it is closed.
func (h *http3Codec) opened(ctx context.Context, connection *quic.Conn) context.Context {
	q := &quicConn{connection: connection, since: time.Now()}
	if remote, isUDP := connection.RemoteAddr().(*net.UDPAddr); isUDP {
		peer := remote.AddrPort()
		q.peer = netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
	}
	if !h.server.registry.tryEnter(q) {
		_ = connection.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeExcessiveLoad), "")
		return ctx
	}
	context.AfterFunc(connection.Context(), func() { h.server.registry.leave(q) })
	return context.WithValue(ctx, connectionKey{}, q)
}

func (h *http3Codec) serveStream(w http.ResponseWriter, r *http.Request) {
	q, known := r.Context().Value(connectionKey{}).(*quicConn)
	if !known {
		panic(http.ErrAbortHandler)
	}
	q.count(1)
	defer q.count(-1)
	h.server.adapt(h.server.handlers.Secure, w, r, origin{q.peer, r.TLS, &q.unread})
}

// quicConn is a QUIC connection in the registry.
type quicConn struct {
	connection *quic.Conn
	peer       netip.AddrPort
	unread     atomic.Int32 // see origin

	mu      sync.Mutex
	streams int
	since   time.Time // when it last had a stream
}

func (q *quicConn) count(change int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.streams += change
	q.since = time.Now()
}

func (q *quicConn) leaveIfIdleFor(d time.Duration) {
	if since, idle := q.idleSince(); idle && time.Since(since) >= d {
		q.close()
	}
}

func (q *quicConn) close() {
	_ = q.connection.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
}

// The methods of member. The codec itself drains and cuts off.

func (q *quicConn) name() string { return nameQUIC }
func (q *quicConn) drain()       {}
func (q *quicConn) cut() bool    { return false }

func (q *quicConn) idleSince() (time.Time, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.since, q.streams == 0
}

func (q *quicConn) evict() bool {
	if _, idle := q.idleSince(); !idle {
		return false
	}
	q.close()
	return true
}
