package logging

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// gathered is how many bytes of lines are written at the latest.
	gathered = 32 << 10
	// lateness is how long a gathered line waits at most.
	lateness = 500 * time.Millisecond
	// most is how many bytes may wait while the writer takes nothing; lines beyond it are dropped.
	most = 1 << 20
)

// output writes lines in the order in which they come: single ones at once, gathered ones together. Who gathers a line never
// waits for the writer. It is safe for concurrent use.
type output struct {
	writer  io.Writer
	dropped atomic.Int64 // gathered lines that were not written

	turn sync.Mutex // held by who writes; taken before mu

	mu      sync.Mutex
	waiting []byte
	spare   []byte      // the buffer of the lines written last
	timer   *time.Timer // runs while something waits
}

// Write writes one line, after those that wait.
func (o *output) Write(line []byte) (int, error) {
	o.turn.Lock()
	defer o.turn.Unlock()
	o.send()
	return o.writer.Write(line)
}

// gather keeps a line until enough have come, or lateness has passed.
func (o *output) gather(line []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	before := len(o.waiting)
	if before+len(line) > most {
		o.dropped.Add(1)
		return
	}
	o.waiting = append(o.waiting, line...)
	switch {
	case o.timer == nil:
		o.timer = time.AfterFunc(lateness, o.flush)
	case before == 0:
		o.timer.Reset(lateness)
	case before < gathered && len(o.waiting) >= gathered:
		o.timer.Reset(0)
	}
}

func (o *output) flush() {
	o.turn.Lock()
	defer o.turn.Unlock()
	o.send()
}

// send writes what waits. Whose turn it is calls it.
func (o *output) send() {
	o.mu.Lock()
	lines := o.waiting
	o.waiting, o.spare = o.spare, nil
	if o.timer != nil {
		o.timer.Stop()
	}
	o.mu.Unlock()
	if len(lines) > 0 {
		if n, err := o.writer.Write(lines); err != nil { // where would one tell?
			o.dropped.Add(int64(bytes.Count(lines[min(max(n, 0), len(lines)):], []byte("\n"))))
		}
	}
	if cap(lines) > 4*gathered { // the writer was slow once: that needs no room for ever
		lines = nil
	}
	o.mu.Lock()
	o.spare = lines[:0]
	o.mu.Unlock()
}
