package proxy

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/portico-web/portico/proxy/message"
)

// What is told of clients, whatever they ask for.
var (
	requestsInFlight = prometheus.NewDesc("portico_edge_requests_in_flight",
		"Requests that are being answered, WebSockets and other tunnels counted.", nil, nil)
	requestsByVersion = prometheus.NewDesc("portico_edge_requests_by_version_total",
		"Requests answered, by version of HTTP.", []string{"version"}, nil)
	openConnections = prometheus.NewDesc("portico_edge_connections",
		"Connections of clients that are open, by listener.", []string{"listener"}, nil)
	acceptedConnections = prometheus.NewDesc("portico_edge_connections_total",
		"Connections of clients that were taken in, by listener.", []string{"listener"}, nil)
	endedConnections = prometheus.NewDesc("portico_edge_connections_ended_total",
		"Connections that the edge ended early: a TLS handshake or a PROXY header that failed, or an idle one that made room for another.", []string{"reason"}, nil)
	accessLogDropped = prometheus.NewDesc("portico_edge_access_log_dropped_total",
		"Lines of the access log that were lost: what it goes to took nothing, or the disk was full.", nil, nil)
	spansSent = prometheus.NewDesc("portico_edge_spans_total",
		"Spans of requests, by what became of them: sent to the collector, or dropped.", []string{"result"}, nil)

	clientDescriptions = []*prometheus.Desc{
		requestsInFlight, requestsByVersion, openConnections, acceptedConnections, endedConnections, accessLogDropped, spansSent,
	}
)

func (p *Proxy) collectRequests(into chan<- prometheus.Metric, s *state) {
	into <- prometheus.MustNewConstMetric(requestsInFlight, prometheus.GaugeValue, float64(p.active.Load()))
	for version := range p.metrics.versions {
		count := p.metrics.versions[version].Load()
		into <- prometheus.MustNewConstMetric(requestsByVersion, prometheus.CounterValue, float64(count), message.Version(version).String()) // one of four
	}
	if s.access != nil {
		into <- prometheus.MustNewConstMetric(accessLogDropped, prometheus.CounterValue, float64(s.access.lines.Dropped()))
	}
	if s.tracer != nil {
		into <- prometheus.MustNewConstMetric(spansSent, prometheus.CounterValue, float64(s.tracer.exporter.Sent()), "sent")
		into <- prometheus.MustNewConstMetric(spansSent, prometheus.CounterValue, float64(s.tracer.exporter.Dropped()), "dropped")
	}
}

// collectConnections is called once the edge listens.
func (p *Proxy) collectConnections(into chan<- prometheus.Metric) {
	counts := p.listeners.Counts()
	for listener, count := range counts.Open {
		into <- prometheus.MustNewConstMetric(openConnections, prometheus.GaugeValue, float64(count), listener)
	}
	for listener, count := range counts.Accepted {
		into <- prometheus.MustNewConstMetric(acceptedConnections, prometheus.CounterValue, float64(count), listener)
	}
	for reason, count := range map[string]uint64{"handshake": counts.HandshakesFailed, "proxy_protocol": counts.Unintroduced, "evicted": counts.Evicted} {
		into <- prometheus.MustNewConstMetric(endedConnections, prometheus.CounterValue, float64(count), reason)
	}
}
