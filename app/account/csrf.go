package account

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/httpx"
)

const (
	// CSRFCookie names the cookie whose value a client must repeat in the header X-CSRFToken or the field
	// csrfmiddlewaretoken.
	CSRFCookie = "csrftoken"
	csrfAge    = 365 * 24 * 60 * 60 // seconds
	// Bounds of the cookie's value, in bytes.
	minCSRF = 16
	maxCSRF = 64
)

// CSRF tells requests that our own pages and clients send from those that another site makes a browser send. It asks two
// things: that the browser, if it says where a request comes from, names us or a trusted origin; and that the request
// repeats a secret that only our own pages can read in a cookie. Safe for concurrent use.
type CSRF struct {
	trusted []string
	secure  bool
}

func newCSRF(trusted []string, secure bool) *CSRF {
	c := &CSRF{secure: secure}
	for _, origin := range trusted {
		c.trusted = append(c.trusted, strings.ToLower(strings.TrimSuffix(strings.TrimSpace(origin), "/")))
	}
	return c
}

// Token returns a token for a form's field csrfmiddlewaretoken, or for the header of a script. It sets the cookie when the
// client has none, so that it must be called before the body is written. The token looks different every time, so that
// compression cannot betray it; the answer that holds it must not be cached.
func (c *CSRF) Token(w http.ResponseWriter, r *http.Request) string {
	secret := csrfSecret(r)
	if secret == "" {
		secret = c.pending(w)
	}
	if secret == "" {
		secret = rand.Text()
		http.SetCookie(w, &http.Cookie{ //nolint:gosec // scripts of our own origin must read it
			Name: CSRFCookie, Value: secret, Path: "/", MaxAge: csrfAge, Secure: c.secure, SameSite: http.SameSiteLaxMode,
		})
	}
	return maskCSRF(secret)
}

// pending is the secret that an earlier call has put into the same answer.
func (c *CSRF) pending(w http.ResponseWriter) string {
	for _, line := range w.Header().Values("Set-Cookie") {
		if cookie, err := http.ParseSetCookie(line); err == nil && cookie.Name == CSRFCookie {
			return cookie.Value
		}
	}
	return ""
}

// Check refuses an unsafe request that may have been made by another site. It may read the request's form; a form that it
// has read is in r.PostForm.
func (c *CSRF) Check(r *http.Request) error {
	if safe(r.Method) {
		return nil
	}
	if err := c.CheckOrigin(r); err != nil {
		return err
	}
	secret := csrfSecret(r)
	if secret == "" {
		return fault.New(fault.Forbidden, "CSRF Failed: CSRF cookie not set.")
	}
	proof := r.Header.Get(httpx.HeaderCSRF)
	if proof == "" {
		proof = formProof(r)
	}
	if proof == "" {
		return fault.New(fault.Forbidden, "CSRF Failed: CSRF token missing.")
	}
	if subtle.ConstantTimeCompare([]byte(proof), []byte(secret)) != 1 && subtle.ConstantTimeCompare([]byte(unmaskCSRF(proof)), []byte(secret)) != 1 {
		return fault.New(fault.Forbidden, "CSRF Failed: CSRF token incorrect.")
	}
	return nil
}

// CheckOrigin refuses an unsafe request of which the browser says that another site made it. Clients that are no browsers
// say nothing and pass.
func (c *CSRF) CheckOrigin(r *http.Request) error {
	if safe(r.Method) {
		return nil
	}
	client := httpx.ClientOf(r.Context())
	origin := strings.ToLower(r.Header.Get("Origin"))
	if origin != "" && c.trusts(origin) {
		return nil
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return nil
	case "":
		if origin == "" || sameOrigin(origin, client) {
			return nil
		}
	}
	return fault.New(fault.Forbidden, "CSRF Failed: Origin checking failed.")
}

func sameOrigin(origin string, client httpx.Client) bool {
	scheme := "http"
	if client.Secure {
		scheme = "https"
	}
	ours := &url.URL{Scheme: scheme, Host: strings.ToLower(client.Host)}
	return withoutDefaultPort(origin) == withoutDefaultPort(ours.String())
}

func withoutDefaultPort(origin string) string {
	if bare, ok := strings.CutSuffix(origin, ":443"); ok && strings.HasPrefix(origin, "https://") {
		return bare
	}
	if bare, ok := strings.CutSuffix(origin, ":80"); ok && strings.HasPrefix(origin, "http://") {
		return bare
	}
	return origin
}

func (c *CSRF) trusts(origin string) bool {
	for _, trusted := range c.trusted {
		if origin == trusted {
			return true
		}
		// https://*.example.com trusts every subdomain, and not example.com itself.
		scheme, domain, wild := strings.Cut(trusted, "://*.")
		if !wild {
			continue
		}
		if host, ok := strings.CutPrefix(origin, scheme+"://"); ok && len(host) > len(domain)+1 && strings.HasSuffix(host, "."+domain) {
			return true
		}
	}
	return false
}

func safe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// csrfSecret is the cookie's value, if it can be one.
func csrfSecret(r *http.Request) string {
	cookie, err := r.Cookie(CSRFCookie)
	if err != nil || len(cookie.Value) < minCSRF || len(cookie.Value) > maxCSRF {
		return ""
	}
	return cookie.Value
}

// maxForm bounds the form that is looked through for a proof, in bytes.
const maxForm = 1 << 20

func formProof(r *http.Request) string {
	kind := r.Header.Get("Content-Type")
	if strings.HasPrefix(kind, "multipart/form-data") {
		if err := r.ParseMultipartForm(maxForm); err != nil { //nolint:gosec // app bounds every body before
			return ""
		}
	}
	return r.PostFormValue(httpx.FieldCSRF)
}

// maskCSRF hides the secret behind a fresh random pad of its own length.
func maskCSRF(secret string) string {
	padded := make([]byte, 2*len(secret))
	_, _ = rand.Read(padded[:len(secret)]) // never fails
	subtle.XORBytes(padded[len(secret):], padded[:len(secret)], []byte(secret))
	return base64.RawURLEncoding.EncodeToString(padded)
}

// unmaskCSRF undoes maskCSRF; it returns "" for what is no masked secret.
func unmaskCSRF(masked string) string {
	if len(masked) > 4*maxCSRF {
		return ""
	}
	padded, err := base64.RawURLEncoding.DecodeString(masked)
	if err != nil || len(padded)%2 != 0 {
		return ""
	}
	half := len(padded) / 2
	secret := make([]byte, half)
	subtle.XORBytes(secret, padded[:half], padded[half:])
	return string(secret)
}
