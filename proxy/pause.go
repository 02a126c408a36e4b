package proxy

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/portico-web/portico/proxy/control"
	"github.com/portico-web/portico/proxy/deploy"
	"github.com/portico-web/portico/proxy/forward"
)

// pauseTick is how often a request that waits asks whether its client is still there.
const pauseTick = 500 * time.Millisecond

// pause keeps the requests of a service waiting, a bounded number for a bounded time.
type pause struct {
	patience time.Duration // of one request
	places   int64
	over     chan struct{}   // closed by resume
	stopping <-chan struct{} // closed when the edge is to stop
	waiting  atomic.Int64
}

// newPause makes the pause of a record; nil when there is none.
func (d *deploys) newPause(decided *deploy.Pause) *pause {
	if decided == nil {
		return nil
	}
	return &pause{
		patience: time.Duration(decided.For), places: int64(decided.Queue), over: make(chan struct{}), stopping: d.ctx.Done(),
	}
}

// wait waits until the pause is over. A request that does not go on then has been answered, or has nobody who waits for that.
func (p *pause) wait(x *exchange) (goesOn bool) {
	defer p.waiting.Add(-1)
	if p.waiting.Add(1) > p.places {
		x.failUnavailable(p.patience)
		return false
	}
	patience, ticker := time.NewTimer(p.patience), time.NewTicker(pauseTick)
	defer patience.Stop()
	defer ticker.Stop()
	for {
		select {
		case <-p.over:
			return true
		case <-p.stopping:
			x.failUnavailable(time.Second) // who comes again meets the next process
			return false
		case <-patience.C:
			x.failUnavailable(p.patience)
			return false
		case <-x.Context().Done():
		case <-ticker.C:
			if !x.Gone() {
				continue
			}
		}
		x.status = forward.StatusClientGone
		x.Abort()
		return false
	}
}

// Pause implements control.Deploys. Requests that are under way go on; the targets get a pool of their own for those to come,
// so that it is known when the last one has ended.
func (p *Proxy) Pause(ctx context.Context, name, by string, wanted control.Pause, tell control.Tell) error {
	decided := &deploy.Pause{For: time.Duration(wanted.For), Queue: wanted.Queue}
	if err := decided.Check(); err != nil {
		return err
	}
	var before []*forward.Forwarder
	err := p.decide(name, deploy.Event{Action: "pause", By: by}, func(r *deploy.Record) { r.Pause = decided }, func(s *service) error {
		var made forwarders
		now := s.now.Load()
		var err error
		if made.live, err = p.openForwarder(nil, now.forwarder.Pool().Settings()); err != nil {
			return err
		}
		if now.canary != nil {
			if made.canary, err = p.openForwarder(nil, now.canary.forwarder.Pool().Settings()); err != nil {
				made.close()
				return err
			}
		}
		s.change(func(next *serving) { next.pause = p.deploys.newPause(decided) })
		before = s.replace(made)
		s.linger(before...)
		return nil
	})
	if err != nil {
		return err
	}
	tell(control.Progress{Step: control.StepSwitch, Text: fmt.Sprintf("paused: %d requests wait up to %s each", decided.Queue, decided.For)})
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.deploys.ctx, cancel)()
	drained := deploy.Drain{Within: time.Duration(wanted.Drain), KeepStreams: true}.Wait(waiting, before)
	tell(control.Progress{Step: control.StepDrained, Text: drained.String()})
	return nil
}

// Resume implements control.Deploys.
func (p *Proxy) Resume(_ context.Context, name, by string, _ control.Resume, tell control.Tell) error {
	waited := int64(0)
	err := p.decide(name, deploy.Event{Action: "resume", By: by}, func(r *deploy.Record) { r.Pause = nil }, func(s *service) error {
		if pause := s.now.Load().pause; pause != nil {
			waited = pause.waiting.Load()
		}
		s.change(func(next *serving) { next.pause = nil })
		return nil
	})
	if err == nil {
		tell(control.Progress{Step: control.StepSwitch, Text: fmt.Sprintf("resumed, %d requests waited", waited)})
	}
	return err
}
