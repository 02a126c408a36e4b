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
		ResponseTimeout: u.ResponseTimeout, Resolve: *u.Resolve,
	}
	if u.Sticky != nil {
		settings.Sticky = upstream.Sticky{Cookie: u.Sticky.Cookie, Key: cmp.Or(u.Sticky.Secret(), p.stickyKey)}
	}
	if probe := u.Health; probe != nil {
		settings.Health = &upstream.Probe{Path: probe.Path, Port: probe.Port, Interval: probe.Interval, Timeout: probe.Timeout}
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
	targetDescriptions = []*prometheus.Desc{targetHealthy, targetAddresses, targetActive}
)

// targetSums is what the servers are together that the configuration names as one target.
type targetSums struct{ healthy, addresses, active float64 }

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
	}
	for address, sum := range sums {
		gauge := func(about *prometheus.Desc, value float64) {
			into <- prometheus.MustNewConstMetric(about, prometheus.GaugeValue, value, name, address.String())
		}
		gauge(targetHealthy, sum.healthy)
		gauge(targetAddresses, sum.addresses)
		gauge(targetActive, sum.active)
	}
}
