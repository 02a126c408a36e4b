package proxy

import (
	"cmp"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portico-web/portico/proxy/config"
	"github.com/portico-web/portico/proxy/upstream"
)

// poolSettings is what a configured upstream means to its pool.
func (p *Proxy) poolSettings(name string, u config.Upstream) upstream.Settings {
	settings := upstream.Settings{
		Name: name, Targets: u.Targets, Balance: balance(u.Balance), HashBy: hashBy(u.HashBy), SlowStart: u.SlowStart,
		ResponseTimeout: u.ResponseTimeout, Resolve: *u.Resolve, MaxRequests: u.MaxRequests, FailureStatuses: u.FailureStatuses,
		Retries: upstream.Retries(u.Retries),
	}
	if u.TLS != nil {
		settings.TLS = u.TLS.Settings()
	}
	if u.Queue != nil {
		settings.Queue = upstream.Queue{Size: *u.Queue.Size, Timeout: u.Queue.Timeout}
	}
	if passive := u.Passive; passive != nil {
		settings.Passive = upstream.Passive{Failures: passive.Failures, Window: passive.Window, Eject: passive.Eject, Percent: passive.MaxEjected}
	}
	if breaker := u.Breaker; breaker != nil {
		settings.Breaker = upstream.Breaker{Percent: breaker.Failures, Requests: breaker.Requests, Window: breaker.Window, Open: breaker.Open}
	}
	if u.Sticky != nil {
		settings.Sticky = upstream.Sticky{Cookie: u.Sticky.Cookie, Key: cmp.Or(u.Sticky.Secret(), p.stickyKey)}
	}
	if probe := u.Health; probe != nil {
		settings.Health = &upstream.Probe{
			Path: probe.Path, Port: probe.Port, Interval: probe.Interval, Timeout: probe.Timeout,
			HealthyAfter: probe.HealthyAfter, UnhealthyAfter: probe.UnhealthyAfter,
		}
	}
	return settings
}

func balance(text string) upstream.Balance {
	switch text {
	case config.BalanceLeastConn:
		return upstream.LeastConn
	case config.BalanceTwoChoices:
		return upstream.TwoChoices
	case config.BalanceHash:
		return upstream.Hash
	default:
		return upstream.RoundRobin
	}
}

func hashBy(text string) upstream.HashBy {
	if header, ok := strings.CutPrefix(text, config.HashByHeader); ok {
		return upstream.HashBy{Header: header}
	}
	cookie, _ := strings.CutPrefix(text, config.HashByCookie)
	if cookie == text {
		return upstream.HashBy{} // the client's address
	}
	return upstream.HashBy{Cookie: cookie}
}

var (
	targetLabels  = []string{"upstream", "target"}
	targetHealthy = prometheus.NewDesc("portico_edge_upstream_healthy",
		"1 when the target, at one of its addresses at least, takes requests; 0 when probes found it unhealthy.", targetLabels, nil)
	targetAddresses = prometheus.NewDesc("portico_edge_upstream_addresses",
		"Addresses that the target's name stands for, each a server of its own.", targetLabels, nil)
	targetActive = prometheus.NewDesc("portico_edge_upstream_active_requests",
		"Requests that the target is working on.", targetLabels, nil)
	targetEjected = prometheus.NewDesc("portico_edge_upstream_ejected",
		"Addresses of the target that are taken out because they failed requests.", targetLabels, nil)
	targetRetries = prometheus.NewDesc("portico_edge_upstream_retries_total",
		"Requests that went to another target after this one.", targetLabels, nil)
	upstreamWaiting = prometheus.NewDesc("portico_edge_upstream_queue_length",
		"Requests that wait until a target may take them.", []string{"upstream"}, nil)
	upstreamBreaker = prometheus.NewDesc("portico_edge_upstream_breaker_state",
		"What the circuit breaker does: 0 lets all pass, 1 lets one pass on trial, 2 refuses all.", []string{"upstream"}, nil)
	targetDescriptions = []*prometheus.Desc{
		targetHealthy, targetAddresses, targetActive, targetEjected, targetRetries, upstreamWaiting, upstreamBreaker,
	}
)

// targetSums is what the servers are together that the configuration names as one target.
type targetSums struct{ healthy, addresses, active, ejected, retries float64 }

// collectPool tells the state of a pool's targets. What is at one name is told together: addresses come and go.
func collectPool(into chan<- prometheus.Metric, name string, pool *upstream.Pool) {
	sums := map[upstream.Address]*targetSums{}
	for _, target := range pool.Targets() {
		sum := sums[target.Address]
		if sum == nil {
			sum = &targetSums{}
			sums[target.Address] = sum
		}
		if target.Healthy() {
			sum.healthy = 1
		}
		sum.addresses++
		sum.active += float64(target.Active())
		if target.Ejected() {
			sum.ejected++
		}
		sum.retries = float64(target.Retries())
	}
	for address, sum := range sums {
		gauge := func(about *prometheus.Desc, value float64) {
			into <- prometheus.MustNewConstMetric(about, prometheus.GaugeValue, value, name, address.String())
		}
		gauge(targetHealthy, sum.healthy)
		gauge(targetAddresses, sum.addresses)
		gauge(targetActive, sum.active)
		gauge(targetEjected, sum.ejected)
		into <- prometheus.MustNewConstMetric(targetRetries, prometheus.CounterValue, sum.retries, name, address.String())
	}
	into <- prometheus.MustNewConstMetric(upstreamWaiting, prometheus.GaugeValue, float64(pool.Waiting()), name)
	into <- prometheus.MustNewConstMetric(upstreamBreaker, prometheus.GaugeValue, float64(pool.Breaker()), name)
}
