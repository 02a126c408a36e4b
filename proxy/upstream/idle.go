package upstream

import (
	"slices"
	"sync"
	"time"
)

const (
	// idleTimeout is below what most applications keep idle connections for, so that they are not closed under a request.
	idleTimeout = 30 * time.Second
	// sweepEvery is how often connections that were idle for too long are looked for.
	sweepEvery = 5 * time.Second
	// maxIdle bounds the idle connections to one target.
	maxIdle = 256
)

// idle is the idle connections to one target, of which the one last used is used first: so the rest grows old and goes.
type idle struct {
	mu     sync.Mutex
	stack  []*Conn
	closed bool
}

func (i *idle) put(c *Conn) bool {
	c.since = time.Now()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed || len(i.stack) == maxIdle {
		return false
	}
	i.stack = append(i.stack, c)
	return true
}

func (i *idle) pop() *Conn {
	i.mu.Lock()
	defer i.mu.Unlock()
	last := len(i.stack) - 1
	if last < 0 {
		return nil
	}
	c := i.stack[last]
	i.stack[last] = nil
	i.stack = i.stack[:last]
	return c
}

// Idle takes out an idle connection that stands, on which nothing came since its last exchange; nil when there is none.
func (t *Target) Idle() *Conn {
	for {
		c := t.idle.pop()
		if c == nil {
			return nil
		}
		if c.quiet() {
			c.reused = true
			return c
		}
		c.end()
	}
}

// Ask writes a request, all of it, on an idle connection of that kind, and waits for an answer to begin, for so long at most.
// It returns how much the connection took, and why not all.
func (t *Target) Ask(request []byte, now time.Time, patience time.Duration) (c *Conn, written int, err error) {
	for {
		c := t.idle.pop()
		if c == nil {
			return nil, 0, nil
		}
		c.ReadWithin(now, patience)
		written, quiet, err := c.ask(request)
		if quiet {
			c.reused = true
			return c, written, err
		}
		c.end()
	}
}

// makeRoom closes the oldest, so that no more than most are left.
func (i *idle) makeRoom(most int64) {
	i.mu.Lock()
	excess := max(int64(len(i.stack))-max(most, 0), 0)
	oldest := slices.Clone(i.stack[:excess])
	i.stack = slices.Delete(i.stack, 0, int(excess))
	i.mu.Unlock()
	for _, c := range oldest {
		c.end()
	}
}

// sweep closes what was idle for too long, or broke meanwhile.
func (i *idle) sweep(now time.Time) {
	i.remove(func(c *Conn) bool { return now.Sub(c.since) >= idleTimeout || !c.quiet() })
}

// close closes all, and what is put in later is not kept.
func (i *idle) close() {
	i.mu.Lock()
	i.closed = true
	i.mu.Unlock()
	i.remove(func(*Conn) bool { return true })
}

func (i *idle) remove(old func(*Conn) bool) {
	var removed []*Conn
	i.mu.Lock()
	i.stack = slices.DeleteFunc(i.stack, func(c *Conn) bool {
		if old(c) {
			removed = append(removed, c)
			return true
		}
		return false
	})
	i.mu.Unlock()
	for _, c := range removed {
		c.end()
	}
}
