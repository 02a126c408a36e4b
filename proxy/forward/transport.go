package forward

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/portico-web/portico/proxy/upstream"
)

const (
	// dialTimeout bounds how long a target may take to accept a connection.
	dialTimeout = 2 * time.Second
	// idleTimeout is below what applications keep idle connections for, so that they are not closed under a request.
	idleTimeout = 30 * time.Second
)

// dialError marks a connection that did not come about: nothing of the request was sent.
type dialError struct{ error }

func (e dialError) Unwrap() error { return e.error }

type attemptKey struct{}

// attempt is the mutable part of an exchange. It is used by one goroutine.
type attempt struct {
	target *upstream.Target
	stream *stream
}

func (a *attempt) release() {
	if a.target != nil {
		a.target.Release()
		a.target = nil
	}
}

func attemptOf(ctx context.Context) *attempt {
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	return a
}

// transport sends a request to a target of the pool, and to another when the first does not take the connection.
type transport struct {
	pool *upstream.Pool
	base *http.Transport
}

func newTransport(pool *upstream.Pool) *transport {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	return &transport{pool: pool, base: &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			connection, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, dialError{err}
			}
			return connection, nil
		},
		TLSHandshakeTimeout:    5 * time.Second,
		MaxIdleConns:           1024,
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        idleTimeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 1 << 20,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
	}}
}

// RoundTrip implements http.RoundTripper. The target stays counted as active until the exchange releases it.
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	var tried []*upstream.Target
	var refused error
	attempt := attemptOf(request.Context())
	for {
		target, err := t.pool.Pick(tried)
		if err != nil {
			if refused != nil {
				return nil, refused
			}
			return nil, err
		}
		attempt.target = target
		response, err := t.base.RoundTrip(addressed(request, target))
		if err == nil {
			return response, nil
		}
		if _, notTaken := errors.AsType[dialError](err); !notTaken || request.Context().Err() != nil {
			return nil, err
		}
		target.Refused()
		attempt.release()
		refused = err
		tried = append(tried, target)
	}
}

// addressed is a copy of the request for one target. Its body cannot be closed: net/http's transport closes it when a
// connection does not come about, and then nothing were left for the next target. The reverse proxy closes the original.
func addressed(request *http.Request, target *upstream.Target) *http.Request {
	out := request.WithContext(request.Context())
	address := *request.URL
	address.Scheme, address.Host = target.Scheme, target.Host
	out.URL = &address
	if out.Body != nil && out.Body != http.NoBody {
		out.Body = unclosed{request.Body}
	}
	return out
}

type unclosed struct{ io.Reader }

func (unclosed) Close() error { return nil }
