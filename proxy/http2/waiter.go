package http2

import (
	"sync"
	"time"
)

// waiter lets one goroutine wait under a connection's lock, for a bounded time. A wait costs no goroutine and, after the
// first one, no memory. It belongs to one connection for good, so that a timer which fires late does no harm.
type waiter struct {
	cond    sync.Cond
	timer   *time.Timer
	armed   time.Time // when the timer fires; zero when it does not
	until   time.Time // when the wait is over; zero without one
	expired bool
}

func (w *waiter) init(mu *sync.Mutex) { w.cond.L = mu }

// wake ends the wait.
func (w *waiter) wake() { w.cond.Signal() }

// wait waits until woken, or until a time, which is false. It may wake for nothing.
func (w *waiter) wait(until time.Time) bool {
	w.until, w.expired = until, false
	if w.armed.IsZero() || w.armed.After(until) {
		w.arm(time.Until(until))
	}
	w.cond.Wait()
	w.until = time.Time{}
	return !w.expired
}

func (w *waiter) arm(d time.Duration) {
	w.armed = time.Now().Add(d)
	if w.timer == nil {
		w.timer = time.AfterFunc(d, w.fire)
		return
	}
	w.timer.Reset(d)
}

func (w *waiter) fire() {
	w.cond.L.Lock()
	defer w.cond.L.Unlock()
	w.armed = time.Time{}
	if w.until.IsZero() {
		return
	}
	if left := time.Until(w.until); left > 0 {
		w.arm(left)
		return
	}
	w.expired = true
	w.cond.Signal()
}

// stop stops the timer.
func (w *waiter) stop() {
	if w.timer != nil {
		w.timer.Stop()
		w.armed = time.Time{}
	}
}
