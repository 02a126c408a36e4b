package proxy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/portico-web/portico/proxy/control"
	"github.com/portico-web/portico/proxy/handover"
)

// Started is a process that was started to take this one's place.
type Started struct {
	Exited <-chan error // gets one value when it has ended: why
	Kill   func()
}

// Upgrade starts the program anew and waits until the new process has taken this one's place, so that Run is about to
// return. When it does not, for whatever reason, this one serves on, and the reason comes back. When ctx ends, only the
// waiting does.
func (p *Proxy) Upgrade(ctx context.Context) (control.Upgraded, error) {
	to, err := p.upgrade(ctx)
	if err != nil {
		p.log.Error("the upgrade failed, this process serves on", "reason", err)
		return control.Upgraded{}, err
	}
	return control.Upgraded{PID: to.PID, Version: to.Version}, nil
}

func (p *Proxy) upgrade(ctx context.Context) (*handover.Process, error) {
	select {
	case <-p.ready:
	default:
		return nil, errors.New("the edge does not run yet")
	}
	if p.current.Load().config.Listen.Handover == "" {
		return nil, errors.New("listen.handover is not configured: add it (unix:/run/portico/handover.sock) and restart the edge this once")
	}
	if !p.upgrading.TryLock() {
		return nil, errors.New("an upgrade is under way already")
	}
	defer p.upgrading.Unlock()
	started, err := p.options.Start()
	if err != nil {
		return nil, err
	}
	select {
	case <-p.succeeded:
		return p.successor, nil
	case err = <-started.Exited:
	case <-time.After(handover.ReadyWithin):
		started.Kill()
		return nil, fmt.Errorf("the new process was not ready within %s", handover.ReadyWithin)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case <-p.succeeded: // by another process
		return p.successor, nil
	default:
		return nil, fmt.Errorf("the new process does not start: %w", err)
	}
}
