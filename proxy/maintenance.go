package proxy

import (
	"cmp"
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/portico-web/portico/proxy/control"
	"github.com/portico-web/portico/proxy/deploy"
	"github.com/portico-web/portico/proxy/guard"
)

// maintenance answers the requests of a service in its stead.
type maintenance struct {
	message string
	allowed []netip.Prefix // clients who are served all the same
}

const underMaintenance = "The service is under maintenance. Please try again later."

// newMaintenance makes the maintenance of a record; nil when there is none.
func newMaintenance(decided *deploy.Maintenance) *maintenance {
	if decided == nil {
		return nil
	}
	return &maintenance{message: cmp.Or(decided.Message, underMaintenance), allowed: decided.Allow}
}

// answer answers a request, unless its client is served all the same.
func (m *maintenance) answer(x *exchange) (answered bool) {
	if guard.Contains(m.allowed, x.client) {
		return false
	}
	x.failWith(retryAfter(time.Minute), http.StatusServiceUnavailable, m.message)
	return true
}

// Maintain implements control.Deploys.
func (p *Proxy) Maintain(_ context.Context, name, by string, wanted control.Maintenance, tell control.Tell) error {
	event := deploy.Event{Action: "maintenance off", By: by}
	var decided *deploy.Maintenance
	if wanted.On {
		event.Action = "maintenance on"
		decided = &deploy.Maintenance{Message: wanted.Message, Allow: wanted.Allow}
		if err := decided.Check(); err != nil {
			return err
		}
	}
	err := p.decide(name, event, func(r *deploy.Record) { r.Maintenance = decided }, func(s *service) error {
		s.change(func(next *serving) { next.maintenance = newMaintenance(decided) })
		return nil
	})
	if err == nil {
		tell(control.Progress{Step: control.StepSwitch, Text: event.Action + ": " + name})
	}
	return err
}
