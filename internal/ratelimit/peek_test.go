package ratelimit_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/portico-web/portico/internal/dbtest"
	"github.com/portico-web/portico/internal/ratelimit"
)

// peeker is a limiter that also tells without counting.
type peeker interface {
	ratelimit.Limiter
	Peek(ctx context.Context, key string, limit ratelimit.Limit) ratelimit.Result
}

func TestPeekTellsWithoutCounting(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(t *testing.T) peeker{
		"local":  func(*testing.T) peeker { return ratelimit.NewLocal(100, time.Now) },
		"shared": func(t *testing.T) peeker { return connect(t, dbtest.Redis(t), io.Discard) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limiter := open(t)
			limit := ratelimit.Limit{Events: 2, Period: 2 * time.Hour, Burst: 2}
			for used := range 2 {
				for range 3 {
					if got := limiter.Peek(t.Context(), "a", limit); !got.Allowed || got.Remaining != 2-used || got.RetryAfter != 0 {
						t.Fatalf("after %d: %+v", used, got)
					}
				}
				if got := limiter.Allow(t.Context(), "a", limit); !got.Allowed {
					t.Fatalf("event %d: %+v", used+1, got)
				}
			}
			for range 3 {
				got := limiter.Peek(t.Context(), "a", limit)
				if got.Allowed || got.Remaining != 0 || got.RetryAfter <= 0 || got.RetryAfter > time.Hour || got.ResetAfter <= time.Hour {
					t.Errorf("when used up: %+v", got)
				}
			}
			if got := limiter.Peek(t.Context(), "b", limit); !got.Allowed {
				t.Errorf("another key: %+v", got)
			}
		})
	}
}
