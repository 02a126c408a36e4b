// Package server opens the edge's listeners and speaks HTTP on them.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/portico-web/portico/internal/httpx"
)

// Settings says where to listen and what a connection may take. An empty address listens nowhere.
type Settings struct {
	HTTP, HTTPS       string
	HTTP3             bool // also over QUIC, on the UDP port of HTTPS
	HeaderBytes       int
	ReadHeaderTimeout time.Duration
	IdleTimeout       time.Duration
}

// Listeners are open sockets, ready to be served. Whoever has them must Serve or Close them.
type Listeners struct {
	settings Settings
	http     net.Listener
	https    net.Listener
	quic     net.PacketConn
}

// Listen opens the sockets; its error names the setting and the address.
func Listen(settings Settings) (*Listeners, error) {
	l := &Listeners{settings: settings}
	var err error
	if settings.HTTP != "" {
		if l.http, err = httpx.Listen("listen.http", settings.HTTP); err != nil {
			return nil, err
		}
	}
	if settings.HTTPS != "" {
		if err := l.listenTLS(); err != nil {
			l.Close()
			return nil, err
		}
	}
	return l, nil
}

// listenTLS opens the TCP and the UDP port of HTTPS. When the system chooses the port, the one free for TCP may be taken for
// UDP, so it is asked a few times.
func (l *Listeners) listenTLS() error {
	_, port, _ := net.SplitHostPort(l.settings.HTTPS)
	for attempt := 1; ; attempt++ {
		listener, err := httpx.Listen("listen.https", l.settings.HTTPS)
		if err != nil {
			return err
		}
		if !l.settings.HTTP3 {
			l.https = listener
			return nil
		}
		host, _, _ := net.SplitHostPort(l.settings.HTTPS)
		_, chosen, _ := net.SplitHostPort(listener.Addr().String())
		packets, err := net.ListenPacket("udp", net.JoinHostPort(host, chosen))
		if err == nil {
			l.https, l.quic = listener, packets
			return nil
		}
		_ = listener.Close()
		if port != "0" || attempt == 10 {
			return fmt.Errorf("listen.http3: cannot listen on UDP %s (%w): stop what uses it, or switch http3 off", l.settings.HTTPS, errors.Unwrap(err))
		}
	}
}

// Close closes the sockets.
func (l *Listeners) Close() {
	if l.http != nil {
		_ = l.http.Close()
	}
	if l.https != nil {
		_ = l.https.Close()
	}
	if l.quic != nil {
		_ = l.quic.Close()
	}
}

// HTTP is the address of the plain listener, or nil.
func (l *Listeners) HTTP() *net.TCPAddr { return tcpAddr(l.http) }

// HTTPS is the address of the TLS listener, or nil.
func (l *Listeners) HTTPS() *net.TCPAddr { return tcpAddr(l.https) }

func tcpAddr(listener net.Listener) *net.TCPAddr {
	if listener == nil {
		return nil
	}
	addr, _ := listener.Addr().(*net.TCPAddr)
	return addr
}

// Handlers answer what comes in on the listeners.
type Handlers struct {
	Plain  http.Handler
	Secure http.Handler
	TLS    *tls.Config
}

// protocol is one server and the two ways to end it.
type protocol struct {
	name     string
	serve    func() error
	shutdown func(context.Context) error
	close    func() error
}

// Serve serves until ctx ends or a listener fails, then stops accepting, calls stopping, waits up to drain for the requests
// in flight, and closes what is left. It closes the listeners. Only a listener that failed is an error.
func (l *Listeners) Serve(ctx context.Context, handlers Handlers, drain time.Duration, stopping func(), log *slog.Logger) error {
	base, cancelBase := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelBase()
	protocols := l.protocols(base, handlers, log)
	failures := make(chan error, len(protocols))
	var serving sync.WaitGroup
	for _, p := range protocols {
		serving.Go(func() {
			if err := p.serve(); err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, quic.ErrServerClosed) {
				failures <- fmt.Errorf("%s: %w", p.name, err)
			}
		})
	}
	var failure error
	select {
	case <-ctx.Done():
	case failure = <-failures:
	}
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	stopping()
	var draining sync.WaitGroup
	for _, p := range protocols {
		draining.Go(func() {
			if err := p.shutdown(deadline); err != nil {
				// A client may take as long as it likes; that it was cut off is no failure of the edge's.
				log.Warn("requests still in flight were cut off", "protocol", p.name, "after", drain.String())
			}
		})
	}
	draining.Wait()
	cancelBase()
	for _, p := range protocols {
		_ = p.close()
	}
	l.Close()
	serving.Wait()
	return failure
}

func (l *Listeners) protocols(base context.Context, handlers Handlers, log *slog.Logger) []protocol {
	var protocols []protocol
	if l.http != nil {
		server := l.newServer(base, handlers.Plain, log)
		protocols = append(protocols, protocol{"http", func() error { return server.Serve(l.http) }, server.Shutdown, server.Close})
	}
	if l.https != nil {
		server := l.newServer(base, handlers.Secure, log)
		server.TLSConfig = handlers.TLS
		protocols = append(protocols, protocol{"https", func() error { return server.ServeTLS(l.https, "", "") }, server.Shutdown, server.Close})
	}
	if l.quic != nil {
		server := &http3.Server{
			Handler:        handlers.Secure,
			TLSConfig:      http3.ConfigureTLSConfig(handlers.TLS),
			MaxHeaderBytes: l.settings.HeaderBytes,
			IdleTimeout:    l.settings.IdleTimeout,
			QUICConfig:     &quic.Config{MaxIdleTimeout: l.settings.IdleTimeout, HandshakeIdleTimeout: 5 * time.Second},
			Logger:         slog.New(slog.DiscardHandler),
		}
		protocols = append(protocols, protocol{"http3", func() error { return server.Serve(l.quic) }, server.Shutdown, server.Close})
	}
	return protocols
}

func (l *Listeners) newServer(base context.Context, handler http.Handler, log *slog.Logger) *http.Server {
	server := httpx.NewServer(base, handler, log)
	server.MaxHeaderBytes = l.settings.HeaderBytes
	server.ReadHeaderTimeout = l.settings.ReadHeaderTimeout
	server.IdleTimeout = l.settings.IdleTimeout
	return server
}
