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
// then any of the limit that has the most, so that memory stays bounded whoever calls, and keys that clients invent displace
// no other limit's from its share. It is safe for concurrent use.
type Local struct {
	now    func() time.Time
	seed   maphash.Seed
	limit  int // keys per shard
	shards [shards]shard
}

type shard struct {
	mu     sync.Mutex
	events int
	keys   map[string]entry
	shares map[string]*share // by the name of their limit
}

// entry is what is known of a key.
type entry struct {
	arrival int64 // its theoretical arrival time, in nanoseconds since the epoch
	share   *share
}

// share is how many keys of a limit there are.
type share struct {
	name string
	keys int
}

// NewLocal returns a limiter for up to maxKeys keys. now is the clock.
func NewLocal(maxKeys int, now func() time.Time) *Local {
	l := &Local{now: now, seed: maphash.MakeSeed(), limit: max(maxKeys/shards, 1)}
	for i := range l.shards {
		l.shards[i].keys, l.shards[i].shares = map[string]entry{}, map[string]*share{}
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
	entry, known := s.keys[key]
	arrival := max(entry.arrival, now)
	next := arrival + interval
	if spare := now + window - next; spare >= 0 {
		if !known {
			s.makeRoom(now, l.limit, limit.Name)
			entry.share = s.take(limit.Name)
		}
		entry.arrival = next
		s.keys[key] = entry
		s.sweep(now)
		return Result{Allowed: true, Remaining: int(spare / interval), ResetAfter: time.Duration(next - now)}
	}
	return Result{RetryAfter: time.Duration(next - window - now), ResetAfter: time.Duration(arrival - now)}
}

// take makes a limit's share larger by a key.
func (s *shard) take(name string) *share {
	taken := s.shares[name]
	if taken == nil {
		taken = &share{name: name}
		s.shares[name] = taken
	}
	taken.keys++
	return taken
}

func (s *shard) forget(key string, entry entry) {
	delete(s.keys, key)
	if entry.share.keys--; entry.share.keys == 0 {
		delete(s.shares, entry.share.name)
	}
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
	for key, entry := range s.keys {
		if entry.arrival <= now {
			s.forget(key, entry)
		}
		if looked++; looked == sweepStep {
			return
		}
	}
}

// makeRoom makes room for a key of the named limit.
func (s *shard) makeRoom(now int64, limit int, name string) {
	if len(s.keys) < limit {
		return
	}
	s.dropResting(now)
	if len(s.keys) < limit {
		return
	}
	largest := s.largest(name)
	for key, entry := range s.keys { // few are walked over, as most are of the largest
		if entry.share == largest {
			s.forget(key, entry)
			return
		}
	}
}

// largest is the largest share, the named one among equals.
func (s *shard) largest(name string) *share {
	largest := s.shares[name]
	for _, other := range s.shares {
		if largest == nil || other.keys > largest.keys {
			largest = other
		}
	}
	return largest
}

// Len is how many keys are held.
func (l *Local) Len() int {
	total := 0
	for i := range l.shards {
		l.shards[i].mu.Lock()
		total += len(l.shards[i].keys)
		l.shards[i].mu.Unlock()
	}
	return total
}
