package web

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/portico-web/portico/internal/lang"
)

const langAge = 365 * 24 * 60 * 60 // seconds

// switchLang sets the language for this browser and leads back.
func (p *Pages) switchLang(w http.ResponseWriter, r *http.Request) {
	if err := p.Accounts.CSRF().CheckOrigin(r); err != nil {
		p.fail(w, r, err)
		return
	}
	if to := lang.Lang(r.PostFormValue("to")); to == lang.Korean || to == lang.English {
		http.SetCookie(w, p.cookie(lang.Cookie, string(to), langAge))
	}
	http.Redirect(w, r, localPath(r.PostFormValue("next")), http.StatusSeeOther)
}

// maxPath bounds a path that goes into a header, in bytes.
const maxPath = 2048

// localPath is path if it leads to a page of this site and nowhere else, or "/".
func localPath(path string) string {
	parsed, err := url.Parse(path)
	if err != nil || len(path) > maxPath || parsed.Scheme != "" || parsed.Host != "" || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") ||
		strings.ContainsAny(path, "\\\r\n\t") {
		return "/"
	}
	return path
}

func loginPath(next string) string {
	if next = localPath(next); next == "/" || strings.HasPrefix(next, "/login/") || strings.HasPrefix(next, "/signup/") {
		return "/login/"
	}
	return "/login/?next=" + url.QueryEscape(next)
}
