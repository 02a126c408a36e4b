package proxy

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// unrouted labels requests that belong to no site or route, so that clients cannot make new series.
const unrouted = "-"

// bounds of the durations that are told apart.
var bounds = [...]time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 10 * time.Second, time.Minute,
}

// tally is what is counted of one route's requests. Counting takes no lock.
type tally struct {
	site, route string

	classes [6]atomic.Uint64 // by the status's first digit
	took    [len(bounds) + 1]atomic.Uint64
	seconds atomic.Uint64 // all durations, in nanoseconds
	sent    atomic.Uint64 // bytes of content

	past [minute / step]sums // guarded by tallies.mu
}

// sums are a tally's figures at one time.
type sums struct {
	classes [6]uint64
	took    [len(bounds) + 1]uint64
}

func (t *tally) count(status int, took time.Duration, sent int64) {
	t.classes[min(max(status/100, 1), 5)].Add(1)
	bucket := 0
	for bucket < len(bounds) && took > bounds[bucket] {
		bucket++
	}
	t.took[bucket].Add(1)
	t.seconds.Add(uint64(max(took, 0)))
	if sent > 0 {
		t.sent.Add(uint64(sent))
	}
}

func (t *tally) sums() (s sums) {
	for i := range t.classes {
		s.classes[i] = t.classes[i].Load()
	}
	for i := range t.took {
		s.took[i] = t.took[i].Load()
	}
	return s
}

func (s *sums) requests() (all uint64) {
	for _, n := range s.classes {
		all += n
	}
	return all
}

func (s *sums) add(other *sums) {
	for i, n := range other.classes {
		s.classes[i] += n
	}
	for i, n := range other.took {
		s.took[i] += n
	}
}

func (s *sums) subtract(other *sums) {
	for i, n := range other.classes {
		s.classes[i] -= n
	}
	for i, n := range other.took {
		s.took[i] -= n
	}
}

// quantile is about how long the share of requests took at most, as if those between two bounds lay evenly.
func (s *sums) quantile(share float64) time.Duration {
	all := uint64(0)
	for _, n := range s.took {
		all += n
	}
	rank, below := share*float64(all), 0.0
	lower := time.Duration(0)
	for i, n := range s.took {
		if i == len(bounds) {
			break
		}
		if n > 0 && below+float64(n) >= rank {
			return lower + time.Duration(float64(bounds[i]-lower)*(rank-below)/float64(n))
		}
		below += float64(n)
		lower = bounds[i]
	}
	return lower
}

// The figures of the last minute are those since the oldest of the sums that are taken at every step.
const (
	minute = time.Minute
	step   = 15 * time.Second
)

// tallies are those of all routes. A reload keeps those of routes that stay. They are a prometheus.Collector.
type tallies struct {
	mu   sync.Mutex
	of   map[[2]string]*tally
	at   [minute / step]time.Time // when the past sums were taken
	next int                      // the oldest of them
}

// route finds or makes the tally of a route.
func (t *tallies) route(site, route string) *tally {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := [2]string{site, route}
	found := t.of[key]
	if found == nil {
		found = &tally{site: site, route: route}
		t.of[key] = found
	}
	return found
}

// keep forgets the tallies of other routes than these.
func (t *tallies) keep(routes map[[2]string]bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key := range t.of {
		if !routes[key] {
			delete(t.of, key)
		}
	}
}

// begin counts the last minute from now on.
func (t *tallies) begin(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.at {
		t.at[i] = now
	}
}

// note takes the sums of now in the place of the oldest.
func (t *tallies) note(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, tally := range t.of {
		tally.past[t.next] = tally.sums()
	}
	t.at[t.next] = now
	t.next = (t.next + 1) % len(t.at)
}

// lastMinute is what a tally counted within about the last minute, and since when exactly.
func (t *tallies) lastMinute(tally *tally) (recent sums, since time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	recent = tally.sums()
	recent.subtract(&tally.past[t.next])
	return recent, t.at[t.next]
}

var (
	requestsTotal = prometheus.NewDesc("portico_edge_requests_total",
		"Requests answered, by site, route and class of status.", []string{"site", "route", "class"}, nil)
	requestDuration = prometheus.NewDesc("portico_edge_request_duration_seconds",
		"Time from a request's head to the end of its answer.", []string{"site", "route"}, nil)
	sentBytes = prometheus.NewDesc("portico_edge_response_bytes_total",
		"Bytes of content answered, by site and route.", []string{"site", "route"}, nil)
)

// Describe implements prometheus.Collector.
func (t *tallies) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- requestsTotal
	descriptions <- requestDuration
	descriptions <- sentBytes
}

// Collect implements prometheus.Collector.
func (t *tallies) Collect(into chan<- prometheus.Metric) {
	t.mu.Lock()
	all := make([]*tally, 0, len(t.of))
	for _, tally := range t.of {
		all = append(all, tally)
	}
	t.mu.Unlock()
	for _, tally := range all {
		sums := tally.sums()
		for class := 1; class < len(sums.classes); class++ {
			into <- prometheus.MustNewConstMetric(requestsTotal, prometheus.CounterValue, float64(sums.classes[class]), tally.site, tally.route, strconv.Itoa(class)+"xx")
		}
		count, buckets := uint64(0), make(map[float64]uint64, len(bounds))
		for i, bound := range bounds {
			count += sums.took[i]
			buckets[bound.Seconds()] = count
		}
		count += sums.took[len(bounds)]
		total := time.Duration(tally.seconds.Load()).Seconds() // some centuries fit
		into <- prometheus.MustNewConstHistogram(requestDuration, count, total, buckets, tally.site, tally.route)
		into <- prometheus.MustNewConstMetric(sentBytes, prometheus.CounterValue, float64(tally.sent.Load()), tally.site, tally.route)
	}
}
