package proxy

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/portico-web/portico/internal/httpx"
)

// logAccess writes one line about a request. The query is left out: it may hold secrets.
func (p *Proxy) logAccess(ctx context.Context, w *recorder, r *http.Request, x *exchange, took time.Duration, aborted bool) {
	if !p.log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	path := x.path
	if path == "" {
		path = r.URL.EscapedPath()
	}
	attrs := []slog.Attr{
		slog.String("method", r.Method), slog.String("host", r.Host), slog.String("path", path), slog.String("proto", r.Proto),
		slog.Int("status", w.statusOr(http.StatusOK)), slog.Int64("bytes", w.bytes),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000), slog.String("client", x.client.String()),
	}
	if x.route != nil {
		attrs = append(attrs, slog.String("route", x.site.Name()+x.route.Path))
	}
	if aborted {
		attrs = append(attrs, slog.Bool("aborted", true))
	}
	p.log.LogAttrs(ctx, slog.LevelInfo, "request", attrs...)
}

// recovered answers a handler that panicked, and tells whether the answer cannot be completed, so that the connection or
// stream must be broken off for the client to notice.
func (p *Proxy) recovered(ctx context.Context, w *recorder, r *http.Request, panicked any) (aborted bool) {
	if panicked == nil {
		return false
	}
	if panicked == http.ErrAbortHandler { //nolint:errorlint // the sentinel is compared by identity, as net/http does
		return true
	}
	p.log.ErrorContext(ctx, "handler panicked", "panic", fmt.Sprint(panicked), "stack", string(debug.Stack()))
	if w.status != 0 {
		return true
	}
	httpx.WriteFailure(w, r, http.StatusInternalServerError, "A server error occurred.")
	return false
}
