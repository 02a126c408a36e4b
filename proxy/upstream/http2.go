package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/http2"
)

// ErrHTTP1 says that a target which spoke HTTP/2 does so no longer. The connection on which it said so is idle.
var ErrHTTP1 = errors.New("the target speaks HTTP/1.1 again")

const (
	// streamBuffer bounds how much of an answer is held for a client that is slower than the target. It is also how much is
	// under way at once, which is enough for targets that are near.
	streamBuffer = 128 << 10
	// maxStreams bounds what shares a connection. All streams may be full, and the next one still has its own window.
	maxStreams = 128
	// maxHeadBytes and maxFields bound the head of an answer, and its trailers.
	maxHeadBytes = 256 << 10
	maxFields    = 1000
	// silence is how long a target may say nothing while requests wait, before it is asked for a sign of life, and signWithin
	// the least that it then has for one: an application that computes for long in one thread gives none meanwhile.
	silence    = 10 * time.Second
	signWithin = 10 * time.Second
)

// HTTP2 tells whether the target is asked over streams of HTTP/2.
func (t *Target) HTTP2() bool { return t.Scheme == "h2c" || t.http2.spoken.Load() }

// Stream sets a place aside on a connection of HTTP/2 that stands; nil when none takes another stream.
func (t *Target) Stream() *http2.ClientStream { return t.http2.reserve() }

// DialStream is Stream, and makes a connection if need be. Who comes while one is made waits for it. Errors are ErrHTTP1 and a
// *DialError.
func (t *Target) DialStream(ctx context.Context) (*http2.ClientStream, error) {
	return t.http2.stream(ctx)
}

// multiplexed is the HTTP/2 connections to one target.
type multiplexed struct {
	target *Target
	client *http2.Client
	spoken atomic.Bool // the target chose HTTP/2

	mu          sync.Mutex
	connections []*http2.ClientConn
	dialing     *dialing // nil when nobody dials
	closed      bool
}

// dialing is a connection in the making, which everybody waits for who finds none.
type dialing struct {
	done chan struct{}
	err  error
}

func (m *multiplexed) init(target *Target) {
	bounds := http2.Bounds{Streams: maxStreams, StreamWindow: streamBuffer, ConnectionWindow: maxStreams * streamBuffer}
	m.target = target
	m.client = &http2.Client{
		Bounds: bounds.WithDefaults(), Limits: http1.Limits{HeadBytes: maxHeadBytes, Fields: maxFields}, IdleTimeout: idleTimeout,
		SilenceTimeout: silence, SignTimeout: max(signWithin, target.writeTimeout), StallTimeout: target.writeTimeout,
	}
}

// reserve finds a connection that can take a request, and sets a place on it aside.
func (m *multiplexed) reserve() *http2.ClientStream {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.connections {
		if stream := c.Reserve(); stream != nil {
			return stream
		}
	}
	return nil
}

func (m *multiplexed) stream(ctx context.Context) (*http2.ClientStream, error) {
	for {
		if stream := m.reserve(); stream != nil {
			return stream, nil
		}
		m.mu.Lock()
		others := m.dialing
		if others == nil {
			mine := &dialing{done: make(chan struct{})}
			m.dialing = mine
			m.mu.Unlock()
			return m.dial(ctx, mine)
		}
		m.mu.Unlock()
		select {
		case <-others.done:
			// That who dialled has left says nothing about the target.
			if others.err != nil && !errors.Is(others.err, context.Canceled) {
				return nil, others.err
			}
		case <-ctx.Done():
			return nil, &DialError{ctx.Err()}
		}
	}
}

// dial makes a connection, and takes the first place on it.
func (m *multiplexed) dial(ctx context.Context, mine *dialing) (stream *http2.ClientStream, err error) {
	c, err := m.connect(ctx)
	if err == nil {
		if stream = c.Reserve(); stream == nil {
			c.Retire()
			err = &DialError{errNoStreams}
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		m.keep(c)
	}
	m.dialing, mine.err = nil, err
	close(mine.done)
	return stream, err
}

var errNoStreams = errors.New("the target takes no streams")

// keep lets others share a connection. It is called with the lock held.
func (m *multiplexed) keep(c *http2.ClientConn) {
	if m.closed {
		c.Retire() // it ends with the request that it is for
		return
	}
	if c.Err() == nil { // else it was to be forgotten just before
		m.connections = append(m.connections, c)
	}
}

func (m *multiplexed) forget(c *http2.ClientConn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.connections = slices.DeleteFunc(m.connections, func(other *http2.ClientConn) bool { return other == c })
}

// connect makes a connection on which the target speaks HTTP/2.
func (m *multiplexed) connect(ctx context.Context) (*http2.ClientConn, error) {
	over, secure, err := m.target.connect(ctx, m.target.config)
	if err != nil {
		return nil, err
	}
	if secure != nil && secure.ConnectionState().NegotiatedProtocol != protocolHTTP2 {
		m.spoken.Store(false)
		newConn(m.target, over, secure).Keep()
		return nil, ErrHTTP1
	}
	return m.begin(ctx, over, secure)
}

// begin speaks HTTP/2 over a connection, and waits for what the target says first: then it is known that it understands, and
// how many streams it takes.
func (m *multiplexed) begin(ctx context.Context, over *wire, secure *tls.Conn) (*http2.ClientConn, error) {
	over.WriteWithin(m.target.writeTimeout)
	var all io.ReadWriteCloser = over
	if secure != nil {
		all = secure
	}
	c := m.client.NewClientConn(http2.ClientConnection{Socket: over.Conn, Wire: all, Ended: m.forget})
	timer := time.NewTimer(max(handshakeTimeout, m.target.writeTimeout)) // like an answer: it took the connection
	defer timer.Stop()
	var err error
	select {
	case <-c.Ready():
		err = c.Err()
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer.C:
		err = errSilent
	}
	if err != nil {
		c.Retire()
		return nil, &DialError{err}
	}
	return c, nil
}

var errSilent = errors.New("the target says nothing in HTTP/2")

// adopt takes in a connection on which the target chose HTTP/2.
func (m *multiplexed) adopt(ctx context.Context, over *wire, secure *tls.Conn) error {
	c, err := m.begin(ctx, over, secure)
	if err != nil {
		return err
	}
	m.spoken.Store(true)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keep(c)
	return nil
}

// close closes the connections that are idle. The others go with the last request on them.
func (m *multiplexed) close() {
	m.mu.Lock()
	m.closed = true
	closing := m.connections
	m.connections = nil
	m.mu.Unlock()
	for _, c := range closing {
		c.Retire()
	}
}
