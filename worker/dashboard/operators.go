package dashboard

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"sync"
	"time"
)

const (
	// believed is how long an operator's password that was right is not checked again: checking is slow on purpose, and
	// browsers send the password with each request.
	believed = time.Minute
	// maxBelieved bounds how many are kept in mind.
	maxBelieved = 100
)

// operators are users whom somebody else knows, such as the application's administrators. Safe for concurrent use; nil
// allows nobody.
type operators struct {
	ask   func(ctx context.Context, name, password string) (bool, error)
	users *users // for its keyed hash
	log   *slog.Logger

	mu    sync.Mutex
	until map[[2 * sha256.Size]byte]time.Time
}

func newOperators(ask func(ctx context.Context, name, password string) (bool, error), users *users, log *slog.Logger) *operators {
	if ask == nil {
		return nil
	}
	return &operators{ask: ask, users: users, log: log, until: map[[2 * sha256.Size]byte]time.Time{}}
}

func (o *operators) allow(ctx context.Context, name, password string) bool {
	if o == nil {
		return false
	}
	nameHash, passwordHash := o.users.hash(name), o.users.hash(password)
	key := [2 * sha256.Size]byte(append(nameHash[:], passwordHash[:]...))
	o.mu.Lock()
	until, known := o.until[key]
	o.mu.Unlock()
	if known && time.Now().Before(until) {
		return true
	}
	allowed, err := o.ask(ctx, name, password)
	if err != nil {
		o.log.WarnContext(ctx, "whether somebody may use the dashboard could not be found out", "error", err)
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.until, key)
	if allowed {
		if len(o.until) >= maxBelieved {
			clear(o.until)
		}
		o.until[key] = time.Now().Add(believed)
	}
	return allowed
}
