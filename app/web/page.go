package web

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/portico-web/portico/app/account"
	"github.com/portico-web/portico/app/token"
	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/internal/lang"
	"github.com/portico-web/portico/internal/logging"
)

// contentPolicy lets pages use what this site serves itself, and nothing inline.
const contentPolicy = "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// handler answers one page. An error that it returns is answered by an error page; then it must not have written anything.
type handler func(w http.ResponseWriter, r *http.Request) error

// page wraps a handler with what all pages have in common: the session, protection of forms, error pages.
func (p *Pages) page(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			cause := recover()
			if cause == http.ErrAbortHandler { //nolint:errorlint // the sentinel is compared by identity, as net/http does
				panic(cause)
			}
			if cause != nil {
				p.Log.ErrorContext(r.Context(), "page panicked", "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
				p.fail(w, r, fault.New(fault.Internal, ""))
			}
		}()
		if err := p.Accounts.CSRF().Check(r); err != nil {
			p.fail(w, r, err)
			return
		}
		r, err := p.session(w, r)
		if err == nil {
			err = h(w, r)
		}
		if err != nil {
			p.fail(w, r, err)
		}
	})
}

// session renews an access token that is over by the refresh token's cookie, so that who signed in stays signed in.
func (p *Pages) session(w http.ResponseWriter, r *http.Request) (*http.Request, error) {
	_, err := token.Require(r.Context())
	if err == nil || p.Accounts.RefreshCookie(r) == "" {
		return r, nil
	}
	if fault.KindOf(err) == fault.Internal {
		return r, err
	}
	session, err := p.Accounts.Refresh(r.Context(), p.Accounts.RefreshCookie(r))
	switch {
	case err == nil:
		p.Accounts.SetCookies(w, session)
		return r.WithContext(signedIn(r.Context(), session.User)), nil
	case fault.KindOf(err) == fault.Unauthenticated:
		p.Accounts.ClearCookies(w)
		return r, nil
	default:
		return r, err
	}
}

func signedIn(ctx context.Context, user account.User) context.Context {
	identity := token.Identity{UserID: user.ID, Staff: user.IsStaff || user.IsSuperuser || user.IsAdmin, Cookie: true}
	if user.SchoolID != nil {
		identity.SchoolID = *user.SchoolID
	}
	return token.WithIdentity(ctx, identity)
}

// view is what the layout shows; the views of single pages embed it.
type view struct {
	Lang     lang.Lang
	Title    string // in the reader's language
	Path     string // where this page lives, for coming back to it
	Flash    string
	User     *account.User // nil: signed out
	Identity token.Identity
	Now      time.Time
	csrf     func() string
}

// CSRF is the token for a form on this page.
func (v *view) CSRF() string { return v.csrf() }

// viewOf begins the view of a page.
func (p *Pages) viewOf(w http.ResponseWriter, r *http.Request, title string) (*view, error) {
	l := lang.Of(r.Context())
	v := &view{
		Lang: l, Title: l.Text(title), Path: r.URL.RequestURI(), Now: p.Clock(),
		csrf: func() string { return p.Accounts.CSRF().Token(w, r) },
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		v.Path = r.URL.Path
	}
	v.Flash = l.Text(p.takeFlash(w, r))
	identity, ok := token.IdentityOf(r.Context())
	if !ok {
		return v, nil
	}
	user, err := p.Accounts.User(r.Context(), identity.UserID)
	switch {
	case err == nil:
		v.User, v.Identity = &user, identity
	case fault.KindOf(err) != fault.NotFound: // an account that is gone reads on as a visitor
		return nil, err
	}
	return v, nil
}

// show answers status with the template name.
func (p *Pages) show(w http.ResponseWriter, r *http.Request, status int, name string, data any) error {
	body, err := p.templates.execute(lang.Of(r.Context()), name, data)
	if err != nil {
		return fmt.Errorf("rendering %s: %w", name, err)
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", contentPolicy)
	header.Set("Cache-Control", "private, no-store")
	header.Add("Vary", "Cookie")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
	return nil
}

// failureView is an error page.
type failureView struct {
	*view
	Status    int
	Message   string
	RequestID string
}

// fail answers err with an error page, or with the way to sign in.
func (p *Pages) fail(w http.ResponseWriter, r *http.Request, err error) {
	safe := httpx.Safe(r.Context(), p.Log, database.Fault(err))
	if safe.Kind == fault.Unauthenticated && r.Method == http.MethodGet {
		http.Redirect(w, r, loginPath(r.URL.RequestURI()), http.StatusSeeOther)
		return
	}
	l := lang.Of(r.Context())
	message, titles := l.Text(safe.Message), map[fault.Kind]string{
		fault.NotFound: "Page not found", fault.Forbidden: "Not allowed", fault.MethodNotAllowed: "Not allowed",
		fault.Unauthenticated: "Please sign in", fault.TooMany: "Too many requests", fault.Unavailable: "Not available right now",
	}
	title, known := titles[safe.Kind]
	switch {
	case safe.Kind == fault.NotFound:
		message = l.Text("There is nothing at this address, or it has been deleted.")
	case safe.Kind == fault.Forbidden && strings.HasPrefix(safe.Message, "CSRF Failed"):
		title, message = "This form has expired", l.Text("Go back, reload the page and try again. Cookies must be allowed for this site.")
	case safe.Kind == fault.Internal:
		title, message = "Something went wrong", l.Text("This is our fault. It has been noted; please try again in a moment.")
	case !known:
		title = "That did not work"
	}
	v, viewErr := p.viewOf(w, r, title)
	if viewErr != nil { // the very thing that failed may be what the view needs
		v = &view{Lang: l, Title: l.Text(title), Path: "/", Now: p.Clock(), csrf: func() string { return "" }}
	}
	status := httpx.Status(safe.Kind)
	retryLater(w, safe)
	showErr := p.show(w, r, status, "failure", failureView{view: v, Status: status, Message: message, RequestID: logging.RequestID(r.Context())})
	if showErr != nil {
		p.Log.ErrorContext(r.Context(), "error page failed", "error", showErr)
		http.Error(w, http.StatusText(status), status)
	}
}

// NotFound answers 404 in the style of the site.
func (p *Pages) NotFound(w http.ResponseWriter, r *http.Request) {
	p.fail(w, r, fault.New(fault.NotFound, "Not found."))
}

// MethodNotAllowed answers 405 in the style of the site.
func (p *Pages) MethodNotAllowed(w http.ResponseWriter, r *http.Request) {
	p.fail(w, r, fault.New(fault.MethodNotAllowed, "This address does not take such a request."))
}
