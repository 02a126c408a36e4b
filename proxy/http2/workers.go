package http2

import (
	"sync"
	"time"
)

// dispatch has the stream served.
func (c *ServerConn) dispatch(st *ServerStream) error {
	if c.working == 0 && !c.Busy() {
		c.spare = append(c.spare, st)
		return errClosed
	}
	c.working++
	if c.workers.idle > 0 || c.workers.running >= c.bounds.Streams {
		c.ready = append(c.ready, st)
		c.workers.wake()
		return nil
	}
	c.workers.running++
	c.goroutines.Go(func() { c.serveStreams(st) })
	return nil
}

// workers are the goroutines that serve streams. Of those that wait for one, some may have been told already how it goes on,
// and only not have woken since.
type workers struct {
	running   int // in all
	idle      int // that wait, and were told nothing yet
	called    int // that are to serve what is ready
	dismissed int // that are to end
	more      sync.Cond
}

// wake calls one that is idle, if any is.
func (w *workers) wake() {
	if w.idle > 0 {
		w.idle--
		w.called++
		w.more.Signal()
	}
}

// dismiss ends those that are idle.
func (w *workers) dismiss() {
	w.dismissed += w.idle
	w.idle = 0
	w.more.Broadcast()
}

// await waits until called; false when the goroutine is to end.
func (w *workers) await() bool {
	w.idle++
	for w.called == 0 && w.dismissed == 0 {
		w.more.Wait()
	}
	if w.called > 0 {
		w.called--
		return true
	}
	w.dismissed--
	return false
}

// serveStreams serves one stream after the other.
func (c *ServerConn) serveStreams(st *ServerStream) {
	for st != nil {
		st.serve()
		st = c.nextStream(st)
	}
}

// nextStream puts a stream aside that was served, and waits for another; nil when the goroutine is to end.
func (c *ServerConn) nextStream(done *ServerStream) *ServerStream {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.putAside(done)
	for len(c.ready) == 0 {
		if c.err != nil || !c.workers.await() {
			c.workers.running--
			return nil
		}
	}
	st := c.ready[0]
	c.ready = append(c.ready[:0], c.ready[1:]...)
	return st
}

func (c *ServerConn) putAside(st *ServerStream) {
	c.spare = append(c.spare, st)
	if c.working--; c.working > 0 {
		return
	}
	c.since = time.Now()
	c.Idle()
	if c.leaving == departing {
		c.Socket.Interrupt()
	}
}

func (c *ServerConn) takeStream() *ServerStream {
	if n := len(c.spare); n > 0 {
		st := c.spare[n-1]
		c.spare = c.spare[:n-1]
		return st
	}
	st := &ServerStream{server: c}
	st.stream.init(&c.conn)
	return st
}
