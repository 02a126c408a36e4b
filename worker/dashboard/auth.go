package dashboard

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"

	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/httpx"
)

// users are those who may use the dashboard. Passwords are kept as keyed hashes, the key living in memory only.
type users struct {
	key    [32]byte
	hashes []userHash
}

type userHash struct{ name, password [sha256.Size]byte }

// parseUsers reads user:password, several by comma. A password may hold colons, not commas.
func parseUsers(setting string) (*users, error) {
	u := &users{}
	_, _ = rand.Read(u.key[:]) // never fails
	for pair := range strings.SplitSeq(setting, ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		name, password, found := strings.Cut(pair, ":")
		if !found || name == "" || password == "" {
			return nil, errors.New("FLOWER_BASIC_AUTH: not of the form user:password, several by comma")
		}
		u.hashes = append(u.hashes, userHash{u.hash(name), u.hash(password)})
	}
	return u, nil
}

func (u *users) hash(value string) (sum [sha256.Size]byte) {
	mac := hmac.New(sha256.New, u.key[:])
	_, _ = mac.Write([]byte(value)) // a hash takes anything
	copy(sum[:], mac.Sum(nil))
	return sum
}

// allow tells whether name and password are one of the users', taking the same time whoever it is.
func (u *users) allow(name, password string) bool {
	nameHash, passwordHash := u.hash(name), u.hash(password)
	allowed := 0
	for _, user := range u.hashes {
		allowed |= subtle.ConstantTimeCompare(user.name[:], nameHash[:]) & subtle.ConstantTimeCompare(user.password[:], passwordHash[:])
	}
	return allowed == 1
}

// authenticate lets only the users through. While there are none, nobody is.
func (d *Dashboard) authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, password, given := r.BasicAuth()
		if !given || !d.users.allow(name, password) && !d.operators.allow(r.Context(), name, password) {
			if given {
				d.log.WarnContext(r.Context(), "sign-in to the dashboard refused", "client", httpx.ClientOf(r.Context()).Addr.String())
			}
			header := w.Header()
			header.Set("WWW-Authenticate", `Basic realm="Portico jobs", charset="UTF-8"`)
			header.Set("Cache-Control", "no-store")
			message := "Authentication credentials were not provided."
			if len(d.users.hashes) == 0 && d.operators == nil {
				message = "The dashboard is closed: FLOWER_BASIC_AUTH is not set."
			}
			httpx.WriteJSON(w, http.StatusUnauthorized, map[string]string{"detail": message})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// writable refuses a change where the dashboard is read-only, and one that another site's page asks for.
func (d *Dashboard) writable(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if d.readOnly {
			d.fail(w, r, fault.New(fault.Forbidden, "The dashboard is read-only."))
			return
		}
		if err := d.origin.Check(r); err != nil {
			d.fail(w, r, fault.Wrap(fault.Forbidden, "Requests from another site are refused.", err))
			return
		}
		next(w, r)
	}
}
