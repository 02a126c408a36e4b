package proxy

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/portico-web/portico/internal/ratelimit"
	"github.com/portico-web/portico/proxy/config"
	"github.com/portico-web/portico/proxy/forward"
	"github.com/portico-web/portico/proxy/guard"
	"github.com/portico-web/portico/proxy/routing"
	"github.com/portico-web/portico/proxy/upstream"
)

// state is everything that follows from one configuration. A request takes the current one at its start and keeps it; a
// reload makes the next and carries over what stays the same.
type state struct {
	config   *config.Config
	trusted  []netip.Prefix
	asserted guard.Asserted // what no client may write
	table    *routing.Table[*site, *route]
	services map[string]*service     // by the name of their upstream
	prepared map[*service]forwarders // what they get once the state is in use
	keys     map[string]*guard.Keys  // of issuers of tokens, by URL
	limiter  ratelimit.Limiter
	shared   *ratelimit.Shared // the limiter, when it is Redis
	access   *accessLog        // nil: no request has a line
	tracer   *tracer           // nil: no request has spans
}

// build makes the state of cfg. What previous, the state in use, has in common with it is taken over; what only previous
// has is closed by retire, once the new state is in use.
func (p *Proxy) build(ctx context.Context, cfg *config.Config, previous *state) (built *state, err error) {
	s := &state{config: cfg, services: map[string]*service{}, prepared: map[*service]forwarders{}, limiter: p.local}
	defer func() {
		if err != nil {
			s.retire(previous)
		}
	}()
	s.trusted = prefixes(cfg.TrustedProxies)
	s.asserted = assertedBy(cfg)
	if err := s.openLimiter(ctx, p, previous); err != nil {
		return nil, err
	}
	if err := s.openUpstreams(p, previous); err != nil {
		return nil, err
	}
	if err := s.openAccessLog(p, previous); err != nil {
		return nil, err
	}
	s.openKeys(p, previous)
	s.openTracer(p, previous)
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
	case previous == nil: // an edge that starts while Redis is away serves all the same
		if s.shared, err = ratelimit.Open(s.config.Redis, p.local, p.log); err != nil {
			return fmt.Errorf("redis: %w", err)
		}
		s.shared.Check(ctx)
	default:
		if s.shared, err = ratelimit.Connect(ctx, s.config.Redis, p.local, p.log); err != nil {
			return err
		}
	}
	s.limiter = s.shared
	return nil
}

func (s *state) openUpstreams(p *Proxy, previous *state) error {
	for name := range s.config.Upstreams {
		record := p.deploys.file.Record(name)
		var now serving
		if previous != nil && previous.services[name] != nil {
			s.services[name] = previous.services[name]
			now = *s.services[name].now.Load()
		}
		var made forwarders
		var err error
		if made.live, err = p.openForwarder(now.forwarder, s.upstreamSettings(p, name, record.Live)); err != nil {
			return fmt.Errorf("upstreams.%s: %w", name, err)
		}
		if decided := record.Canary; decided != nil {
			var current *forward.Forwarder
			if now.canary != nil {
				current = now.canary.forwarder
			}
			if made.canary, err = p.openForwarder(current, s.upstreamSettings(p, name, decided.Targets)); err != nil {
				made.close()
				return fmt.Errorf("upstreams.%s: %w", name, err)
			}
		}
		if before := s.services[name]; before != nil {
			s.prepared[before] = made
			continue
		}
		s.services[name] = newService(name, serving{
			made.live, newCanary(record.Canary, made.canary), p.deploys.newPause(record.Pause), newMaintenance(record.Maintenance),
		})
	}
	return nil
}

// forwarders are what a service shall forward to; nil where it keeps what it has.
type forwarders struct{ live, canary *forward.Forwarder }

func (f forwarders) close() {
	for _, forwarder := range []*forward.Forwarder{f.live, f.canary} {
		if forwarder != nil {
			forwarder.Close()
		}
	}
}

// openForwarder makes a forwarder of these settings; nil when the current one, if there is one, is of the same.
func (p *Proxy) openForwarder(current *forward.Forwarder, settings upstream.Settings) (*forward.Forwarder, error) {
	if current != nil && current.Pool().Settings().Equal(settings) {
		return nil, nil
	}
	pool, err := upstream.New(settings, p.log)
	if err != nil {
		return nil, err
	}
	return forward.New(pool, &p.streams, p.log), nil
}

// awaitProbes waits until the health of every target is known.
func (s *state) awaitProbes() {
	for _, service := range s.services {
		for _, forwarder := range service.now.Load().forwarders() {
			forwarder.Pool().Probed()
		}
	}
}

// upstreamSettings is how the configuration wants an upstream, with these targets in the place of its own if there are any.
func (s *state) upstreamSettings(p *Proxy, name string, targets []string) upstream.Settings {
	configured := s.config.Upstreams[name]
	if len(targets) > 0 {
		configured.Targets = targets
	}
	return p.poolSettings(name, configured)
}

// takeServices lets the services go by this state, which is in use from now on.
func (s *state) takeServices() {
	for service, made := range s.prepared {
		service.linger(service.replace(made)...)
	}
	s.prepared = nil
}

// retire closes what s has and kept does not use.
func (s *state) retire(kept *state) {
	for _, made := range s.prepared {
		made.close()
	}
	for name, service := range s.services {
		if kept == nil || kept.services[name] != service {
			service.close()
		}
	}
	for url, keys := range s.keys {
		if kept == nil || kept.keys[url] != keys {
			keys.Close()
		}
	}
	if s.shared != nil && (kept == nil || kept.shared != s.shared) {
		_ = s.shared.Close()
	}
	if s.access != nil && (kept == nil || kept.access != s.access) {
		s.access.close()
	}
	if s.tracer != nil && (kept == nil || kept.tracer == nil || kept.tracer.exporter != s.tracer.exporter) {
		s.tracer.exporter.Close()
	}
}

func (s *state) close() { s.retire(nil) }
