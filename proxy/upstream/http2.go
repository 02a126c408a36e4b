package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

// The client of x/net. What follows it in net/http makes its connections itself, and so cannot take one whose TLS chose HTTP/2.
type (
	codec      = http2.Transport  //nolint:staticcheck // as above
	clientConn = http2.ClientConn //nolint:staticcheck // as above
)

// ErrHTTP1 says that a target which spoke HTTP/2 does so no longer. The connection on which it said so is idle.
var ErrHTTP1 = errors.New("the target speaks HTTP/1.1 again")

const (
	// pingAfter is how long an HTTP/2 connection may be silent before the other end is asked for a sign of life. Servers of
	// gRPC close connections on which they are asked more often than every five minutes.
	pingAfter = 6 * time.Minute
	// streamBuffer bounds how much of an answer is held for a client that is slower than the target: thousands may be. It is
	// also how much is under way at once, which is enough for targets that are near.
	streamBuffer = 128 << 10
	// maxHeadBytes bounds the head of an answer, and its trailers.
	maxHeadBytes = 256 << 10
)

// HTTP2 tells whether the target is asked by RoundTrip.
func (t *Target) HTTP2() bool { return t.Scheme == "h2c" || t.http2.spoken.Load() }

// RoundTrip sends a request in HTTP/2, over a connection that it shares with others or, when none can take it, over a new
// one. Requests that the target refuses to look at are sent again. Errors are ErrHTTP1, a *DialError when the request could
// not be sent, and the codec's.
func (t *Target) RoundTrip(r *http.Request) (*http.Response, error) {
	return t.http2.transport.RoundTrip(r) //nolint:staticcheck // as above
}

// Lost tells whether RoundTrip failed because the connection ended, and not for what came over it.
func Lost(err error) bool {
	_, ofStream := errors.AsType[http2.StreamError](err)
	_, ofConnection := errors.AsType[http2.ConnectionError](err)
	return !ofStream && !ofConnection
}

// multiplexed is the HTTP/2 connections to one target. It is the pool of the codec's transport, which retires connections
// that are idle for too long.
type multiplexed struct {
	target    *Target
	transport *codec
	spoken    atomic.Bool // the target chose HTTP/2

	mu          sync.Mutex
	connections []*clientConn
	dialing     *dialing // nil when nobody dials
	closed      bool
}

// dialing is a connection in the making, which everybody waits for who finds none.
type dialing struct {
	done chan struct{}
	err  error
}

func (m *multiplexed) init(target *Target) error {
	m.target = target
	settings := &http.Transport{
		DisableCompression: true, IdleConnTimeout: idleTimeout, HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream: streamBuffer, SendPingTimeout: pingAfter, WriteByteTimeout: target.writeTimeout,
		},
	}
	var err error
	if m.transport, err = http2.ConfigureTransports(settings); err != nil { //nolint:staticcheck // as above
		return err
	}
	m.transport.ConnPool, m.transport.AllowHTTP = m, true //nolint:staticcheck // as above
	m.transport.MaxHeaderListSize = maxHeadBytes          //nolint:staticcheck // as above
	return nil
}

// GetClientConn implements http2.ClientConnPool.
func (m *multiplexed) GetClientConn(r *http.Request, _ string) (*clientConn, error) {
	for {
		m.mu.Lock()
		if c := m.reserve(); c != nil {
			m.mu.Unlock()
			return c, nil
		}
		others := m.dialing
		if others == nil {
			mine := &dialing{done: make(chan struct{})}
			m.dialing = mine
			m.mu.Unlock()
			return m.dial(r, mine)
		}
		m.mu.Unlock()
		select {
		case <-others.done:
			// That who dialled has left says nothing about the target.
			if others.err != nil && !errors.Is(others.err, context.Canceled) {
				return nil, others.err
			}
		case <-r.Context().Done():
			return nil, &DialError{r.Context().Err()}
		}
	}
}

func (m *multiplexed) dial(r *http.Request, mine *dialing) (c *clientConn, err error) {
	connection, err := m.connect(r.Context())
	if err == nil {
		c, err = m.client(connection)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		c.ReserveNewRequest()
		m.connections = append(m.connections, c)
	}
	if m.closed {
		r.Close, m.connections = true, nil // c ends with the request
	}
	m.dialing, mine.err = nil, err
	close(mine.done)
	return c, err
}

// connect makes a connection on which the target speaks HTTP/2.
func (m *multiplexed) connect(ctx context.Context) (net.Conn, error) {
	over, secure, err := m.target.connect(ctx, m.target.config)
	switch {
	case err != nil:
		return nil, err
	case secure == nil:
		return over, nil
	case secure.ConnectionState().NegotiatedProtocol != protocolHTTP2:
		m.spoken.Store(false)
		newConn(m.target, over, secure).Keep()
		return nil, ErrHTTP1
	default:
		return secure, nil
	}
}

func (m *multiplexed) client(connection net.Conn) (*clientConn, error) {
	c, err := m.transport.NewClientConn(connection) //nolint:staticcheck // as above
	if err != nil {
		_ = connection.Close()
		return nil, &DialError{err}
	}
	return c, nil
}

// adopt takes in a connection on which the target chose HTTP/2.
func (m *multiplexed) adopt(connection *tls.Conn) error {
	c, err := m.client(connection)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.spoken.Store(true)
	if m.closed {
		_ = c.Close()
		return nil
	}
	m.connections = append(m.connections, c)
	return nil
}

// reserve finds a connection that can take a request, and sets a place on it aside.
func (m *multiplexed) reserve() *clientConn {
	for _, c := range m.connections {
		if c.ReserveNewRequest() {
			return c
		}
	}
	return nil
}

// MarkDead implements http2.ClientConnPool.
func (m *multiplexed) MarkDead(dead *clientConn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.connections = slices.DeleteFunc(m.connections, func(c *clientConn) bool { return c == dead })
}

// close closes the connections that are idle. The others go with the last request on them.
func (m *multiplexed) close() {
	m.mu.Lock()
	m.closed = true
	closing := m.connections
	m.connections = nil
	m.mu.Unlock()
	for _, c := range closing {
		if state := c.State(); state.StreamsActive+state.StreamsReserved+state.StreamsPending == 0 {
			_ = c.Close()
			continue
		}
		go func() { _ = c.Shutdown(context.Background()) }() // waits as long as requests do
	}
}
