package upstream

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ErrNoTarget says that no target may be asked: all are unhealthy, or all were tried.
var ErrNoTarget = errors.New("no healthy target")

// Settings describes a pool. Two pools with equal settings behave alike.
type Settings struct {
	Name    string
	Targets []string
	Balance Balance
	HashBy  HashBy // when the balance is Hash
	Sticky  Sticky
	TLS     TLS // of targets of https
	Health  *Probe
	Passive Passive
	Breaker Breaker
	// FailureStatuses are those of answers by which a target fails a request, for Passive and Breaker.
	FailureStatuses []int
	// MaxRequests is how many requests a target may work on at once; 0: any number. One more waits in the queue.
	MaxRequests int
	Queue       Queue
	Retries     Retries
	// SlowStart is how long a target gets less than the others after it became healthy, or came in while others serve.
	SlowStart time.Duration
	// ResponseTimeout is how long a target may take to answer once it has the request, to take in a part of one, and to send the
	// next part of content of a known length; 0 for DefaultResponseTimeout.
	ResponseTimeout time.Duration
	// Resolve is how often the names of targets are resolved; each address is a target of its own. 0: whenever a connection is
	// made, and all addresses are one target.
	Resolve time.Duration
	// Lookup resolves a name; nil for the system's resolver. It does not count when settings are compared.
	Lookup func(ctx context.Context, name string) ([]netip.Addr, error)
}

// Retries says how often a request is sent again, beyond what cannot have reached a target before.
type Retries struct {
	Tries    int           // how often it may be sent in all; 0 for DefaultTries
	Within   time.Duration // since the first attempt failed, for new ones to begin, at refusing targets too; 0 for DefaultWithin
	Broken   bool          // it goes to another target also when a new connection broke before an answer, if it may be repeated
	Statuses []int         // of answers that another target is asked instead of, if it may be repeated
}

// DefaultTries and DefaultWithin are the usual Retries.
const (
	DefaultTries  = 3
	DefaultWithin = 10 * time.Second
)

// DefaultResponseTimeout is the usual Settings.ResponseTimeout.
const DefaultResponseTimeout = time.Minute

// Probe says how targets are asked whether they are healthy: GET Path, every Interval, 2xx within Timeout.
type Probe struct {
	Path     string
	Port     int // 0: the target's own
	Interval time.Duration
	Timeout  time.Duration

	HealthyAfter   int // good probes in a row, until a target that was unhealthy is used; 0 for 1
	UnhealthyAfter int // bad ones in a row, until one is not used any more; 0 for 1
}

// Equal tells whether a pool of these settings can stand for one of the others.
func (s Settings) Equal(other Settings) bool {
	s.Lookup, other.Lookup = nil, nil
	return reflect.DeepEqual(s, other)
}

// Pool chooses among targets, probes them and keeps the connections to them. It is safe for concurrent use.
type Pool struct {
	settings Settings
	tls      *tls.Config
	retries  Retries // with what is left out filled in
	members  []*member
	changing sync.Mutex                // held while a member's targets change
	departed []*Target                 // that left, and may have work left; guarded by changing
	targets  atomic.Pointer[[]*Target] // of all members
	next     atomic.Uint64
	breaker  *breaker // nil without one
	queue    queue    // used when MaxRequests is set
	log      *slog.Logger
	stop     context.CancelFunc
	tasks    sync.WaitGroup // probes, the following of names, and the sweeping of idle connections
}

// New makes a pool and, when settings say so, begins to probe and to resolve names, for neither of which it waits. Close ends
// it.
func New(settings Settings, log *slog.Logger) (*Pool, error) {
	p := &Pool{settings: settings, log: log, retries: settings.Retries}
	p.retries.Tries = cmp.Or(p.retries.Tries, DefaultTries)
	p.retries.Within = cmp.Or(p.retries.Within, DefaultWithin)
	if settings.Breaker.Percent > 0 {
		p.breaker = &breaker{settings: settings.Breaker}
	}
	var err error
	if p.tls, err = settings.TLS.Config(); err != nil {
		return nil, err
	}
	if settings.TLS.Insecure {
		log.Warn("upstream is believed whoever it is, its certificates are not verified", "upstream", settings.Name)
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	if err := p.start(ctx); err != nil {
		stop()
		return nil, err
	}
	p.tasks.Go(func() { p.sweep(ctx) })
	return p, nil
}

// sweep retires idle connections until ctx ends.
func (p *Pool) sweep(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			for _, target := range p.Targets() {
				target.idle.sweep(now)
			}
		}
	}
}

// Close ends probes and the following of names, waits for them, and drops idle connections. Exchanges in flight go on, also some that begin just
// afterwards; they leave no connection behind.
func (p *Pool) Close() {
	p.stop()
	p.tasks.Wait()
	for _, target := range p.Targets() {
		target.retire()
	}
}

// Probed waits until each name was resolved once, and each target that there is then was asked once whether it is healthy, or
// the pool was closed.
func (p *Pool) Probed() {
	for _, m := range p.members {
		<-m.resolved
	}
	for _, target := range p.Targets() {
		<-target.probed
	}
}

// Settings is what the pool was made of.
func (p *Pool) Settings() Settings { return p.settings }

// ResponseTimeout is how long a target may take to answer once it has the request.
func (p *Pool) ResponseTimeout() time.Duration {
	return cmp.Or(p.settings.ResponseTimeout, DefaultResponseTimeout)
}

// Retries says how often requests are sent again.
func (p *Pool) Retries() *Retries { return &p.retries }

// Others tells whether a request could go to a target that is not one of these.
func (p *Pool) Others(tried []*Target) bool {
	return slices.ContainsFunc(p.Targets(), func(t *Target) bool { return t.usable(tried) })
}

// Targets lists the targets, in the order of the settings. The list is not to be changed; when a name's addresses change,
// there is another.
func (p *Pool) Targets() []*Target { return *p.targets.Load() }

// Active is how many requests the targets are working on, with those that left since and have not ended theirs.
func (p *Pool) Active() (active int64) {
	p.changing.Lock()
	defer p.changing.Unlock()
	for _, target := range append(p.known(), p.departed...) {
		active += target.Active()
	}
	return active
}

// Pick chooses the target for a request, other than the ones already tried, and counts the request as its own until
// Release. A target that just refused a connection is chosen only when no other is left. Errors are ErrNoTarget, ErrBusy and
// an *OpenError.
func (p *Pool) Pick(request *Request, tried []*Target) (*Target, error) {
	if p.breaker != nil && !request.trial {
		var err error
		if request.trial, err = p.breaker.admit(time.Now()); err != nil {
			return nil, err
		}
	}
	if p.settings.MaxRequests > 0 {
		return p.pickBounded(request, tried)
	}
	target := p.pick(request, tried)
	if target == nil {
		return nil, ErrNoTarget
	}
	target.active.Add(1)
	return target, nil
}

func (p *Pool) pick(request *Request, tried []*Target) *Target {
	if p.settings.Sticky.Cookie != "" {
		if assigned := p.assigned(request); assigned != nil && assigned.usable(tried) && !assigned.avoided() {
			return assigned
		}
	}
	return p.choose(request, tried)
}

// Release ends what Pick began.
func (p *Pool) Release(target *Target) {
	if p.settings.MaxRequests > 0 {
		p.releaseBounded(target)
		return
	}
	target.active.Add(-1)
}

// Forget ends a request, which may have left without a word about the targets that it was for.
func (p *Pool) Forget(request *Request) {
	p.Conclude(request)
	if request.trial {
		request.trial = false
		p.breaker.forgo()
	}
}
