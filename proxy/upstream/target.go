package upstream

import (
	"context"
	"crypto/tls"
	"sync/atomic"
	"time"
)

// avoid is how long a target that refused a connection is asked only when no other is left.
const avoid = time.Second

// Target is one server of a Pool, with the connections to it. It is safe for concurrent use.
type Target struct {
	Address                  // as the settings name it; several targets share one when it is a name with several addresses
	retried    *atomic.Int64 // shared by these
	at         endpoint
	id         uint64       // of the endpoint, for Hash
	mark       string       // of the endpoint, for Sticky
	since      atomic.Int64 // when it came in or back, in Unix nanoseconds; 0 when others did at the same time
	down       atomic.Bool  // what probes found; never set without probes
	avoidUntil atomic.Int64 // Unix nanoseconds
	active     atomic.Int64
	most       int64 // of active; 0: any number

	ejectedUntil atomic.Int64 // Unix nanoseconds; 0: it is not
	failing      failing

	forget context.CancelFunc // ends the probes; set by the Pool
	probed chan struct{}      // closed once the first of them has a result, or there are none

	config        *tls.Config // nil without TLS
	upgradeConfig *tls.Config
	writeTimeout  time.Duration
	idle          idle
	http2         multiplexed
}

func (p *Pool) newTarget(m *member, at endpoint) *Target {
	t := &Target{
		Address: m.Address, at: at, retried: &m.retried, id: hashOf(at.address), mark: p.settings.Sticky.mark(p.settings.Name, at), writeTimeout: p.ResponseTimeout(),
		most: int64(p.settings.MaxRequests), probed: make(chan struct{}),
	}
	t.secure(p.tls)
	t.http2.init(t)
	return t
}

// Endpoint is where connections to the target go: an address and port when those of its name are known, or a socket's path.
func (t *Target) Endpoint() string { return t.at.address }

// Healthy is what the last probes found; a target that is not probed counts as healthy.
func (t *Target) Healthy() bool { return !t.down.Load() }

// Active is how many requests the target is working on.
func (t *Target) Active() int64 { return t.active.Load() }

// avoided tells whether the target refused a connection just now.
func (t *Target) avoided() bool {
	until := t.avoidUntil.Load()
	return until != 0 && until > time.Now().UnixNano()
}

// Refused notes that the target did not take a connection.
func (t *Target) Refused() { t.avoidUntil.Store(time.Now().Add(avoid).UnixNano()) }

// Retried notes that a request which went to the target, or could not, goes to another.
func (t *Target) Retried() { t.retried.Add(1) }

// Retries is how often that was so, of all targets at the same Address.
func (t *Target) Retries() int64 { return t.retried.Load() }

// retire ends the probes and closes the connections that are idle; the others go with the exchange on them.
func (t *Target) retire() {
	t.forget()
	t.idle.close()
	t.http2.close()
}
