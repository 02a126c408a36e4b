package upstream

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ErrNoTarget says that no target may be asked: all are unhealthy, or all were tried.
var ErrNoTarget = errors.New("no healthy target")

// Settings describes a pool. Two pools with equal settings behave alike.
type Settings struct {
	Name      string
	Targets   []string
	LeastConn bool // else round robin
	Health    *Probe
}

// Probe says how targets are asked whether they are healthy: GET Path, every Interval, 2xx within Timeout.
type Probe struct {
	Path     string
	Port     int // 0: the target's own
	Interval time.Duration
	Timeout  time.Duration
}

// Equal tells whether a pool of these settings can stand for one of the others.
func (s Settings) Equal(other Settings) bool {
	if s.Name != other.Name || s.LeastConn != other.LeastConn || !slices.Equal(s.Targets, other.Targets) {
		return false
	}
	if s.Health == nil || other.Health == nil {
		return s.Health == other.Health
	}
	return *s.Health == *other.Health
}

// Pool chooses among targets and probes them. It is safe for concurrent use.
type Pool struct {
	settings Settings
	targets  []*Target
	next     atomic.Uint64
	log      *slog.Logger
	client   *http.Client
	stop     context.CancelFunc
	probes   sync.WaitGroup
}

// New makes a pool and, when settings say so, begins to probe. Close ends that.
func New(settings Settings, log *slog.Logger) (*Pool, error) {
	ctx, stop := context.WithCancel(context.Background())
	p := &Pool{settings: settings, log: log, stop: stop, client: &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true, Proxy: nil},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}}
	for _, text := range settings.Targets {
		address, err := ParseTarget(text)
		if err != nil {
			stop()
			return nil, err
		}
		p.targets = append(p.targets, &Target{Address: address})
	}
	if settings.Health != nil {
		for _, target := range p.targets {
			p.probes.Go(func() { p.probe(ctx, target) })
		}
	}
	return p, nil
}

// Close ends the probes and waits for them. Requests in flight go on.
func (p *Pool) Close() {
	p.stop()
	p.probes.Wait()
}

// Settings is what the pool was made of.
func (p *Pool) Settings() Settings { return p.settings }

// Targets lists the members, in the order of the settings.
func (p *Pool) Targets() []*Target { return p.targets }

// Pick chooses the target for a request, other than the ones already tried, and counts the request as its own until
// Release. A target that just refused a connection is chosen only when no other is left.
func (p *Pool) Pick(tried []*Target) (*Target, error) {
	now := time.Now().UnixNano()
	start := p.next.Add(1) - 1
	var best *Target
	bestAvoided := false
	for i := range p.targets {
		target := p.targets[(start+uint64(i))%uint64(len(p.targets))]
		if !target.Healthy() || slices.Contains(tried, target) {
			continue
		}
		avoided := target.avoidUntil.Load() > now
		switch {
		case best == nil, bestAvoided && !avoided:
		case avoided && !bestAvoided, !p.settings.LeastConn, target.Active() >= best.Active():
			continue
		}
		best, bestAvoided = target, avoided
	}
	if best == nil {
		return nil, ErrNoTarget
	}
	best.active.Add(1)
	return best, nil
}
