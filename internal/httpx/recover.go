package httpx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/portico-web/portico/internal/fault"
)

// Safe turns any error into one that may be answered. What a client caused passes; everything else is logged whole and
// becomes an internal fault; a request whose client left, or whose deadline passed, becomes an unavailable one.
func Safe(ctx context.Context, log *slog.Logger, err error) *fault.Error {
	if safe, ok := errors.AsType[*fault.Error](err); ok && safe.Kind != fault.Internal {
		switch {
		case safe.Cause != nil && safe.Kind == fault.Unavailable: // no fault of the client's
			log.WarnContext(ctx, "request failed", "error", err)
		case safe.Cause != nil:
			log.DebugContext(ctx, "request refused", "kind", int(safe.Kind), "error", err)
		}
		return safe
	}
	if ctx.Err() != nil {
		return fault.Wrap(fault.Unavailable, "The request was cancelled.", err)
	}
	log.ErrorContext(ctx, "request failed", "error", err)
	return fault.Wrap(fault.Internal, "", err)
}

// Recover answers a panicking handler with 500 and logs the stack. http.ErrAbortHandler passes through, as net/http wants it.
func Recover(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if cause == http.ErrAbortHandler { //nolint:errorlint // the sentinel is compared by identity, as net/http does
				panic(cause)
			}
			log.ErrorContext(r.Context(), "handler panicked", "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
			WriteError(w, r, log, fault.New(fault.Internal, ""))
		}()
		next.ServeHTTP(w, r)
	})
}
