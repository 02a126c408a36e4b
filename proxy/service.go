package proxy

import (
	"errors"
	"slices"
	"sync/atomic"

	"github.com/portico-web/portico/proxy/forward"
)

// service is an upstream as the routes see it: who takes its requests at the moment. It stays the same as long as the
// configuration names the upstream, whatever becomes of its targets.
type service struct {
	name string
	now  atomic.Pointer[serving] // changed with Proxy.reloading held

	// lingering are forwarders that reloads replaced, with requests still under way. It is guarded by Proxy.reloading.
	lingering []*forward.Forwarder
}

// serving is what a service does with requests. It is not changed but replaced.
type serving struct {
	forwarder   *forward.Forwarder
	canary      *canary      // nil: all clients are served alike
	pause       *pause       // nil: requests need not wait
	maintenance *maintenance // nil: they are served
}

func newService(name string, now serving) *service {
	s := &service{name: name}
	s.now.Store(&now)
	return s
}

// serve answers a request by forwarding it.
func (s *service) serve(x *exchange) {
	for {
		now := s.admit(x)
		if now == nil {
			return
		}
		if now.canary != nil && now.canary.takes(x) && now.canary.serve(x) {
			return
		}
		err := x.ask(now.forwarder)
		switch {
		case err == nil:
		case errors.Is(err, forward.ErrRetired): // it was replaced just now
			continue
		default:
			x.forwardFailed(now.forwarder, err)
		}
		return
	}
}

// forwarders are all that the service forwards to.
func (s *serving) forwarders() []*forward.Forwarder {
	if s.canary == nil {
		return []*forward.Forwarder{s.forwarder}
	}
	return []*forward.Forwarder{s.forwarder, s.canary.forwarder}
}

// admit waits until the service takes requests. It is nil when this one has been answered instead.
func (s *service) admit(x *exchange) *serving {
	for {
		now := s.now.Load()
		switch {
		case now.maintenance != nil && now.maintenance.answer(x):
			return nil
		case now.pause == nil:
			return now
		case !now.pause.wait(x):
			return nil
		}
		// Much may have changed meanwhile.
	}
}

// change changes what the service does from now on. Requests that wait look again.
func (s *service) change(change func(next *serving)) {
	before := s.now.Load()
	next := *before
	change(&next)
	s.now.Store(&next)
	if before.pause != nil && next.pause != before.pause {
		close(before.pause.over)
	}
}

// replace lets other forwarders take the requests from now on, and returns the ones before: they take no more.
func (s *service) replace(made forwarders) (before []*forward.Forwarder) {
	s.change(func(next *serving) {
		if made.live != nil {
			before = append(before, next.forwarder)
			next.forwarder = made.live
		}
		if made.canary != nil && next.canary != nil {
			before = append(before, next.canary.forwarder)
			next.canary = &canary{made.canary, next.canary.share}
		}
	})
	for _, forwarder := range before {
		forwarder.Retire()
	}
	return before
}

// linger keeps in mind forwarders that were replaced though nothing was deployed: their requests may be with targets that are
// deployed away later.
func (s *service) linger(replaced ...*forward.Forwarder) {
	s.lingering = slices.DeleteFunc(append(s.lingering, replaced...), func(f *forward.Forwarder) bool {
		exchanges, _ := f.Active()
		return exchanges == 0
	})
	for _, forwarder := range replaced {
		forwarder.Close()
	}
}

// drainable closes forwarders that were replaced, and returns them with those that linger at targets which serve no more: what
// is to be waited for.
func (s *service) drainable(replaced ...*forward.Forwarder) (draining []*forward.Forwarder) {
	var serving []string
	for _, forwarder := range s.now.Load().forwarders() {
		serving = append(serving, forwarder.Pool().Settings().Targets...)
	}
	gone := func(target string) bool { return !slices.Contains(serving, target) }
	s.lingering = slices.DeleteFunc(s.lingering, func(f *forward.Forwarder) bool {
		drains := slices.ContainsFunc(f.Pool().Settings().Targets, gone)
		if drains {
			draining = append(draining, f)
		}
		return drains
	})
	for _, forwarder := range replaced {
		forwarder.Close()
	}
	return append(draining, replaced...)
}

// targets are those that serve.
func (s *service) targets() []string { return s.now.Load().forwarder.Pool().Settings().Targets }

// close closes what the service forwards to. Requests that are still about to begin are served, and so are those that wait in
// a pause: nothing could end it any more.
func (s *service) close() {
	s.change(func(next *serving) { next.pause = nil })
	for _, forwarder := range s.now.Load().forwarders() {
		forwarder.Close()
	}
}
