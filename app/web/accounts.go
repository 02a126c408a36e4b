package web

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/portico-web/portico/app/account"
	"github.com/portico-web/portico/app/school"
	"github.com/portico-web/portico/app/token"
	"github.com/portico-web/portico/internal/fault"
)

// accountView is the page to register or to sign in.
type accountView struct {
	*view
	form
	Next    string
	Schools []school.School
}

// away leads a person who is signed in already to where they wanted to go.
func (p *Pages) away(w http.ResponseWriter, r *http.Request) bool {
	_, known := token.IdentityOf(r.Context())
	if known {
		http.Redirect(w, r, localPath(r.FormValue("next")), http.StatusSeeOther)
	}
	return known
}

func (p *Pages) showLogin(w http.ResponseWriter, r *http.Request) error {
	if p.away(w, r) {
		return nil
	}
	return p.loginForm(w, r, http.StatusOK, form{})
}

func (p *Pages) loginForm(w http.ResponseWriter, r *http.Request, status int, typed form) error {
	v, err := p.viewOf(w, r, "Sign in")
	if err != nil {
		return err
	}
	return p.show(w, r, status, "login", accountView{view: v, form: typed, Next: localPath(r.FormValue("next"))})
}

func (p *Pages) login(w http.ResponseWriter, r *http.Request) error {
	typed := read(r, "email")
	session, err := p.Accounts.Login(r.Context(), strings.TrimSpace(typed.Value("email")), r.PostFormValue("password"))
	if err != nil {
		status, unknown := typed.blame(w, r, err)
		if unknown != nil {
			return unknown
		}
		return p.loginForm(w, r, status, typed)
	}
	p.Accounts.SetCookies(w, session)
	p.redirect(w, r, localPath(r.PostFormValue("next")), "signed-in")
	return nil
}

func (p *Pages) showSignup(w http.ResponseWriter, r *http.Request) error {
	if p.away(w, r) {
		return nil
	}
	return p.signupForm(w, r, http.StatusOK, form{})
}

func (p *Pages) signupForm(w http.ResponseWriter, r *http.Request, status int, typed form) error {
	schools, err := p.Schools.All(r.Context())
	if err != nil {
		return err
	}
	v, err := p.viewOf(w, r, "Sign up")
	if err != nil {
		return err
	}
	return p.show(w, r, status, "signup", accountView{view: v, form: typed, Next: localPath(r.FormValue("next")), Schools: schools})
}

func (p *Pages) signup(w http.ResponseWriter, r *http.Request) error {
	typed := read(r, "school_id", "nickname", "email", "admission_year")
	registration := account.Registration{
		Email: strings.TrimSpace(typed.Value("email")), Nickname: strings.TrimSpace(typed.Value("nickname")),
		Password1: r.PostFormValue("password1"), Password2: r.PostFormValue("password2"),
	}
	typed.Values["password1"], typed.Values["password2"] = "", "" // never shown again, but faults stand beside them
	// The site asks for more than the API: who posts needs a school and a name to go by.
	id, err := strconv.ParseInt(typed.Value("school_id"), 10, 64)
	switch {
	case typed.Value("school_id") == "":
		typed.refuse(r, "school_id", "Choose your school.")
	case err != nil:
		typed.refuse(r, "school_id", "A valid integer is required.")
	default:
		registration.SchoolID = &id
	}
	if registration.Nickname == "" {
		typed.refuse(r, "nickname", "This field may not be blank.")
	}
	if text := strings.TrimSpace(typed.Value("admission_year")); text != "" {
		year, err := strconv.Atoi(text)
		if err != nil {
			typed.refuse(r, "admission_year", "A valid integer is required.")
		}
		registration.AdmissionYear = &year
	}
	if typed.Failed() {
		return p.signupForm(w, r, http.StatusBadRequest, typed)
	}
	session, err := p.Accounts.Register(r.Context(), registration)
	if err != nil {
		status, unknown := typed.blame(w, r, err)
		if unknown != nil {
			return unknown
		}
		return p.signupForm(w, r, status, typed)
	}
	p.Accounts.SetCookies(w, session)
	p.redirect(w, r, localPath(r.PostFormValue("next")), "welcome")
	return nil
}

// logout ends the session, also one that is over already.
func (p *Pages) logout(w http.ResponseWriter, r *http.Request) error {
	if refresh := p.Accounts.RefreshCookie(r); refresh != "" {
		if err := p.Accounts.Logout(r.Context(), refresh); err != nil && fault.KindOf(err) == fault.Internal {
			return err
		}
	}
	p.Accounts.ClearCookies(w)
	p.redirect(w, r, "/", "goodbye")
	return nil
}
