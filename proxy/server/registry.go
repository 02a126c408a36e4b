package server

import (
	"context"
	"sync"
	"time"
)

// member is a connection in the registry. Its methods may be called by any goroutine.
type member interface {
	// name is the listener's.
	name() string
	// idleSince is the time since when nothing is in flight; false while something is.
	idleSince() (time.Time, bool)
	// evict closes the connection if nothing is in flight.
	evict() bool
	// drain ends the connection as soon as nothing is in flight any more.
	drain()
	// cut closes the connection at once, and tells whether a request was in flight.
	cut() bool
}

// registry knows the connections that are open, and bounds how many there are.
type registry struct {
	most int
	room chan struct{} // a member left

	mu      sync.Mutex
	members map[member]struct{}
	counts  *counts
}

func (r *registry) init(most int, counts *counts) {
	r.most, r.room, r.members, r.counts = most, make(chan struct{}, 1), map[member]struct{}{}, counts
}

// retry is how often a connection that found no room looks for one that has become idle.
const retry = 100 * time.Millisecond

// enter takes in a connection. At the bound an idle one makes room for it; when none is idle it waits for one, or until ctx
// ends, which is false.
func (r *registry) enter(ctx context.Context, m member) bool {
	for !r.tryEnter(m) {
		select {
		case <-r.room:
		case <-time.After(retry):
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// tryEnter is enter without waiting.
func (r *registry) tryEnter(m member) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.members) >= r.most && !r.evictOne() {
		return false
	}
	r.members[m] = struct{}{}
	r.counts.entered(m.name())
	return true
}

func (r *registry) leave(m member) {
	r.mu.Lock()
	r.remove(m)
	r.mu.Unlock()
	select {
	case r.room <- struct{}{}:
	default:
	}
}

func (r *registry) remove(m member) {
	if _, entered := r.members[m]; entered {
		delete(r.members, m)
		r.counts.left(m.name())
	}
}

// evict closes an idle connection, if there is any.
func (r *registry) evict() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.evictOne()
}

// sample is among how many idle connections the one to close is chosen.
const sample = 16

// evictOne closes the connection that has been idle longest among some chosen by chance, which is how maps are walked.
func (r *registry) evictOne() bool {
	for range 3 { // the chosen one may just have become busy
		var chosen member
		var since time.Time
		seen := 0
		for m := range r.members {
			at, idle := m.idleSince()
			if !idle {
				continue
			}
			if chosen == nil || at.Before(since) {
				chosen, since = m, at
			}
			if seen++; seen == sample {
				break
			}
		}
		if chosen == nil {
			return false
		}
		if chosen.evict() {
			r.remove(chosen)
			r.counts.evicted.Add(1)
			return true
		}
	}
	return false
}

func (r *registry) all() []member {
	r.mu.Lock()
	defer r.mu.Unlock()
	members := make([]member, 0, len(r.members))
	for m := range r.members {
		members = append(members, m)
	}
	return members
}
