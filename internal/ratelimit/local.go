package ratelimit

import (
	"context"
	"hash/maphash"
	"sync"
	"time"
)

const (
	shards = 16
	// sweepEvery is how many events of a shard pass between two steps of throwing out keys that are at rest.
	sweepEvery = 64
	// sweepStep is how many keys one such step looks at.
	sweepStep = 128
)

// Local counts in this process. It holds at most the given number of keys: beyond it, keys at rest are forgotten first and
// then any, so that memory stays bounded whoever calls. It is safe for concurrent use.
type Local struct {
	now    func() time.Time
	seed   maphash.Seed
	limit  int // keys per shard
	shards [shards]shard
}

type shard struct {
	mu     sync.Mutex
	events int
	// arrivals holds each key's theoretical arrival time, in nanoseconds since the epoch.
	arrivals map[string]int64
}

// NewLocal returns a limiter for up to maxKeys keys. now is the clock.
func NewLocal(maxKeys int, now func() time.Time) *Local {
	l := &Local{now: now, seed: maphash.MakeSeed(), limit: max(maxKeys/shards, 1)}
	for i := range l.shards {
		l.shards[i].arrivals = map[string]int64{}
	}
	return l
}

// Allow implements Limiter.
func (l *Local) Allow(_ context.Context, key string, limit Limit) Result {
	now := l.now().UnixNano()
	interval := int64(limit.interval())
	window := interval * int64(limit.Burst)
	s := &l.shards[maphash.String(l.seed, key)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	arrival, known := s.arrivals[key]
	arrival = max(arrival, now)
	next := arrival + interval
	if spare := now + window - next; spare >= 0 {
		if !known {
			s.makeRoom(now, l.limit)
		}
		s.arrivals[key] = next
		s.sweep(now)
		return Result{Allowed: true, Remaining: int(spare / interval), ResetAfter: time.Duration(next - now)}
	}
	return Result{RetryAfter: time.Duration(next - window - now), ResetAfter: time.Duration(arrival - now)}
}

// sweep throws out some keys at rest, now and then; maps are walked from a random place.
func (s *shard) sweep(now int64) {
	if s.events++; s.events < sweepEvery {
		return
	}
	s.events = 0
	s.dropResting(now)
}

func (s *shard) dropResting(now int64) {
	looked := 0
	for key, arrival := range s.arrivals {
		if arrival <= now {
			delete(s.arrivals, key)
		}
		if looked++; looked == sweepStep {
			return
		}
	}
}

func (s *shard) makeRoom(now int64, limit int) {
	if len(s.arrivals) < limit {
		return
	}
	s.dropResting(now)
	for key := range s.arrivals {
		if len(s.arrivals) < limit {
			return
		}
		delete(s.arrivals, key)
	}
}

// Len is how many keys are held.
func (l *Local) Len() int {
	total := 0
	for i := range l.shards {
		l.shards[i].mu.Lock()
		total += len(l.shards[i].arrivals)
		l.shards[i].mu.Unlock()
	}
	return total
}
