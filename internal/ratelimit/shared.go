package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/portico-web/portico/internal/health"
)

const (
	// budget is how long a request waits for Redis at most.
	budget = 50 * time.Millisecond
	// rest is how long Redis is left alone after it failed.
	rest = time.Second
)

// Shared counts in Redis, so that several processes keep one limit. While Redis does not answer within 50 ms, the process's
// own limiter decides, Redis is asked again once a second, and Check says degraded. It is safe for concurrent use.
type Shared struct {
	client  *redis.Client
	rate    *redis_rate.Limiter
	local   *Local
	log     *slog.Logger
	address string

	mu      sync.Mutex
	failure error     // why Redis is not asked; nil while it is
	retryAt time.Time // when one event may try it again
}

// Connect is Open for who wants to be sure that Redis answers; the error names the server, never its password.
func Connect(ctx context.Context, rawURL string, local *Local, log *slog.Logger) (*Shared, error) {
	s, err := Open(rawURL, local, log)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if err := s.client.Ping(ctx).Err(); err != nil {
		_ = s.client.Close()
		return nil, fmt.Errorf("redis: %s does not answer (%w): start it, correct its URL, or leave redis empty for limits of this process alone", s.address, err)
	}
	return s, nil
}

// Open prepares to ask the Redis (or Valkey) at a redis:// or rediss:// URL, which may be away. local decides while it is.
func Open(rawURL string, local *Local, log *slog.Logger) (*Shared, error) {
	options, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	// What goes wrong comes back as an error; the library's own words on standard error would only repeat it.
	logging.Disable()
	options.ContextTimeoutEnabled = true
	options.DialerRetries = 1
	options.DialTimeout = time.Second
	options.ReadTimeout, options.WriteTimeout = time.Second, time.Second
	options.PoolTimeout = budget
	options.MaxRetries = -1
	options.DisableIdentity = true
	client := redis.NewClient(options)
	return &Shared{client: client, rate: redis_rate.NewLimiter(client), local: local, log: log, address: options.Addr}, nil
}

// CheckURL tells what is wrong with a redis:// or rediss:// URL without repeating it, since it may hold a password.
func CheckURL(rawURL string) error {
	_, err := parseURL(rawURL)
	return err
}

func parseURL(rawURL string) (*redis.Options, error) {
	options, err := redis.ParseURL(rawURL)
	if err == nil {
		return options, nil
	}
	// Neither the URL's nor the parser's words are repeated: both may show the password.
	if parsed, parseErr := url.Parse(rawURL); parseErr == nil && parsed.Scheme != "redis" && parsed.Scheme != "rediss" {
		return nil, errors.New("not a URL of the form redis://[user:password@]host:port/db or rediss://…")
	}
	return nil, errors.New("malformed: want redis://[user:password@]host:port/db, with special characters of the password percent-encoded")
}

// Close ends the connections.
func (s *Shared) Close() error { return s.client.Close() }

// Allow implements Limiter.
func (s *Shared) Allow(ctx context.Context, key string, limit Limit) Result {
	if !s.mayAsk(time.Now()) {
		return s.local.Allow(ctx, key, limit)
	}
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), budget)
	defer cancel()
	found, err := s.rate.Allow(asking, key, redis_rate.Limit{Rate: limit.Events, Period: limit.Period, Burst: limit.Burst})
	if err != nil {
		s.failed(err)
		return s.local.Allow(ctx, key, limit)
	}
	s.answered()
	return Result{
		Allowed: found.Allowed > 0, Remaining: found.Remaining,
		RetryAfter: max(found.RetryAfter, 0), ResetAfter: max(found.ResetAfter, 0),
	}
}

// mayAsk lets everybody ask a healthy Redis, and one event a second an ailing one.
func (s *Shared) mayAsk(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure == nil {
		return true
	}
	if now.Before(s.retryAt) {
		return false
	}
	s.retryAt = now.Add(rest)
	return true
}

func (s *Shared) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure == nil {
		s.log.Warn("redis does not answer: rate limits are kept by this process alone", "redis", s.address, "error", err)
	}
	s.failure, s.retryAt = err, time.Now().Add(rest)
}

func (s *Shared) answered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil {
		s.log.Info("redis answers again: rate limits are shared", "redis", s.address)
	}
	s.failure = nil
}

// Check asks Redis; it is degraded, never failed, since requests pass without it. One that answers, but later than requests
// wait for it, is not asked by them on this account.
func (s *Shared) Check(ctx context.Context) health.Result {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	asked := time.Now()
	err := s.client.Ping(ctx).Err()
	took := time.Since(asked)
	switch {
	case err != nil:
		s.failed(err)
		return health.Result{Status: health.Degraded, Detail: "redis " + s.address + " does not answer: rate limits are kept by this process alone"}
	case took > budget:
		s.mu.Lock()
		ailing := s.failure != nil
		s.mu.Unlock()
		if ailing {
			return health.Result{Status: health.Degraded, Detail: fmt.Sprintf("redis %s takes longer than %s to answer: rate limits are kept by this process alone", s.address, budget)}
		}
	default:
		s.answered()
	}
	return health.Result{Status: health.OK}
}
