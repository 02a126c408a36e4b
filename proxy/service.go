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
		now := s.now.Load()
		if now.maintenance != nil && now.maintenance.answer(x) {
			return
		}
		if now.pause != nil {
			if !now.pause.wait(x) {
				return
			}
			continue // much may have changed meanwhile
		}
		forwarder := now.forwarder
		err := forwarder.Forward(x, x.Body(), x.out, &x.sent)
		switch {
		case err == nil:
		case errors.Is(err, forward.ErrRetired): // it was replaced just now
			continue
		default:
			x.forwardFailed(forwarder, err)
		}
		return
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

// replace lets another forwarder take the requests from now on, and returns the one before: it takes no more.
func (s *service) replace(forwarder *forward.Forwarder) (before *forward.Forwarder) {
	before = s.now.Load().forwarder
	s.change(func(next *serving) { next.forwarder = forwarder })
	before.Retire()
	return before
}

// linger keeps in mind a forwarder that a reload replaced: its requests may be with targets that are deployed away later.
func (s *service) linger(replaced *forward.Forwarder) {
	s.lingering = slices.DeleteFunc(append(s.lingering, replaced), func(f *forward.Forwarder) bool {
		exchanges, _ := f.Active()
		return exchanges == 0
	})
	replaced.Close()
}

// targets are those that serve.
func (s *service) targets() []string { return s.now.Load().forwarder.Pool().Settings().Targets }

// close closes what the service forwards to. Requests that are still about to begin are served.
func (s *service) close() { s.now.Load().forwarder.Close() }
