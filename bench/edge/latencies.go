package main

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// latencies gathers what requests of several goroutines took.
type latencies struct {
	mu   sync.Mutex
	took []time.Duration
	bad  int
	err  error // the first
}

// note takes one request down, which began then.
func (l *latencies) note(began time.Time, err error) {
	took := time.Since(began)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.bad++
		l.err = cmp.Or(l.err, err)
		return
	}
	l.took = append(l.took, took)
}

// part is the latency below which these hundredths of the good answers stayed. There has to be one.
func (l *latencies) part(hundredths int) time.Duration {
	slices.Sort(l.took)
	return l.took[min(len(l.took)*hundredths/100, len(l.took)-1)]
}
