package proxy

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portico-web/portico/proxy/config"
)

// metrics is what the edge counts. All labels come from the configuration.
type metrics struct {
	tallies    tallies
	limited    *prometheus.CounterVec
	refused    *prometheus.CounterVec
	lastReload prometheus.Gauge
	reloadTime prometheus.Gauge
	none       *tally
	versions   [4]atomic.Uint64 // requests by version of HTTP
}

func newMetrics(registry *prometheus.Registry, p *Proxy) (*metrics, error) {
	m := &metrics{
		tallies: tallies{of: map[[2]string]*tally{}},
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "portico_edge_ratelimited_total", Help: "Requests answered 429, by rate limit.",
		}, []string{"limit"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "portico_edge_refused_total", Help: "Requests that might not pass, by policy.",
		}, []string{"policy"}),
		lastReload: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "portico_config_last_reload_success", Help: "1 when the configuration on disk is the one that serves, else 0.",
		}),
		reloadTime: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "portico_config_last_reload_success_timestamp_seconds", Help: "When the serving configuration was taken over.",
		}),
	}
	for _, collector := range []prometheus.Collector{&m.tallies, m.limited, m.refused, m.lastReload, m.reloadTime, edgeCollector{p}} {
		if err := registry.Register(collector); err != nil {
			return nil, err
		}
	}
	m.none = m.tallies.route(unrouted, unrouted)
	return m, nil
}

// keep removes the series of routes that are no longer configured.
func (m *metrics) keep(current *config.Config) {
	kept := map[[2]string]bool{{unrouted, unrouted}: true}
	for _, site := range current.Sites {
		for _, route := range site.Routes {
			kept[[2]string{site.Hosts[0], route.Path}] = true
		}
	}
	m.tallies.keep(kept)
}

func (m *metrics) reloaded(ok bool) {
	if !ok {
		m.lastReload.Set(0)
		return
	}
	m.lastReload.Set(1)
	m.reloadTime.SetToCurrentTime()
}

// count counts the exchange under its route.
func (x *exchange) count(took time.Duration) {
	if x.health {
		return
	}
	counted := x.proxy.metrics.none
	if x.route != nil {
		counted = x.route.tally
	}
	counted.count(x.status, took, x.bytes)
	x.proxy.metrics.versions[x.Head().Version].Add(1)
}

// edgeCollector tells the state of targets and certificates when asked.
type edgeCollector struct{ proxy *Proxy }

// Describe implements prometheus.Collector; the edge's series follow its configuration, so none is promised.
func (edgeCollector) Describe(descriptions chan<- *prometheus.Desc) {
	for _, described := range certificateDescriptions {
		descriptions <- described
	}
	for _, described := range targetDescriptions {
		descriptions <- described
	}
	for _, described := range clientDescriptions {
		descriptions <- described
	}
}

// Collect implements prometheus.Collector.
func (c edgeCollector) Collect(into chan<- prometheus.Metric) {
	s := c.proxy.current.Load()
	c.proxy.collectRequests(into, s)
	for name, service := range s.services {
		now := service.now.Load()
		collectPool(into, name, now.forwarder.Pool())
		if now.canary != nil {
			collectPool(into, name+canarySuffix, now.canary.forwarder.Pool())
		}
	}
	select {
	case <-c.proxy.ready:
	default:
		return
	}
	c.proxy.collectConnections(into)
	if c.proxy.certs == nil {
		return
	}
	c.proxy.collectCertificates(into)
}
