package app

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/portico-web/portico/internal/config"
	"github.com/portico-web/portico/internal/database"
)

// Config is the application's settings, read from the environment.
type Config struct {
	Database database.Settings

	Listen         string `env:"LISTEN" envDefault:":8000"`
	InternalListen string `env:"INTERNAL_LISTEN" envDefault:":9090"`
	LogLevel       string `env:"LOG_LEVEL" envDefault:"info"`
	LogFormat      string `env:"LOG_FORMAT" envDefault:"json"`

	// SecretKey signs and derives everything; at least 32 bytes. SecretKeyFallbacks are older keys that still verify.
	SecretKey          string   `env:"SECRET_KEY,required"`
	SecretKeyFallbacks []string `env:"SECRET_KEY_FALLBACKS"`

	PublicURL          string         `env:"PUBLIC_URL" envDefault:"https://localhost"`
	AllowedHosts       []string       `env:"ALLOWED_HOSTS"`
	CSRFTrustedOrigins []string       `env:"CSRF_TRUSTED_ORIGINS"`
	TrustedProxies     []netip.Prefix `env:"TRUSTED_PROXIES" envDefault:"127.0.0.0/8,::1/128"`

	RedisURL     string         `env:"REDIS_URL"`
	SMTPURL      string         `env:"SMTP_URL"`
	MailboxAllow []netip.Prefix `env:"MAILBOX_ALLOW"`

	AccessTokenLifetime  time.Duration `env:"ACCESS_TOKEN_LIFETIME" envDefault:"15m"`
	RefreshTokenLifetime time.Duration `env:"REFRESH_TOKEN_LIFETIME" envDefault:"336h"`
	// AuthHTTPOnly keeps refresh tokens out of answers' bodies: they travel in an HttpOnly cookie alone.
	AuthHTTPOnly bool `env:"AUTH_HTTPONLY" envDefault:"true"`
	// LoginLimits turns the limits on sign-ins and registrations on; off only for measurements.
	LoginLimits bool `env:"LOGIN_LIMITS" envDefault:"true"`

	StopTimeout time.Duration `env:"STOP_TIMEOUT" envDefault:"30s"`
}

// olderNames are the names that the settings had in the system that Portico replaces.
var olderNames = map[string]string{
	"DJANGO_SECRET_KEY":    "SECRET_KEY",
	"DJANGO_ALLOWED_HOSTS": "ALLOWED_HOSTS",
}

// LoadConfig reads and checks the settings; its error tells all faults, a line each.
func LoadConfig(environ []string) (Config, error) {
	var cfg Config
	err := config.Environment(&cfg, config.WithOlderNames(environ, olderNames))
	return cfg, errors.Join(err, cfg.check(err == nil))
}

// check looks at what parsing alone cannot see. Settings that were not read are not complained about twice.
func (c *Config) check(complete bool) error {
	var faults []error
	if complete {
		if c.StopTimeout <= 0 {
			faults = append(faults, errors.New("STOP_TIMEOUT: must be positive, such as 30s"))
		}
		for i, key := range append([]string{c.SecretKey}, c.SecretKeyFallbacks...) {
			if len(key) < 32 {
				faults = append(faults, fmt.Errorf("%s: shorter than 32 bytes: make one with `openssl rand -base64 48`", []string{"SECRET_KEY", "SECRET_KEY_FALLBACKS"}[min(i, 1)]))
			}
		}
	}
	public, err := url.Parse(c.PublicURL)
	if err != nil || (public.Scheme != "https" && public.Scheme != "http") || public.Host == "" {
		faults = append(faults, fmt.Errorf("PUBLIC_URL: %q is not an address such as https://example.com", c.PublicURL))
	} else if len(c.AllowedHosts) == 0 {
		c.AllowedHosts = []string{public.Hostname()}
	}
	if c.AccessTokenLifetime <= 0 || c.RefreshTokenLifetime < c.AccessTokenLifetime {
		faults = append(faults, errors.New("ACCESS_TOKEN_LIFETIME, REFRESH_TOKEN_LIFETIME: must be positive, the second not shorter than the first"))
	}
	for i, host := range c.AllowedHosts {
		c.AllowedHosts[i] = strings.TrimSpace(host)
	}
	if scheme, _, _ := strings.Cut(c.SMTPURL, ":"); c.SMTPURL != "" && scheme != "smtp" && scheme != "smtps" && scheme != "mailbox" {
		faults = append(faults, errors.New("SMTP_URL: use smtp://user:password@host:587, smtps://…, or mailbox: for the built-in mailbox"))
	}
	return errors.Join(faults...)
}

// UsesMailbox tells whether outgoing mail stays in the built-in mailbox.
func (c *Config) UsesMailbox() bool { return strings.HasPrefix(c.SMTPURL, "mailbox:") }

// secure tells whether people reach the application by HTTPS, so that cookies must be Secure.
func (c *Config) secure() bool { return strings.HasPrefix(c.PublicURL, "https://") }

// LoadDatabaseSettings reads only what names the database, for commands that need nothing else.
func LoadDatabaseSettings(environ []string) (database.Settings, error) {
	var settings database.Settings
	err := config.Environment(&settings, environ)
	return settings, err
}
