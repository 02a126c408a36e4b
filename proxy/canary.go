package proxy

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/portico-web/portico/proxy/control"
	"github.com/portico-web/portico/proxy/deploy"
	"github.com/portico-web/portico/proxy/forward"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/upstream"
)

const (
	// canaryCookie keeps a client on its side. It holds a number that chance gave: whoever is below the share is served by the
	// canary, so that a share that grows takes nobody back.
	canaryCookie = "portico_canary"
	// canarySuffix makes the name of an upstream that of its canary, in metrics and status.
	canarySuffix = "/canary"
	// canaryNumbers is how many there are.
	canaryNumbers = 10_000
	// canaryAge is how long a client keeps its number, in seconds.
	canaryAge = 30 * 24 * 60 * 60
)

// canary is targets that serve a share of a service's clients.
type canary struct {
	forwarder *forward.Forwarder
	share     int // of canaryNumbers
}

// newCanary makes the canary of a record; nil when there is none.
func newCanary(decided *deploy.Canary, forwarder *forward.Forwarder) *canary {
	if decided == nil {
		return nil
	}
	return &canary{forwarder, int(math.Round(decided.Percent * canaryNumbers / 100))}
}

// takes tells whether the client of a request is the canary's. One without a number gets one with the answer.
func (c *canary) takes(x *exchange) bool {
	if x.canaryNumber == 0 {
		number, known := canaryNumber(x.Head())
		if !known {
			number = rand.IntN(canaryNumbers) //nolint:gosec // nothing hangs on it but a fair share
			x.assignCanary(number)
		}
		x.canaryNumber = number + 1
	}
	return x.canaryNumber-1 < c.share
}

// canaryNumber is what the request's cookie says.
func canaryNumber(head *message.Head) (number int, known bool) {
	number, err := strconv.Atoi(string(head.Cookie(canaryCookie)))
	return number, err == nil && number >= 0 && number < canaryNumbers
}

// assignCanary lets the answer tell the client its number.
func (x *exchange) assignCanary(number int) {
	x.canaryAssigned = fmt.Sprintf("%s=%d; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax", canaryCookie, number, canaryAge)
	if x.proto == "https" {
		x.canaryAssigned += "; Secure"
	}
}

// serve answers a request by forwarding it to the canary. One that certainly did not reach a target is left to the others.
func (c *canary) serve(x *exchange) (served bool) {
	bare := x.Head().Length == 0 && x.Head().Protocol == ""
	err := x.ask(c.forwarder)
	switch {
	case err == nil:
		return true
	case errors.Is(err, forward.ErrRetired), unreached(err, bare):
		return false
	}
	x.forwardFailed(c.forwarder, err)
	return true
}

// unreached tells whether a request that failed can be sent elsewhere as it was: no target took it, and nothing of its content
// was read on the way to that.
func unreached(err error, bare bool) bool {
	failure, ok := errors.AsType[*forward.Failure](err)
	if !ok {
		return false
	}
	_, refused := errors.AsType[*upstream.DialError](failure.Err)
	return failure.Kind == forward.NoTarget || failure.Kind == forward.Unreachable && refused && bare
}

// checkApart tells whether targets of a canary serve all clients already.
func (p *Proxy) checkApart(name string, targets []string) error {
	service, err := p.service(name)
	if err != nil {
		return err
	}
	for _, target := range targets {
		if slices.Contains(service.targets(), target) {
			return fmt.Errorf("%s serves all clients already", target)
		}
	}
	return nil
}

// Canary implements control.Deploys.
func (p *Proxy) Canary(ctx context.Context, name, by string, wanted control.Canary, tell control.Tell) error {
	if err := deploy.CheckTargets(wanted.Targets); err != nil {
		return err
	}
	if err := checkSmoke(wanted.Smoke); err != nil {
		return err
	}
	c := &change{
		proxy: p, name: name, event: deploy.Event{Action: "canary", By: by, Targets: wanted.Targets},
		prove: true, smoke: wanted.Smoke, timeout: time.Duration(wanted.Timeout), drain: drainOf(wanted.Drain), tell: tell,
	}
	if wanted.Promote {
		if len(wanted.Targets) > 0 || wanted.Percent != 0 {
			return errors.New("a canary is promoted as it is: name neither targets nor a percentage")
		}
		c.event.Action = "promote"
		c.promote = true
		return c.carryOut(ctx)
	}
	return c.carryOutCanary(ctx, wanted.Percent)
}

// carryOutCanary begins a canary, changes its share, or ends it.
func (c *change) carryOutCanary(ctx context.Context, percent float64) error {
	p := c.proxy
	claimed, release, err := c.claim(ctx)
	if err != nil {
		return err
	}
	defer release()
	current := p.deploys.file.Record(c.name).Canary
	if len(c.event.Targets) == 0 && current != nil {
		c.event.Targets = current.Targets
	}
	decided := &deploy.Canary{Targets: c.event.Targets, Percent: percent}
	begins := percent > 0 && (current == nil || !slices.Equal(current.Targets, decided.Targets))
	switch {
	case percent == 0 && current == nil:
		return fmt.Errorf("%s has no canary", c.name)
	case percent == 0:
		decided = nil
	default:
		if err := decided.Check(); err != nil {
			return err
		}
		if err := p.checkApart(c.name, decided.Targets); err != nil {
			return err
		}
	}
	if begins {
		if err := c.proveTargets(claimed); err != nil {
			return c.gaveUp(err)
		}
	}
	if claimed.Err() != nil {
		return c.gaveUp(claimed.Err())
	}
	c.event.Action = fmt.Sprintf("canary %g%%", percent)
	var before []*forward.Forwarder
	err = p.decide(c.name, c.event, func(r *deploy.Record) { r.Canary = decided }, func(s *service) error {
		now := s.now.Load()
		var forwarder *forward.Forwarder
		if now.canary != nil {
			forwarder = now.canary.forwarder
		}
		if decided == nil || begins {
			if forwarder != nil {
				before = append(before, forwarder)
			}
			forwarder = nil
		}
		if begins {
			if forwarder, err = p.openForwarder(nil, p.current.Load().upstreamSettings(p, c.name, decided.Targets)); err != nil {
				return err
			}
		}
		s.change(func(next *serving) { next.canary = newCanary(decided, forwarder) })
		for _, replaced := range before {
			replaced.Retire()
		}
		before = s.drainable(before...)
		return nil
	})
	if err != nil {
		return err
	}
	text := "the canary has ended"
	if decided != nil {
		text = fmt.Sprintf("%g%% of the clients are served by %s", percent, deploy.Names(decided.Targets))
	}
	c.tell(control.Progress{Step: control.StepSwitch, Text: text})
	if len(before) > 0 {
		c.tell(control.Progress{Step: control.StepDrained, Text: c.drain.Wait(p.deploys.ctx, before).String()})
	}
	return nil
}
