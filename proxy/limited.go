package proxy

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"time"

	"github.com/portico-web/portico/internal/ratelimit"
	"github.com/portico-web/portico/proxy/config"
	"github.com/portico-web/portico/proxy/guard"
)

// limit is a rate limit made ready.
type limit struct {
	name   string
	prefix string       // of the keys of its clients
	policy string       // the RateLimit-Policy field
	source guard.Source // of what tells clients apart besides their address
	user   bool         // it is who they proved to be
	ratelimit.Limit
}

func newLimit(name string, configured config.RateLimit) *limit {
	rate := configured.Rate
	source, _ := guard.ParseSource(configured.Key) // checked; one of another kind finds nothing
	return &limit{
		name:   name,
		prefix: "edge:" + name + ":",
		policy: fmt.Sprintf("%d;w=%d;burst=%d", rate.Events, max(int(rate.Period.Seconds()), 1), configured.Burst),
		source: source,
		user:   configured.Key == config.KeySubject,
		Limit:  ratelimit.Limit{Name: name, Events: rate.Events, Period: rate.Period, Burst: configured.Burst},
	}
}

// admit is the policy that counts a request against the limit; one too many is answered 429. Of several limits the client is
// told the one that leaves it the least.
func (l *limit) admit(x *exchange) bool {
	result := x.state.limiter.Allow(context.Background(), l.keyOf(x), l.Limit) // who leaves is counted all the same
	if x.limit == nil || !result.Allowed || result.Remaining < x.limited.Remaining {
		x.limit, x.limited = l, result
	}
	if result.Allowed {
		return true
	}
	x.proxy.metrics.limited.WithLabelValues(l.name).Inc()
	x.refuseFor(result.RetryAfter)
	return false
}

// keyOf is what the request is counted under. What a client sends is hashed: it may be long, and a secret. The sign before it
// keeps it from passing for the address of somebody else.
func (l *limit) keyOf(x *exchange) string {
	var room [96]byte
	key := append(room[:0], l.prefix...)
	value := l.source.Value(x.Head())
	if l.user {
		value = []byte(x.user)
	}
	if len(value) > 0 {
		sum := sha256.Sum256(value)
		return string(base64.RawURLEncoding.AppendEncode(append(key, '='), sum[:16]))
	}
	return string(ratelimit.AppendClientKey(key, x.client))
}

// refuseFor answers that the client has to wait.
func (x *exchange) refuseFor(wait time.Duration) {
	x.failWith(retryAfter(wait), http.StatusTooManyRequests, "Too many requests. Please try again in %d s.", wholeSeconds(wait))
}
