package worker

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/portico-web/portico/internal/config"
	"github.com/portico-web/portico/internal/database"
)

// Config is the worker's settings, read from the environment by LoadConfig or filled in by the one-process platform.
type Config struct {
	Database database.Settings

	Listen         string `env:"LISTEN" envDefault:":5555"`
	InternalListen string `env:"INTERNAL_LISTEN" envDefault:":9090"`
	LogLevel       string `env:"LOG_LEVEL" envDefault:"info"`
	LogFormat      string `env:"LOG_FORMAT" envDefault:"json"`

	// Concurrency is how many jobs run at once; 0 takes 100 on PostgreSQL and 50 on SQLite.
	Concurrency int `env:"WORKER_CONCURRENCY"`
	// JobTimeout bounds each execution of a job that names no bound of its own.
	JobTimeout time.Duration `env:"WORKER_JOB_TIMEOUT" envDefault:"1m"`
	// StopTimeout is how long running jobs may go on after SIGTERM before they are cancelled.
	StopTimeout time.Duration `env:"WORKER_STOP_TIMEOUT" envDefault:"30s"`

	// IdleClaim is how long a job may be in this worker's hands by the database, and not run here, before it is given out again;
	// 0 takes a minute. The outcome of a job that ended has to be written within it, too.
	IdleClaim time.Duration

	SMTPURL   string `env:"SMTP_URL"`
	MailFrom  string `env:"MAIL_FROM"`
	PublicURL string `env:"PUBLIC_URL" envDefault:"https://localhost"`

	// TrustedProxies are whose X-Forwarded-* is believed.
	TrustedProxies []netip.Prefix `env:"TRUSTED_PROXIES" envDefault:"127.0.0.0/8,::1/128"`

	// FlowerBasicAuth is who may use the dashboard: user:password, several by comma. Nobody may while it is empty.
	FlowerBasicAuth string `env:"FLOWER_BASIC_AUTH"`
	// FlowerReadOnly refuses everything in the dashboard that changes something.
	FlowerReadOnly bool `env:"FLOWER_READ_ONLY"`
}

const (
	postgresConcurrency = 100
	sqliteConcurrency   = 50
	maxConcurrency      = 10_000
)

// LoadConfig reads and checks the settings; its error tells all faults, a line each.
func LoadConfig(environ []string) (Config, error) {
	var cfg Config
	err := config.Environment(&cfg, environ)
	return cfg, errors.Join(err, cfg.check())
}

func (c *Config) check() error {
	var faults []error
	if c.Concurrency < 0 || c.Concurrency > maxConcurrency {
		faults = append(faults, fmt.Errorf("WORKER_CONCURRENCY: %d is not from 1 to %d (0 or unset lets the database decide)", c.Concurrency, maxConcurrency))
	}
	if c.JobTimeout < 0 || c.JobTimeout > 24*time.Hour {
		faults = append(faults, fmt.Errorf("WORKER_JOB_TIMEOUT: %s is not between 0 and 24h", c.JobTimeout))
	}
	if c.StopTimeout < 0 {
		faults = append(faults, fmt.Errorf("WORKER_STOP_TIMEOUT: %s is negative", c.StopTimeout))
	}
	return errors.Join(faults...)
}

// complete fills in what was left to us.
func (c *Config) complete(db *database.DB, log *slog.Logger) {
	if c.Concurrency == 0 {
		c.Concurrency = sqliteConcurrency
		if db.IsPostgres() {
			c.Concurrency = postgresConcurrency
		}
	}
	if c.JobTimeout == 0 {
		c.JobTimeout = time.Minute
	}
	if c.IdleClaim == 0 {
		c.IdleClaim = time.Minute
	}
	if c.PublicURL == "" {
		c.PublicURL = "https://localhost"
	}
	if c.MailFrom == "" {
		c.MailFrom = "Portico <no-reply@localhost>"
		if strings.HasPrefix(strings.ToLower(c.SMTPURL), "smtp") {
			log.Warn("MAIL_FROM is not set: mail is sent from no-reply@localhost, which other servers tend to refuse")
		}
	}
}
