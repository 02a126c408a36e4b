// Package web is the site that people see: server-rendered pages that need no JavaScript, in Korean and English.
package web

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gorilla/mux"

	"github.com/portico-web/portico/app/account"
	"github.com/portico-web/portico/app/board"
	"github.com/portico-web/portico/app/mailbox"
	"github.com/portico-web/portico/app/post"
	"github.com/portico-web/portico/app/school"
)

// Config is what the pages show and work with. All but Mailbox is required.
type Config struct {
	Accounts *account.Service
	Schools  *school.Schools
	Boards   *board.Boards
	Posts    *post.Posts
	// Mailbox is shown under /mailbox/ to this machine and to clients in MailboxAllow; nil: there is none.
	Mailbox      *mailbox.Store
	MailboxAllow []netip.Prefix
	// OpenAPI returns the document that /api/docs shows; it is asked for once, by the first request.
	OpenAPI func() *huma.OpenAPI
	Log     *slog.Logger
	// Secure keeps the pages' own cookies off plain HTTP.
	Secure bool
	// Clock is the time of day; time.Now when nil.
	Clock func() time.Time
}

// Pages are all pages. Safe for concurrent use; nothing needs to be closed.
type Pages struct {
	Config
	assets    *assets
	templates *templates
	docs      *docs
}

// New makes the pages.
func New(cfg Config) (*Pages, error) {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	assets, err := loadAssets()
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	templates, err := loadTemplates(assets)
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	return &Pages{Config: cfg, assets: assets, templates: templates, docs: &docs{source: cfg.OpenAPI}}, nil
}

// Register adds every page to router. A page's address without its last slash leads to the page.
func (p *Pages) Register(router *mux.Router) {
	pages := router.NewRoute().Subrouter().StrictSlash(true)
	get := func(path string, h handler) { pages.Handle(path, p.page(h)).Methods(http.MethodGet, http.MethodHead) }
	post := func(path string, h handler) { pages.Handle(path, p.page(h)).Methods(http.MethodPost) }

	get("/", p.front)
	get("/boards/{id:[0-9]{1,18}}/", p.showBoard)
	post("/boards/{id:[0-9]{1,18}}/", p.writePost)
	get("/posts/{id:[0-9]{1,18}}/", p.showPost)
	get("/posts/{id:[0-9]{1,18}}/edit/", p.showEdit)
	post("/posts/{id:[0-9]{1,18}}/edit/", p.editPost)
	post("/posts/{id:[0-9]{1,18}}/delete/", p.deletePost)
	get("/signup/", p.showSignup)
	post("/signup/", p.signup)
	get("/login/", p.showLogin)
	post("/login/", p.login)
	post("/logout/", p.logout)
	pages.HandleFunc("/lang/", p.switchLang).Methods(http.MethodPost)
	get("/api/docs", p.showDocs)
	if p.Mailbox != nil {
		get("/mailbox/", p.showMailbox)
		router.Handle("/mailbox/messages.json", mailbox.Gate(p.MailboxAllow, http.HandlerFunc(p.NotFound), p.Mailbox.Messages(p.Log))).
			Methods(http.MethodGet, http.MethodHead)
	}
	router.PathPrefix("/assets/").Handler(p.assets.handler(http.HandlerFunc(p.NotFound)))
	router.Path("/favicon.ico").Handler(p.assets.icon()).Methods(http.MethodGet, http.MethodHead)
}
