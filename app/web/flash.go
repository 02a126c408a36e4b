package web

import "net/http"

const (
	flashCookie = "flash"
	flashAge    = 60 // seconds
)

// flashes are the messages that a page shows once after another one did something. The cookie holds only a key, so that
// nobody can put words into our mouth.
var flashes = map[string]string{
	"welcome":   "Welcome! Your account is ready, and a letter is on its way to you.",
	"signed-in": "You are signed in.",
	"goodbye":   "You are signed out.",
	"posted":    "Your post is out.",
	"changed":   "Your changes are saved.",
	"deleted":   "The post is deleted.",
}

// redirect sends the browser on with GET, where it will read the message key.
func (p *Pages) redirect(w http.ResponseWriter, r *http.Request, to, key string) {
	http.SetCookie(w, p.cookie(flashCookie, key, flashAge))
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// takeFlash returns the message that is due, in English, and forgets it.
func (p *Pages) takeFlash(w http.ResponseWriter, r *http.Request) string {
	cookie, err := r.Cookie(flashCookie)
	if err != nil {
		return ""
	}
	http.SetCookie(w, p.cookie(flashCookie, "", -1))
	return flashes[cookie.Value]
}

func (p *Pages) cookie(name, value string, age int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure wherever the site is served over HTTPS
		Name: name, Value: value, Path: "/", MaxAge: age, Secure: p.Secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}
