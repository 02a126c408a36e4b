package upstream

import (
	"sync"
	"time"
)

// Passive takes out a target that fails requests, without asking it: Failures in a row within Window take it out for Eject.
// The zero value never does.
type Passive struct {
	Failures int
	Window   time.Duration
	Eject    time.Duration
	Percent  int // of the targets that may be out at once; one always stays
}

// failing counts what a target fails in a row. It is safe for concurrent use.
type failing struct {
	mu    sync.Mutex
	count int
	since time.Time
}

// reached counts a failure, and tells whether it is one too many.
func (f *failing) reached(limits *Passive, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count == 0 || now.Sub(f.since) > limits.Window {
		f.count, f.since = 0, now
	}
	f.count++
	if f.count < limits.Failures {
		return false
	}
	f.count = 0
	return true
}

func (f *failing) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count = 0
}

// Ejected tells whether the target is taken out because it failed requests.
func (t *Target) Ejected() bool {
	until := t.ejectedUntil.Load()
	if until == 0 {
		return false
	}
	if until > time.Now().UnixNano() {
		return true
	}
	t.ejectedUntil.CompareAndSwap(until, 0) // so that the clock is asked no more
	return false
}

// judge takes a target out, if its failures are too many and enough others are left.
func (p *Pool) judge(target *Target, now time.Time) {
	limits := &p.settings.Passive
	if !target.failing.reached(limits, now) {
		return
	}
	p.changing.Lock()
	defer p.changing.Unlock()
	targets := p.Targets()
	out, left := 1, 0
	for _, other := range targets {
		switch {
		case other == target:
		case other.Ejected():
			out++
		case other.Healthy():
			left++
		}
	}
	if left == 0 || out*100 > limits.Percent*len(targets) {
		return
	}
	until := now.Add(limits.Eject)
	target.since.Store(until.UnixNano())
	if target.ejectedUntil.Swap(until.UnixNano()) == 0 {
		p.log.Warn("upstream target fails requests and is taken out", "upstream", p.settings.Name, "target", target.String(),
			"endpoint", target.Endpoint(), "for", limits.Eject)
	}
}
