package proxy

import (
	"maps"
	"slices"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/portico-web/portico/proxy/control"
)

// countByMinute lets tallies tell the last minute from what was before, until the function that comes back is called.
func (p *Proxy) countByMinute() (stop func()) {
	p.metrics.tallies.begin(time.Now())
	over := make(chan struct{})
	var counting sync.WaitGroup
	counting.Go(func() {
		ticker := time.NewTicker(step)
		defer ticker.Stop()
		for {
			select {
			case <-over:
				return
			case now := <-ticker.C:
				p.metrics.tallies.note(now)
			}
		}
	})
	return func() {
		close(over)
		counting.Wait()
	}
}

// addProcess tells what runs, and where.
func (p *Proxy) addProcess(status *control.Status) {
	status.Version, status.Started, status.Draining = p.options.Version, p.begun, p.options.Checks.Draining()
	status.Internal, status.HTTP3 = addrText(p.addrs.Internal), p.altSvc != ""
	status.Configuration = control.Configuration{File: p.options.ConfigPath, Since: time.Unix(0, p.taken.Load())}
	counts := p.listeners.Counts()
	status.Connections = control.Connections{Open: counts.Open, Accepted: counts.Accepted, Failed: counts.HandshakesFailed + counts.Unintroduced}
	status.InFlight = p.active.Load()
}

// addTraffic tells how requests go.
func (p *Proxy) addTraffic(status *control.Status, s *state) {
	tallies := &p.metrics.tallies
	recent, since := tallies.lastMinute(p.metrics.none)
	total := p.metrics.none.sums()
	now := time.Now()
	for _, site := range s.config.Sites {
		for _, configured := range site.Routes {
			route := control.Route{Site: site.Hosts[0], Path: configured.Path, Action: "redirect"}
			switch {
			case configured.Upstream != "":
				route.Action = "upstream " + configured.Upstream
			case configured.Files != nil:
				route.Action = "files " + configured.Files.Root
			}
			tally := tallies.route(route.Site, route.Path)
			sums, _ := tallies.lastMinute(tally)
			all := tally.sums()
			route.Traffic = traffic(&all, &sums, now.Sub(since))
			status.Routes = append(status.Routes, route)
			recent.add(&sums)
			total.add(&all)
		}
	}
	status.Traffic = traffic(&total, &recent, now.Sub(since))
	for _, name := range slices.Sorted(maps.Keys(s.config.RateLimits)) {
		var refused dto.Metric
		_ = p.metrics.limited.WithLabelValues(name).Write(&refused) // a counter's never fails
		status.RateLimits = append(status.RateLimits, control.RateLimit{Name: name, Refused: uint64(refused.GetCounter().GetValue())})
	}
}

func traffic(all, recent *sums, within time.Duration) control.Traffic {
	told := control.Traffic{Requests: all.requests(), Recent: recent.requests()}
	if told.Recent == 0 {
		return told
	}
	told.PerSecond = float64(told.Recent) / max(within.Seconds(), 1)
	told.ClientErrors = float64(recent.classes[4]) / float64(told.Recent)
	told.ServerErrors = float64(recent.classes[5]) / float64(told.Recent)
	told.Median, told.P99 = recent.quantile(0.5).Seconds(), recent.quantile(0.99).Seconds()
	return told
}
