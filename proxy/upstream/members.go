package upstream

import (
	"context"
	"slices"
	"sync/atomic"
	"time"
)

// member is a target as the settings name it. A name stands for as many targets as it has addresses.
type member struct {
	Address
	targets  []*Target     // guarded by Pool.changing
	retried  atomic.Int64  // requests that went to others instead
	resolved chan struct{} // closed once its name was asked for, or need not be
}

// start makes the targets that the settings name. That of a name goes where the name leads when it is dialled, until the
// name's addresses are known.
func (p *Pool) start(ctx context.Context) error {
	for _, text := range p.settings.Targets {
		address, err := ParseTarget(text)
		if err != nil {
			return err
		}
		m := &member{Address: address, resolved: make(chan struct{})}
		m.targets = []*Target{p.newTarget(m, m.endpoint())}
		p.members = append(p.members, m)
	}
	all := p.known()
	p.targets.Store(&all)
	for _, target := range all {
		p.attend(ctx, target)
	}
	for _, m := range p.members {
		if p.settings.Resolve > 0 && m.named() {
			p.tasks.Go(func() { p.follow(ctx, m) })
		} else {
			close(m.resolved)
		}
	}
	return nil
}

// change gives a member the targets at these endpoints, of which there is at least one. Those that it has stay; what others
// have under way goes on, and their idle connections are closed.
func (p *Pool) change(ctx context.Context, m *member, at []endpoint) (changed bool) {
	p.changing.Lock()
	defer p.changing.Unlock()
	previous := m.targets
	m.targets = nil
	var added []*Target
	for _, at := range at {
		same := slices.IndexFunc(previous, func(t *Target) bool { return t.at == at })
		if same >= 0 {
			m.targets = append(m.targets, previous[same])
			continue
		}
		made := p.newTarget(m, at)
		added = append(added, made)
		m.targets = append(m.targets, made)
	}
	unknown := previous[0].at == m.endpoint() // until now, the name itself
	others := slices.ContainsFunc(p.known(), func(t *Target) bool { return !slices.Contains(added, t) && t.Healthy() })
	for _, made := range added {
		switch {
		case unknown:
			made.down.Store(!previous[0].Healthy())
		case others: // a server that comes up must first prove itself
			made.down.Store(p.settings.Health != nil)
			made.since.Store(time.Now().UnixNano())
		}
		p.attend(ctx, made)
	}
	all := p.known()
	p.targets.Store(&all)
	// Who chose one just before it left has begun by the next change.
	p.departed = slices.DeleteFunc(p.departed, func(t *Target) bool { return t.Active() == 0 })
	for _, target := range previous {
		if !slices.Contains(m.targets, target) {
			target.retire()
			p.departed = append(p.departed, target)
			changed = true
		}
	}
	p.look()
	return changed || len(added) > 0
}

// known lists the targets of all members. The lock is held.
func (p *Pool) known() (targets []*Target) {
	for _, m := range p.members {
		targets = append(targets, m.targets...)
	}
	return targets
}

// attend begins to probe a target, when the settings say so.
func (p *Pool) attend(ctx context.Context, target *Target) {
	ctx, target.forget = context.WithCancel(ctx)
	if p.settings.Health == nil {
		close(target.probed)
		return
	}
	p.tasks.Go(func() { p.probe(ctx, target) })
}
