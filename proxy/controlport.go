package proxy

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/proxy/control"
	"github.com/portico-web/portico/proxy/upstream"
)

// serveControl serves the control socket, if there is one; the function that comes back stops that and waits.
func (p *Proxy) serveControl(ctx context.Context, socket *control.Socket) (stop func()) {
	if socket == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		server := httpx.NewServer(ctx, control.Handler(p), p.log)
		server.ConnContext = control.WithPeer
		_ = httpx.Serve(ctx, server, socket, time.Second)
	}()
	return func() {
		cancel()
		<-stopped
	}
}

func targetStatus(name string, pool *upstream.Pool) (targets []control.Target) {
	for _, target := range pool.Targets() {
		targets = append(targets, control.Target{
			Upstream: name, Target: target.String(), Endpoint: target.Endpoint(), Healthy: target.Healthy(), Ejected: target.Ejected(), Active: target.Active(),
		})
	}
	return targets
}

// Status is what the edge says of itself over the control socket.
func (p *Proxy) Status() control.Status {
	s := p.current.Load()
	status := control.Status{HTTP: addrText(p.addrs.HTTP), HTTPS: addrText(p.addrs.HTTPS)}
	for _, site := range s.config.Sites {
		status.Hosts = append(status.Hosts, site.Hosts...)
	}
	for _, name := range slices.Sorted(maps.Keys(s.services)) {
		status.Upstreams = append(status.Upstreams, p.upstreamStatus(s, name))
		now := s.services[name].now.Load()
		status.Targets = append(status.Targets, targetStatus(name, now.forwarder.Pool())...)
		if now.canary != nil {
			status.Targets = append(status.Targets, targetStatus(name+canarySuffix, now.canary.forwarder.Pool())...)
		}
	}
	if p.certs != nil {
		status.Certificates = p.certificates()
	}
	if refused := p.refused.Load(); refused != nil {
		status.Refused = (*refused).Error()
	}
	p.addProcess(&status)
	p.addTraffic(&status, s)
	return status
}
