package upstream

import (
	"fmt"
	"sync"
	"time"
)

// Breaker spares an upstream that fails as a whole: its clients are told so at once, instead of each waiting for it. The zero
// value never does.
type Breaker struct {
	Percent  int           // of the requests within Window that failed; from then on the breaker is open
	Requests int           // the least of them that tell something
	Window   time.Duration // in which they are counted
	Open     time.Duration // until a single request tries whether the upstream answers again
}

// BreakerState is what a breaker does with requests.
type BreakerState uint8

const (
	// Closed lets all pass.
	Closed BreakerState = iota
	// HalfOpen lets one pass on trial, and refuses the others.
	HalfOpen
	// Open refuses all.
	Open
)

// OpenError says that the breaker is open, and until when.
type OpenError struct{ For time.Duration }

func (e *OpenError) Error() string {
	return fmt.Sprintf("the circuit breaker is open for another %s", e.For.Round(time.Millisecond))
}

// breaker is a Breaker at work. It is safe for concurrent use.
type breaker struct {
	settings Breaker

	mu        sync.Mutex
	openUntil time.Time // zero while closed
	trial     bool      // a request is on trial
	since     time.Time // when counting began
	requests  int
	failures  int
}

// admit decides over a request: it may pass, on trial or not, or there is an error.
func (b *breaker) admit(now time.Time) (trial bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.openUntil.IsZero():
		return false, nil
	case now.Before(b.openUntil):
		return false, &OpenError{b.openUntil.Sub(now)}
	case b.trial:
		return false, &OpenError{b.settings.Open}
	}
	b.trial = true
	return true, nil
}

// note counts how a request ended, and tells whether the breaker changed by it. Of an upstream that failed as a whole only
// the trial tells something new.
func (b *breaker) note(now time.Time, trial, failed bool) (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if trial {
		b.trial = false
	}
	switch {
	case trial && failed:
		b.openUntil = now.Add(b.settings.Open)
		return false
	case trial:
		b.openUntil, b.since, b.requests, b.failures = time.Time{}, now, 0, 0
		return true
	case !b.openUntil.IsZero():
		return false
	}
	if now.Sub(b.since) >= b.settings.Window {
		b.since, b.requests, b.failures = now, 0, 0
	}
	b.requests++
	if failed {
		b.failures++
	}
	if b.requests < b.settings.Requests || b.failures*100 < b.settings.Percent*b.requests {
		return false
	}
	b.openUntil = now.Add(b.settings.Open)
	return true
}

// forgo ends a trial that came to no end, so that another may begin.
func (b *breaker) forgo() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trial = false
}

func (b *breaker) state(now time.Time) BreakerState {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.openUntil.IsZero():
		return Closed
	case now.Before(b.openUntil):
		return Open
	default:
		return HalfOpen
	}
}
