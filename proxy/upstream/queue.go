package upstream

import (
	"container/list"
	"errors"
	"sync"
	"time"
)

// Queue holds requests that no target may take yet, in the order in which they came.
type Queue struct {
	Size    int           // how many may wait
	Timeout time.Duration // how long each may; whoever holds a Place keeps to it
}

var (
	// ErrBusy says that each target works on as many requests as it may: Pool.Queue is the way to wait.
	ErrBusy = errors.New("all targets work on as many requests as they may")
	// ErrQueueFull says that too many wait already.
	ErrQueueFull = errors.New("the queue is full")
)

// queue is a Queue at work: what wants a target of a pool whose targets are bounded goes through its lock.
type queue struct {
	mu      sync.Mutex
	waiting list.List // of *Place
}

// Place is a request's place in the queue. Its request and the list of targets must not change until Ready or Leave.
type Place struct {
	pool    *Pool
	request *Request
	tried   []*Target
	element *list.Element
	target  *Target // guarded by the queue's lock; nil while it waits
	ready   chan struct{}
}

// Queue lets a request wait that Pick had no target for. The error is ErrQueueFull.
func (p *Pool) Queue(request *Request, tried []*Target) (*Place, error) {
	place := &Place{pool: p, request: request, tried: tried, ready: make(chan struct{})}
	p.queue.mu.Lock()
	defer p.queue.mu.Unlock()
	if p.queue.waiting.Len() >= p.settings.Queue.Size {
		return nil, ErrQueueFull
	}
	place.element = p.queue.waiting.PushBack(place)
	p.serveQueue() // a target may have become free meanwhile
	return place, nil
}

// Waiting is how many requests wait for a target.
func (p *Pool) Waiting() int {
	p.queue.mu.Lock()
	defer p.queue.mu.Unlock()
	return p.queue.waiting.Len()
}

// Ready is closed when Target has a target for the request.
func (l *Place) Ready() <-chan struct{} { return l.ready }

// Target is the one that Pick would have returned. It may be asked for once Ready is closed.
func (l *Place) Target() *Target {
	l.pool.queue.mu.Lock()
	defer l.pool.queue.mu.Unlock()
	return l.target
}

// Leave gives the place up, unless the request has a target by now, which comes back.
func (l *Place) Leave() *Target {
	l.pool.queue.mu.Lock()
	defer l.pool.queue.mu.Unlock()
	if l.target == nil {
		l.pool.queue.waiting.Remove(l.element)
	}
	return l.target
}

// Look has the queue see whether time has made a target free that nobody released: one that is back in.
func (l *Place) Look() { l.pool.look() }

func (p *Pool) look() {
	if p.settings.MaxRequests == 0 {
		return
	}
	p.queue.mu.Lock()
	defer p.queue.mu.Unlock()
	p.serveQueue()
}

// serveQueue gives those who wait the targets that are free. The lock is held.
func (p *Pool) serveQueue() {
	var next *list.Element
	for element := p.queue.waiting.Front(); element != nil; element = next {
		next = element.Next()
		place, _ := element.Value.(*Place)
		target := p.pick(place.request, place.tried)
		if target == nil && len(place.tried) == 0 {
			return // nor is there one for anybody else
		}
		if target == nil {
			continue
		}
		target.active.Add(1)
		place.target = target
		p.queue.waiting.Remove(element)
		close(place.ready)
	}
}

// pickBounded is Pick in a pool whose targets are bounded. Nobody passes those who wait.
func (p *Pool) pickBounded(request *Request, tried []*Target) (*Target, error) {
	p.queue.mu.Lock()
	defer p.queue.mu.Unlock()
	if p.queue.waiting.Len() == 0 {
		if target := p.pick(request, tried); target != nil {
			target.active.Add(1)
			return target, nil
		}
	}
	for _, target := range p.Targets() {
		if target.serves(tried) {
			return nil, ErrBusy
		}
	}
	return nil, ErrNoTarget
}

// releaseBounded takes a request off a target, for the first who waits.
func (p *Pool) releaseBounded(target *Target) {
	p.queue.mu.Lock()
	defer p.queue.mu.Unlock()
	target.active.Add(-1)
	p.serveQueue()
}
