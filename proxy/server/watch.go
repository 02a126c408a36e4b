package server

import (
	"sync"
	"time"
)

// watch ends waits in a codec that take too long, or that somebody interrupts. A wait costs no goroutine and, after the
// first one, no memory.
type watch struct {
	mu      sync.Mutex
	end     func() // ends the wait, and later ones; nil while there is nothing to end
	until   time.Time
	expired bool
	timer   *time.Timer
}

// open begins a time in which there may be waits, which end ends.
func (w *watch) open(end func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end, w.until, w.expired = end, time.Time{}, false
}

// close ends that time: end will not be called any more, nor is it being called.
func (w *watch) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end, w.until = nil, time.Time{}
}

// start says that a wait begins, which may take until then.
func (w *watch) start(now time.Time, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.until = now.Add(d)
	if w.timer == nil {
		w.timer = time.AfterFunc(d, w.expire)
		return
	}
	w.timer.Reset(d)
}

// stop says that the wait is over, and tells whether it, or one before, took too long.
func (w *watch) stop() (expired bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.until = time.Time{}
	w.timer.Stop()
	return w.expired
}

// expire may come late, when another wait is on already.
func (w *watch) expire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.until.IsZero() || w.end == nil {
		return
	}
	if left := time.Until(w.until); left > 0 {
		w.timer.Reset(left)
		return
	}
	w.expired = true
	w.end()
}

// interrupt ends the wait, if there is one, and later ones.
func (w *watch) interrupt() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.end != nil {
		w.end()
	}
}
