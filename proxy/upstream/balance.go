package upstream

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Balance is how the target for a request is chosen among those that may take it.
type Balance uint8

const (
	// RoundRobin takes one after the other.
	RoundRobin Balance = iota
	// LeastConn takes the one with the fewest requests in work, by turns when there are several.
	LeastConn
	// TwoChoices takes the one with fewer requests in work of two that chance names: with several edges, these do not all
	// run to the same one.
	TwoChoices
	// Hash gives requests with the same key to the same target. When a target leaves, only its keys go to others.
	Hash
)

// choose finds the target for a request, other than the ones already tried; nil when there is none. One that just refused a
// connection is chosen only when no other is left.
func (p *Pool) choose(request *Request, tried []*Target) *Target {
	targets := p.Targets()
	switch p.settings.Balance {
	case LeastConn:
		return p.best(targets, tried, p.load)
	case TwoChoices:
		return p.ofTwo(targets, tried)
	case Hash:
		key := hashOf(p.settings.HashBy.key(request))
		return p.best(targets, tried, func(target *Target) float64 { return p.distance(key, target) })
	default:
		return p.inTurn(targets, tried)
	}
}

// inTurn passes over a target that is still starting as often as it is to have fewer requests than others.
func (p *Pool) inTurn(targets, tried []*Target) *Target {
	turn := p.turn(len(targets))
	var passed, avoided *Target
	for i := range targets {
		target := targets[wrapped(turn+i, len(targets))]
		switch {
		case !target.usable(tried):
		case target.avoided():
			avoided = either(avoided, target)
		case p.settings.SlowStart > 0 && rand.Float64() >= p.share(target): //nolint:gosec // no secret depends on it
			passed = either(passed, target)
		default:
			return target
		}
	}
	return either(passed, avoided)
}

// turn is which of so many targets comes first this time.
func (p *Pool) turn(of int) int {
	return int((p.next.Add(1) - 1) % uint64(of)) // it is less than of
}

func wrapped(i, of int) int {
	if i >= of {
		return i - of
	}
	return i
}

func either(first, second *Target) *Target {
	if first != nil {
		return first
	}
	return second
}

// best is the target for which rank is least; of several, each in its turn.
func (p *Pool) best(targets, tried []*Target, rank func(*Target) float64) *Target {
	turn := p.turn(len(targets))
	var best *Target
	var least float64
	bestAvoided := true
	for i := range targets {
		target := targets[wrapped(turn+i, len(targets))]
		if !target.usable(tried) {
			continue
		}
		avoided, ranked := target.avoided(), rank(target)
		if best == nil || bestAvoided && !avoided || bestAvoided == avoided && ranked < least {
			best, bestAvoided, least = target, avoided, ranked
		}
	}
	return best
}

func (p *Pool) ofTwo(targets, tried []*Target) *Target {
	count := len(targets)
	if count < 2 {
		return p.inTurn(targets, tried)
	}
	first := rand.IntN(count)                            //nolint:gosec // no secret depends on it
	second := wrapped(first+1+rand.IntN(count-1), count) //nolint:gosec // as above
	one, other := targets[first], targets[second]
	oneGood, otherGood := one.usable(tried) && !one.avoided(), other.usable(tried) && !other.avoided()
	switch {
	case oneGood && otherGood && p.load(other) < p.load(one):
		return other
	case oneGood:
		return one
	case otherGood:
		return other
	default:
		return p.best(targets, tried, p.load)
	}
}

// load is how much a target has to do, for what it is to have.
func (p *Pool) load(target *Target) float64 {
	return float64(target.Active()+1) / p.share(target)
}

// leastShare is what a target gets that has just come in. With less, it would hardly warm up.
const leastShare = 0.1

// share is the part of a full share that a target is to have: it grows while the target starts.
func (p *Pool) share(target *Target) float64 {
	if p.settings.SlowStart == 0 {
		return 1
	}
	since := target.since.Load()
	if since == 0 {
		return 1
	}
	part := float64(time.Now().UnixNano()-since) / float64(p.settings.SlowStart)
	return min(max(part, leastShare), 1)
}

// distance is how far a target is from a key: each key has an order of all targets of its own, so that when one leaves, its
// keys spread over the others, and no other key moves (rendezvous hashing). Edges that know the same targets agree.
func (p *Pool) distance(key uint64, target *Target) float64 {
	drawn := float64(mix(key^target.id)>>11) / (1 << 53) // of [0, 1)
	return -math.Log(1-drawn) / p.share(target)
}

// hashOf is FNV-1a, which every edge computes alike.
func hashOf[T []byte | string](text T) uint64 {
	hash := uint64(0xcbf29ce484222325)
	for i := range len(text) {
		hash = (hash ^ uint64(text[i])) * 0x100000001b3
	}
	return mix(hash)
}

// mix makes every bit depend on every other (the end of SplitMix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// usable tells whether a request that went to these already may go to the target now.
func (t *Target) usable(tried []*Target) bool { return t.serves(tried) && !t.full() }

// serves is usable, were the target not full.
func (t *Target) serves(tried []*Target) bool {
	return t.Healthy() && !t.Ejected() && !slices.Contains(tried, t)
}

func (t *Target) full() bool { return t.most > 0 && t.active.Load() >= t.most }
