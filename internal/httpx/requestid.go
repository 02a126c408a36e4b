package httpx

import (
	"math/rand/v2"
	"net/http"

	"github.com/portico-web/portico/internal/logging"
	"github.com/portico-web/portico/internal/telemetry"
)

// HeaderRequestID names the field that ties a client's answer to the log lines about it.
const HeaderRequestID = "X-Request-Id"

// maxRequestID bounds what a client may choose as its request id.
const maxRequestID = 64

// NewRequestID returns 26 random characters.
func NewRequestID() string { return string(AppendRequestID(nil)) }

// AppendRequestID appends 26 random characters (128 bits, base32). They tell requests apart and are no secret.
func AppendRequestID(into []byte) []byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	for range 2 {
		bits := rand.Uint64() //nolint:gosec // see above
		for range 13 {
			into = append(into, alphabet[bits&31])
			bits >>= 5
		}
	}
	return into
}

// ValidRequestID tells whether id may be taken over from another party: 1 to 64 letters, digits, dashes, underscores, dots.
func ValidRequestID[T []byte | string](id T) bool {
	if len(id) == 0 || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}

// WithRequest gives every request an id (the edge's when it sent a valid one) and the trace it belongs to, in its context
// and, for the id, in the answer.
func WithRequest(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(HeaderRequestID)
		if !ValidRequestID(id) {
			id = NewRequestID()
		}
		w.Header().Set(HeaderRequestID, id)
		next.ServeHTTP(w, r.WithContext(logging.WithRequestID(telemetry.FromRequest(r), id)))
	})
}
