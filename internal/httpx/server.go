// Package httpx is what the HTTP sides of app, worker and proxy share: servers that stop cleanly, the internal port, request
// ids, client addresses, and the one place that turns a fault into an answer.
package httpx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portico-web/portico/internal/health"
	"github.com/portico-web/portico/internal/telemetry"
)

// NewServer returns a server with every timeout set. Writes have no deadline of their own: event streams stay open; a
// handler that answers once is bounded by its own work. ctx is the base of every request's context.
func NewServer(ctx context.Context, handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// Listen opens a TCP listener; its error names the setting, the address and the way out.
func Listen(setting, address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot listen on %s (%w): stop what uses it or choose another address", setting, address, errors.Unwrap(err))
	}
	return listener, nil
}

// Serve serves until ctx ends, then stops accepting, waits up to drain for requests in flight, and returns nil. A request
// still running after drain is cut off and told as an error. Serve owns listener.
func Serve(ctx context.Context, server *http.Server, listener net.Listener, drain time.Duration) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	err := server.Shutdown(stopping)
	if err != nil {
		err = errors.Join(fmt.Errorf("requests still in flight after %s were cut off: %w", drain, err), server.Close())
	}
	<-failed //nolint:errcheck // always http.ErrServerClosed after Shutdown
	return err
}

// Internal is the handler of a process's internal port: /metrics, /healthz, /readyz and /debug/pprof/. It must never be
// reachable from outside.
func Internal(registry *prometheus.Registry, checks *health.Checks) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", telemetry.MetricsHandler(registry))
	checks.Register(mux)
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}
