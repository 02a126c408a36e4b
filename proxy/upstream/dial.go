package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/portico-web/portico/proxy/socket"
)

const (
	// dialTimeout bounds how long a target may take to accept a connection, the resolution of its name included.
	dialTimeout = 2 * time.Second
	// handshakeTimeout bounds TLS after that.
	handshakeTimeout = 5 * time.Second
)

const (
	protocolHTTP2  = "h2"
	protocolHTTP11 = "http/1.1"
)

// ErrHTTP2 says that the target turned out to speak HTTP/2, so that Target.DialStream is the way to ask it.
var ErrHTTP2 = errors.New("the target speaks HTTP/2")

// DialError says that a connection did not come about: nothing of a request was sent.
type DialError struct{ Err error }

func (e *DialError) Error() string { return e.Err.Error() }

// Unwrap is the reason.
func (e *DialError) Unwrap() error { return e.Err }

// Dial makes a new connection for HTTP/1.1. A target that chooses HTTP/2 instead fails with ErrHTTP2, unless upgrade says
// that the exchange is to end in another protocol: then it is not offered the choice. Other errors are a *DialError.
func (t *Target) Dial(ctx context.Context, upgrade bool) (*Conn, error) {
	config := t.config
	if upgrade {
		config = t.upgradeConfig
	}
	if t.most > 0 {
		t.idle.makeRoom(t.most - t.Active()) // a request in work has a connection
	}
	over, secure, err := t.connect(ctx, config)
	if err != nil {
		return nil, err
	}
	if secure != nil && secure.ConnectionState().NegotiatedProtocol == protocolHTTP2 {
		if err := t.http2.adopt(ctx, over, secure); err != nil {
			return nil, err
		}
		return nil, ErrHTTP2
	}
	return newConn(t, over, secure), nil
}

// connect makes a connection, with TLS when the target has it.
func (t *Target) connect(ctx context.Context, config *tls.Config) (*wire, *tls.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	made, err := dialer.DialContext(ctx, t.at.network, t.at.address)
	if err != nil {
		return nil, nil, &DialError{err}
	}
	connection, ok := made.(socket.Stream)
	if !ok {
		_ = made.Close()
		return nil, nil, &DialError{fmt.Errorf("%s gave a %T", t.at.address, made)}
	}
	plain, err := socket.New(connection)
	if err != nil {
		_ = made.Close()
		return nil, nil, &DialError{err}
	}
	over := &wire{Conn: plain}
	if config == nil {
		return over, nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	secure := tls.Client(over, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = plain.Close()
		return nil, nil, &DialError{fmt.Errorf("TLS with %s at %s: %w", t.Host, t.at.address, err)}
	}
	return over, secure, nil
}
