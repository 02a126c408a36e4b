package http2_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/portico-web/portico/proxy/message"
)

// One stream that stays open, as those of events and WebSockets do, keeps nothing of what a burst of others needed. It counts
// goroutines, and so runs beside no other test.
func TestAStreamThatStaysOpenKeepsNoGoroutinesOfOthers(t *testing.T) { //nolint:paralleltest // as it says
	const burst = 50
	hold, all, release := make(chan struct{}), make(chan struct{}, burst), make(chan struct{})
	p := service{handler: func(stream message.Stream) {
		switch stream.Head().Path {
		case "/stays":
			<-hold
		case "/burst":
			all <- struct{}{}
			<-release
		}
		answer(stream, 200, "")
	}}.dial(t)
	stays := p.get("/stays")
	p.settle()
	before := runtime.NumGoroutine()
	for round := range 2 { // what rested works again
		last := uint32(0)
		for range burst {
			last = p.get("/burst")
		}
		for range burst {
			<-all
		}
		for range burst {
			release <- struct{}{}
		}
		for id := last - 2*(burst-1); id <= last; id += 2 {
			if r := p.answer(id); r.status != 200 {
				t.Fatalf("round %d: %v", round, r.frames)
			}
		}
		for end := time.Now().Add(patience); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("round %d: %d goroutines more are left", round, runtime.NumGoroutine()-before)
			}
		}
	}
	close(hold)
	if r := p.answer(stays); r.status != 200 {
		t.Errorf("%v", r.frames)
	}
}
