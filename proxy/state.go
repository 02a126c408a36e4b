package proxy

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/portico-web/portico/internal/ratelimit"
	"github.com/portico-web/portico/proxy/config"
	"github.com/portico-web/portico/proxy/forward"
	"github.com/portico-web/portico/proxy/routing"
	"github.com/portico-web/portico/proxy/upstream"
)

// state is everything that follows from one configuration. A request takes the current one at its start and keeps it; a
// reload makes the next and carries over what stays the same.
type state struct {
	config   *config.Config
	trusted  []netip.Prefix
	table    *routing.Table[*site, *route]
	upstream map[string]*forward.Forwarder
	limiter  ratelimit.Limiter
	shared   *ratelimit.Shared // the limiter, when it is Redis
}

// build makes the state of cfg. What previous, the state in use, has in common with it is taken over; what only previous
// has is closed by retire, once the new state is in use.
func (p *Proxy) build(ctx context.Context, cfg *config.Config, previous *state) (built *state, err error) {
	s := &state{config: cfg, upstream: map[string]*forward.Forwarder{}, limiter: p.local}
	defer func() {
		if err != nil {
			s.retire(previous)
		}
	}()
	s.trusted = prefixes(cfg.TrustedProxies)
	if err := s.openLimiter(ctx, p, previous); err != nil {
		return nil, err
	}
	if err := s.openUpstreams(p, previous); err != nil {
		return nil, err
	}
	sites := make([]routing.Site[*site, *route], len(cfg.Sites))
	for i := range cfg.Sites {
		sites[i] = p.newSite(s, &cfg.Sites[i])
	}
	if s.table, err = routing.New(sites); err != nil {
		return nil, err
	}
	return s, nil
}

func prefixes(configured []config.Prefix) (made []netip.Prefix) {
	for _, prefix := range configured {
		made = append(made, prefix.Prefix)
	}
	return made
}

func (s *state) openLimiter(ctx context.Context, p *Proxy, previous *state) (err error) {
	switch {
	case s.config.Redis == "":
		return nil
	case previous != nil && previous.shared != nil && previous.config.Redis == s.config.Redis:
		s.shared = previous.shared
	default:
		if s.shared, err = ratelimit.Connect(ctx, s.config.Redis, p.local, p.log); err != nil {
			return err
		}
	}
	s.limiter = s.shared
	return nil
}

func (s *state) openUpstreams(p *Proxy, previous *state) error {
	for name, configured := range s.config.Upstreams {
		settings := p.poolSettings(name, configured)
		if previous != nil {
			if same, ok := previous.upstream[name]; ok && same.Pool().Settings().Equal(settings) {
				s.upstream[name] = same
				continue
			}
		}
		pool, err := upstream.New(settings, p.log)
		if err != nil {
			return fmt.Errorf("upstreams.%s: %w", name, err)
		}
		s.upstream[name] = forward.New(pool, &p.streams, p.log)
	}
	return nil
}

// awaitProbes waits until the health of every target is known.
func (s *state) awaitProbes() {
	for _, forwarder := range s.upstream {
		forwarder.Pool().Probed()
	}
}

// retire closes what s has and kept does not use.
func (s *state) retire(kept *state) {
	for name, forwarder := range s.upstream {
		if kept == nil || kept.upstream[name] != forwarder {
			forwarder.Close()
		}
	}
	if s.shared != nil && (kept == nil || kept.shared != s.shared) {
		_ = s.shared.Close()
	}
}

func (s *state) close() { s.retire(nil) }
