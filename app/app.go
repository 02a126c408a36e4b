// Package app is the application: accounts and the campus community, as a JSON API and as pages.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river"

	"github.com/portico-web/portico/app/account"
	"github.com/portico-web/portico/app/board"
	"github.com/portico-web/portico/app/mailbox"
	"github.com/portico-web/portico/app/post"
	"github.com/portico-web/portico/app/school"
	"github.com/portico-web/portico/app/token"
	"github.com/portico-web/portico/app/web"
	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/health"
	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/internal/lang"
	"github.com/portico-web/portico/internal/queue"
	"github.com/portico-web/portico/internal/ratelimit"
	"github.com/portico-web/portico/migrations"
)

// Surroundings are the parts of the process that the application works with and does not own.
type Surroundings struct {
	DB       *database.DB
	Log      *slog.Logger
	Registry *prometheus.Registry
	Checks   *health.Checks
	Version  string
	// Local says that only this machine reaches the application, so that everybody has one address: then registrations and
	// sign-ins are not counted by it. Failed sign-ins are all the same.
	Local bool
}

// maxLimitedClients bounds how many addresses and accounts the limits of this process keep in mind.
const maxLimitedClients = 200_000

// App is the application, ready to serve.
type App struct {
	config  Config
	log     *slog.Logger
	handler http.Handler
	closers []func() error

	Accounts *account.Service
}

// New wires the application. It runs nothing and leaves the database as it is; Close frees what it holds.
func New(ctx context.Context, cfg Config, around Surroundings) (*App, error) {
	jobs, err := queue.New(around.DB, &river.Config{Logger: around.Log})
	if err != nil {
		return nil, err
	}
	keys, err := token.NewKeys(cfg.SecretKey, cfg.SecretKeyFallbacks...)
	if err != nil {
		return nil, fmt.Errorf("SECRET_KEY: %w", err)
	}
	a := &App{config: cfg, log: around.Log}
	limits, err := a.limits(ctx, around)
	if err != nil {
		return nil, err
	}
	if err := around.DB.RequireMigrated(ctx, migrations.FS); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	a.Accounts = account.New(account.Config{
		DB: around.DB, Jobs: jobs, Keys: keys, Log: around.Log, Clock: time.Now,
		AccessLifetime: cfg.AccessTokenLifetime, RefreshLifetime: cfg.RefreshTokenLifetime,
		Secure: cfg.secure(), HTTPOnly: cfg.AuthHTTPOnly, CSRFTrustedOrigins: cfg.CSRFTrustedOrigins, Limits: limits,
	})
	schools := school.New(around.DB, time.Now)
	boards := board.New(around.DB, schools.Exists, time.Now)
	posts := post.New(around.DB, boards.School, time.Now)

	router := mux.NewRouter()
	api := newAPI(router, around.Version)
	apis{
		accounts: &account.API{Accounts: a.Accounts}, schools: school.API{Schools: schools},
		boards: board.API{Boards: boards}, posts: post.API{Posts: posts},
	}.routes(registrar{api, a.log})
	pages := web.Config{
		Accounts: a.Accounts, Schools: schools, Boards: boards, Posts: posts,
		MailboxAllow: cfg.MailboxAllow, OpenAPI: api.OpenAPI, Log: a.log, Secure: cfg.secure(), Clock: time.Now,
	}
	if cfg.UsesMailbox() {
		pages.Mailbox = mailbox.New(around.DB)
	}
	site, err := web.New(pages)
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	site.Register(router)
	a.unrouted(router, site)
	a.handler = a.chain(router, around)
	around.Checks.Add("database", around.DB.Check)
	return a, nil
}

// limits are what bounds sign-ins and registrations: shared through Redis when there is one.
func (a *App) limits(ctx context.Context, around Surroundings) (*account.Limits, error) {
	if !a.config.LoginLimits {
		return nil, nil
	}
	local := ratelimit.NewLocal(maxLimitedClients, time.Now)
	var limiter account.Limiter = local
	if a.config.RedisURL != "" {
		shared, err := ratelimit.Connect(ctx, a.config.RedisURL, local, around.Log)
		if err != nil {
			return nil, fmt.Errorf("REDIS_URL: %w", err)
		}
		a.closers = append(a.closers, shared.Close)
		around.Checks.Add("redis", shared.Check)
		limiter = shared
	}
	limits := account.DefaultLimits(limiter)
	if around.Local {
		limits.Login, limits.Signup = ratelimit.Limit{}, ratelimit.Limit{}
	}
	return limits, nil
}

// Close frees what New opened, once Serve has returned.
func (a *App) Close() error {
	var failures []error
	for _, close := range a.closers {
		failures = append(failures, close())
	}
	return errors.Join(failures...)
}

// chain is what every request passes on its way to the router, outermost first.
func (a *App) chain(router http.Handler, around Surroundings) http.Handler {
	handler := a.Accounts.Authenticate(router)
	handler = forPrograms(handler)
	handler = a.limitBody(handler)
	handler = normalSlash(handler)
	handler = a.checkHost(handler)
	handler = around.Checks.Public("/api/health/", handler)
	handler = lang.WithLang(handler)
	handler = httpx.WithClient(a.config.TrustedProxies, handler)
	handler = httpx.Recover(a.log, handler)
	handler = securityHeaders(handler)
	handler = observe(around.Registry, a.log, handler)
	return httpx.WithRequest(handler)
}

// Handler serves everything that the application answers.
func (a *App) Handler() http.Handler { return a.handler }

// Serve answers requests on listener until ctx ends and those in flight are done. It owns listener.
func (a *App) Serve(ctx context.Context, listener net.Listener) error {
	// Requests in flight outlive ctx: Serve waits for them.
	server := httpx.NewServer(context.WithoutCancel(ctx), a.handler, a.log)
	return httpx.Serve(ctx, server, listener, a.config.StopTimeout)
}
