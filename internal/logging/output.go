package logging

import (
	"io"
	"sync"
	"time"
)

const (
	// gathered is how many bytes of lines are written at the latest.
	gathered = 32 << 10
	// lateness is how long a gathered line waits at most.
	lateness = 500 * time.Millisecond
)

// output writes lines in the order in which they come: single ones at once, gathered ones together. It is safe for
// concurrent use.
type output struct {
	mu      sync.Mutex
	writer  io.Writer
	waiting []byte
	timer   *time.Timer // set while something waits
}

// Write writes one line, after those that wait.
func (o *output) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.send()
	return o.writer.Write(line)
}

// gather keeps a line until enough have come, or lateness has passed.
func (o *output) gather(line []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = append(o.waiting, line...)
	switch {
	case len(o.waiting) >= gathered:
		o.send()
	case o.timer == nil:
		o.timer = time.AfterFunc(lateness, o.flush)
	}
}

func (o *output) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.send()
}

func (o *output) send() {
	if o.timer != nil {
		o.timer.Stop()
		o.timer = nil
	}
	if len(o.waiting) > 0 {
		_, _ = o.writer.Write(o.waiting) // where would one tell?
		o.waiting = o.waiting[:0]
	}
}
