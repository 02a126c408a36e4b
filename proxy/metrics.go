package proxy

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portico-web/portico/proxy/config"
)

// unrouted labels requests that belong to no site or route, so that clients cannot make new series.
const unrouted = "-"

// metrics is what the edge counts. All labels come from the configuration.
type metrics struct {
	requests   *prometheus.CounterVec
	durations  *prometheus.HistogramVec
	limited    *prometheus.CounterVec
	refused    *prometheus.CounterVec
	lastReload prometheus.Gauge
	reloadTime prometheus.Gauge
	none       *routeMetrics
}

// routeMetrics are the handles of one route, resolved once.
type routeMetrics struct {
	classes  [6]prometheus.Counter // by the status's first digit
	duration prometheus.Observer
}

func newMetrics(registry *prometheus.Registry, p *Proxy) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "portico_edge_requests_total", Help: "Requests answered, by site, route and class of status.",
		}, []string{"site", "route", "class"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "portico_edge_request_duration_seconds", Help: "Time from a request's head to the end of its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60},
		}, []string{"site", "route"}),
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
	for _, collector := range []prometheus.Collector{m.requests, m.durations, m.limited, m.refused, m.lastReload, m.reloadTime, edgeCollector{p}} {
		if err := registry.Register(collector); err != nil {
			return nil, err
		}
	}
	m.none = m.route(unrouted, unrouted)
	return m, nil
}

func (m *metrics) route(site, route string) *routeMetrics {
	handles := &routeMetrics{duration: m.durations.WithLabelValues(site, route)}
	for class := range handles.classes {
		if class > 0 {
			handles.classes[class] = m.requests.WithLabelValues(site, route, strconv.Itoa(class)+"xx")
		}
	}
	return handles
}

// drop removes the series of routes that are no longer configured.
func (m *metrics) drop(previous, current *config.Config) {
	kept := map[[2]string]bool{}
	for _, site := range current.Sites {
		for _, route := range site.Routes {
			kept[[2]string{site.Hosts[0], route.Path}] = true
		}
	}
	for _, site := range previous.Sites {
		for _, route := range site.Routes {
			if kept[[2]string{site.Hosts[0], route.Path}] {
				continue
			}
			labels := prometheus.Labels{"site": site.Hosts[0], "route": route.Path}
			m.requests.DeletePartialMatch(labels)
			m.durations.DeletePartialMatch(labels)
		}
	}
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
	handles := x.proxy.metrics.none
	if x.route != nil {
		handles = x.route.metrics
	}
	handles.classes[min(max(x.status/100, 1), 5)].Inc()
	handles.duration.Observe(took.Seconds())
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
	descriptions <- accessLogDropped
}

var accessLogDropped = prometheus.NewDesc("portico_edge_access_log_dropped_total",
	"Lines of the access log that were lost: what it goes to took nothing, or the disk was full.", nil, nil)

// Collect implements prometheus.Collector.
func (c edgeCollector) Collect(into chan<- prometheus.Metric) {
	s := c.proxy.current.Load()
	if s.access != nil {
		into <- prometheus.MustNewConstMetric(accessLogDropped, prometheus.CounterValue, float64(s.access.lines.Dropped()))
	}
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
	if c.proxy.certs == nil {
		return
	}
	c.proxy.collectCertificates(into)
}
