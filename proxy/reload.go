package proxy

import (
	"context"
	"errors"
	"time"

	"github.com/portico-web/portico/proxy/config"
)

// Reload reads the configuration file again and takes it over as a whole, without dropping a request or a connection. A file
// that is refused, for its content or because it wants what only a restart can change, changes nothing; the reason comes
// back, is logged, and shows in /readyz until a reload succeeds. Reloads run one after the other.
func (p *Proxy) Reload(ctx context.Context) error {
	p.reloading.Lock()
	defer p.reloading.Unlock()
	select {
	case <-p.ready:
	default:
		return errors.New("the edge does not run yet")
	}
	if p.ended {
		return errors.New("the edge has stopped")
	}
	if p.options.ConfigPath == "" {
		return errors.New("the edge was started without a configuration file to reload")
	}
	err := p.takeOver(ctx)
	p.metrics.reloaded(err == nil)
	if err != nil {
		p.refused.Store(&err)
		p.logRefused(err)
		return err
	}
	p.refused.Store(nil)
	p.log.Info("configuration reloaded", "file", p.options.ConfigPath)
	return nil
}

func (p *Proxy) takeOver(ctx context.Context) error {
	cfg, err := config.Load(p.options.ConfigPath, p.options.Lookup)
	if err != nil {
		return err
	}
	p.override(cfg)
	previous := p.current.Load()
	if err := config.NeedsRestart(previous.config, cfg); err != nil {
		return err
	}
	next, err := p.build(ctx, cfg, previous)
	if err != nil {
		return err
	}
	if p.certs != nil {
		if err := p.certs.Update(ctx, p.certSettings(cfg)); err != nil {
			next.retire(previous)
			return err
		}
	}
	p.current.Store(next)
	next.takeServices()
	p.taken.Store(time.Now().UnixNano())
	p.listeners.SetPace(paceOf(cfg))
	p.listeners.SetRelays(prefixes(cfg.Listen.ProxyProtocol))
	p.showLimiter(next)
	previous.retire(next)
	p.logDeployed(next)
	p.metrics.keep(cfg)
	return nil
}
