package app

import (
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/httpx"
)

const (
	// maxBody bounds a request's body, in bytes.
	maxBody = 1 << 20
	// bodyTimeout bounds how long a body may take to arrive.
	bodyTimeout = 30 * time.Second
)

// limitBody answers 413 to a request that announces too large a body, and cuts off one that grows past the bound unannounced.
func (a *App) limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > maxBody {
			httpx.WriteError(w, r, a.log, fault.New(fault.TooLarge, "Request body is too large."))
			return
		}
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)) // a writer of tests has none
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

// checkHost refuses requests for hosts that are not ours, as a forged Host would otherwise get into links. A leading dot in
// an allowed host also allows its subdomains, "*" allows all.
func (a *App) checkHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !hostAllowed(a.config.AllowedHosts, httpx.ClientOf(r.Context()).Host) {
			httpx.WriteError(w, r, a.log, fault.New(fault.Invalid, "Invalid host."))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostForm is a name or an address, and perhaps a port: "localhost:80@example.com" would lead elsewhere in a link.
var hostForm = regexp.MustCompile(`^(?i)([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?$`)

func hostAllowed(allowed []string, host string) bool {
	parts := hostForm.FindStringSubmatch(host)
	if parts == nil {
		return false
	}
	name := strings.ToLower(strings.TrimSuffix(strings.Trim(parts[1], "[]"), "."))
	for _, pattern := range allowed {
		pattern = strings.ToLower(pattern)
		switch {
		case pattern == "*", pattern == name:
			return true
		case strings.HasPrefix(pattern, ".") && (strings.HasSuffix(name, pattern) || name == pattern[1:]):
			return true
		}
	}
	return false
}

// normalSlash lets the clients of the earlier system leave out a trailing slash, and those of the new API add one.
func normalSlash(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, slashed := strings.CutSuffix(r.URL.Path, "/")
		switch {
		case !slashed && (strings.HasPrefix(path, "/accounts/") || path == "/board" || strings.HasPrefix(path, "/board/")):
			next.ServeHTTP(w, withPath(r, path+"/"))
		case slashed && strings.HasPrefix(path, "/api/"):
			next.ServeHTTP(w, withPath(r, path))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func withPath(r *http.Request, path string) *http.Request {
	changed := *r
	url := *r.URL
	url.Path, url.RawPath = path, ""
	changed.URL = &url
	return &changed
}

// securityHeaders are safe on every answer; pages set a stricter Content-Security-Policy of their own. What depends on who
// asks must not be shown to others: handlers that know better say how their answers may be cached.
func securityHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		headers := w.Header()
		headers.Set("X-Content-Type-Options", "nosniff")
		headers.Set("X-Frame-Options", "DENY")
		headers.Set("Referrer-Policy", "same-origin")
		headers.Set("Cross-Origin-Opener-Policy", "same-origin")
		headers.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		headers.Set("Cache-Control", "private, no-cache")
		next.ServeHTTP(w, r)
	})
}

// forPrograms readies requests for the JSON API, and leaves those for pages alone: a form becomes JSON, and HEAD is answered
// as GET without its body (RFC 9110 section 9.3.2).
func forPrograms(next http.Handler) http.Handler {
	forms := httpx.FormToJSON(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case isPage(r.URL.Path):
			next.ServeHTTP(w, r)
		case r.Method == http.MethodHead:
			get := *r
			get.Method = http.MethodGet
			next.ServeHTTP(w, &get)
		default:
			forms.ServeHTTP(w, r)
		}
	})
}
