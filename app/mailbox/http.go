package mailbox

import (
	"log/slog"
	"net/http"
	"net/netip"

	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/httpx"
)

// Gate lets through to next only who may read the mailbox: a client whose address a trusted proxy asserts to be of this
// machine or in allow. Everybody else is answered by notFound, as if there were no mailbox.
func Gate(allow []netip.Prefix, notFound, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client := httpx.ClientOf(r.Context())
		if !client.Asserted || !client.Addr.IsLoopback() && !httpx.Contains(allow, client.Addr) {
			notFound.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// Messages answers GET /mailbox/messages.json: the newest messages as a JSON array. It must stand behind Gate.
func (s *Store) Messages(log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		messages, err := s.Latest(r.Context())
		if err != nil {
			httpx.WriteError(w, r, log, database.Fault(err))
			return
		}
		httpx.WriteJSON(w, http.StatusOK, messages)
	})
}
