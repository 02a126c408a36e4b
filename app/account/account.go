// Package account holds the people who use the product: how they register, prove who they are, stay signed in and sign out.
// docs/accounts.md describes what clients see.
package account

import (
	"log/slog"
	"runtime"
	"time"

	"github.com/portico-web/portico/app/token"
	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/queue"
)

// Names of the cookies that carry a session's tokens.
const (
	AccessCookie  = "my-app-auth"
	RefreshCookie = "my-refresh-token"
)

// Config is what a Service works with. DB, Jobs, Keys and Log are required.
type Config struct {
	DB   *database.DB
	Jobs *queue.Client
	Keys *token.Keys
	Log  *slog.Logger
	// Clock is the time of day; time.Now when nil.
	Clock func() time.Time

	// AccessLifetime and RefreshLifetime are how long tokens are good; 15 minutes and 14 days when 0.
	AccessLifetime  time.Duration
	RefreshLifetime time.Duration

	// Secure keeps cookies off plain HTTP. HTTPOnly keeps the refresh token in its cookie and out of bodies and scripts.
	Secure   bool
	HTTPOnly bool

	// CSRFTrustedOrigins are origins besides our own whose pages may send requests that a cookie authenticates:
	// "https://example.com" or "https://*.example.com".
	CSRFTrustedOrigins []string

	// HashConcurrency is how many passwords are hashed at once, 19 MiB of memory each; the number of processors when 0.
	HashConcurrency int
	// Limits bounds sign-ins and registrations; nil does not.
	Limits *Limits
}

// Service is the accounts. Safe for concurrent use. What a client did wrong is told as *fault.Error; any other error is ours.
type Service struct {
	store    *store
	jobs     *queue.Client
	keys     *token.Keys
	log      *slog.Logger
	clock    func() time.Time
	access   time.Duration
	refresh  time.Duration
	secure   bool
	httpOnly bool
	csrf     *CSRF
	hasher   *hasher
	limits   *Limits
}

// New makes the service. It starts nothing.
func New(cfg Config) *Service {
	s := &Service{
		store: &store{cfg.DB}, jobs: cfg.Jobs, keys: cfg.Keys, log: cfg.Log, clock: cfg.Clock,
		access: cfg.AccessLifetime, refresh: cfg.RefreshLifetime, secure: cfg.Secure, httpOnly: cfg.HTTPOnly,
		csrf: newCSRF(cfg.CSRFTrustedOrigins, cfg.Secure), limits: cfg.Limits,
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.access <= 0 {
		s.access = 15 * time.Minute
	}
	if s.refresh <= 0 {
		s.refresh = 14 * 24 * time.Hour
	}
	concurrency := cfg.HashConcurrency
	if concurrency <= 0 {
		concurrency = runtime.GOMAXPROCS(0)
	}
	s.hasher = newHasher(concurrency)
	return s
}

// now is the time as both databases keep it.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

// CSRF is the protection against requests that another site makes a person's browser send.
func (s *Service) CSRF() *CSRF { return s.csrf }
