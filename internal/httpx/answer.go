package httpx

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"strconv"

	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/lang"
)

// statusOf is the one mapping from kinds of faults to HTTP statuses.
var statusOf = map[fault.Kind]int{
	fault.Internal:           http.StatusInternalServerError,
	fault.Invalid:            http.StatusBadRequest,
	fault.Unauthenticated:    http.StatusUnauthorized,
	fault.Forbidden:          http.StatusForbidden,
	fault.NotFound:           http.StatusNotFound,
	fault.Conflict:           http.StatusConflict,
	fault.PreconditionFailed: http.StatusPreconditionFailed,
	fault.TooLarge:           http.StatusRequestEntityTooLarge,
	fault.UnsupportedMedia:   http.StatusUnsupportedMediaType,
	fault.TooMany:            http.StatusTooManyRequests,
	fault.Unavailable:        http.StatusServiceUnavailable,
	fault.MethodNotAllowed:   http.StatusMethodNotAllowed,
}

// Status is the status that answers an error of this kind.
func Status(kind fault.Kind) int { return statusOf[kind] }

// ErrorBody is an error in Django REST framework's shape, in the language of ctx: {"detail": …} with an optional code, or
// {"field": ["…"]}. Of an internal error it tells nothing.
func ErrorBody(ctx context.Context, err *fault.Error) map[string]any {
	l := lang.Of(ctx)
	if len(err.Fields) > 0 && err.Kind != fault.Internal {
		body := make(map[string]any, len(err.Fields))
		for field, messages := range err.Fields {
			translated := make([]string, len(messages))
			for i, message := range messages {
				translated[i] = l.Text(message)
			}
			body[field] = translated
		}
		return body
	}
	message := err.Message
	if err.Kind == fault.Internal {
		message = "A server error occurred."
	}
	body := map[string]any{"detail": l.Text(message)}
	if err.Code != "" && err.Kind != fault.Internal {
		body["code"] = err.Code
	}
	if err.Kind != fault.Internal {
		maps.Copy(body, err.Extra)
	}
	return body
}

// ErrorHeaders are the fields that go with an answer to err.
func ErrorHeaders(err *fault.Error) http.Header {
	headers := http.Header{"Cache-Control": {"no-store"}}
	if err.Kind == fault.Unauthenticated {
		headers.Set("WWW-Authenticate", `Bearer realm="api"`)
	}
	if err.RetryAfter > 0 {
		headers.Set("Retry-After", strconv.Itoa(int(math.Ceil(err.RetryAfter.Seconds()))))
	}
	return headers
}

// WriteJSON answers status with body as JSON.
func WriteJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// WriteError answers err in DRF's shape. Anything but a fault.Error, and any internal one, is logged and answered 500
// without a word about its cause.
func WriteError(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	safe := Safe(r.Context(), log, err)
	maps.Copy(w.Header(), ErrorHeaders(safe))
	WriteJSON(w, Status(safe.Kind), ErrorBody(r.Context(), safe))
}
