// Package ratelimit limits how often something may happen, by the generic cell rate algorithm (GCRA): in this process, or
// shared among processes through Redis with the process's own limits to fall back on.
package ratelimit

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Limit allows Events per Period on average and Burst of them at once. All three are positive.
type Limit struct {
	Name   string // tells limits apart that have one limiter; those without a name are one
	Events int
	Period time.Duration
	Burst  int
}

// Result is what became of one event.
type Result struct {
	Allowed    bool
	Remaining  int           // events that would be allowed right now
	RetryAfter time.Duration // when the next event is allowed; 0 if this one was
	ResetAfter time.Duration // when the full burst is there again
}

// Limiter counts an event of key against limit. It never fails: a limiter that cannot ask its store decides by itself. It is
// safe for concurrent use. Keys of different limits must differ.
type Limiter interface {
	Allow(ctx context.Context, key string, limit Limit) Result
}

// maxEvents keeps the arithmetic of a limit far from overflow, in Redis's floating point numbers too.
const maxEvents = 1_000_000

// ParseRate reads "50/s", "10/m", "100/h", "1000/d" or "5/10s": events, and the time they are counted over.
func ParseRate(text string) (events int, period time.Duration, err error) {
	malformed := fmt.Errorf("%q is not a rate such as 50/s, 10/m, 100/h or 5/10s", text)
	count, unit, found := strings.Cut(text, "/")
	events, err = strconv.Atoi(strings.TrimSpace(count))
	if !found || err != nil || events < 1 || events > maxEvents {
		return 0, 0, malformed
	}
	unit = strings.TrimSpace(unit)
	switch unit {
	case "s", "m", "h":
		unit = "1" + unit
	case "d":
		unit = "24h"
	}
	period, err = time.ParseDuration(unit)
	if err != nil || period < time.Millisecond || period > 31*24*time.Hour || period/time.Duration(events) < time.Microsecond {
		return 0, 0, malformed
	}
	return events, period, nil
}

// ClientKey is the key under which a client's address is counted. Of IPv6 the first 64 bits count, since one customer has a
// whole /64 to choose from.
func ClientKey(addr netip.Addr) string { return string(AppendClientKey(nil, addr)) }

// AppendClientKey appends what ClientKey returns.
func AppendClientKey(into []byte, addr netip.Addr) []byte {
	addr = addr.Unmap()
	if addr.Is6() {
		if prefix, err := addr.WithZone("").Prefix(64); err == nil {
			return prefix.AppendTo(into)
		}
	}
	return addr.AppendTo(into)
}

// interval is the time one event takes at the limit's average rate.
func (l Limit) interval() time.Duration { return l.Period / time.Duration(l.Events) }
