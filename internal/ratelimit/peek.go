package ratelimit

import (
	"context"
	"hash/maphash"
	"time"

	"github.com/go-redis/redis_rate/v10"
)

// Peek tells whether an event of key would be allowed, without counting one.
func (l *Local) Peek(_ context.Context, key string, limit Limit) Result {
	now := l.now().UnixNano()
	interval := int64(limit.interval())
	window := interval * int64(limit.Burst)
	s := &l.shards[maphash.String(l.seed, key)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	arrival := max(s.keys[key].arrival, now)
	spare := now + window - arrival - interval
	result := Result{Allowed: spare >= 0, ResetAfter: time.Duration(arrival - now)}
	if result.Allowed {
		result.Remaining = int(spare/interval) + 1
	} else {
		result.RetryAfter = time.Duration(-spare)
	}
	return result
}

// Peek tells whether an event of key would be allowed, without counting one. Without Redis, this process answers for itself.
func (s *Shared) Peek(ctx context.Context, key string, limit Limit) Result {
	if !s.mayAsk(time.Now()) {
		return s.local.Peek(ctx, key, limit)
	}
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), budget)
	defer cancel()
	found, err := s.rate.AllowN(asking, key, redis_rate.Limit{Rate: limit.Events, Period: limit.Period, Burst: limit.Burst}, 0)
	if err != nil {
		s.failed(err)
		return s.local.Peek(ctx, key, limit)
	}
	s.answered()
	result := Result{Allowed: found.Remaining > 0, Remaining: found.Remaining, ResetAfter: max(found.ResetAfter, 0)}
	if !result.Allowed {
		// What is left of the interval is not told for an event of no cost; a whole one is enough.
		result.RetryAfter = limit.interval()
	}
	return result
}
