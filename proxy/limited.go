package proxy

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/portico-web/portico/internal/ratelimit"
	"github.com/portico-web/portico/proxy/config"
	"github.com/portico-web/portico/proxy/message"
)

// limit is a rate limit made ready.
type limit struct {
	name   string
	prefix string // of the keys of its clients
	policy string // the RateLimit-Policy field
	ratelimit.Limit
}

func newLimit(name string, configured config.RateLimit) *limit {
	rate := configured.Rate
	return &limit{
		name:   name,
		prefix: "edge:" + name + ":",
		policy: fmt.Sprintf("%d;w=%d;burst=%d", rate.Events, max(int(rate.Period.Seconds()), 1), configured.Burst),
		Limit:  ratelimit.Limit{Events: rate.Events, Period: rate.Period, Burst: configured.Burst},
	}
}

// admit is the policy that counts a request against the limit; one too many is answered 429.
func (l *limit) admit(x *exchange) bool {
	x.limit = l
	var room [64]byte
	key := ratelimit.AppendClientKey(append(room[:0], x.limit.prefix...), x.client)
	x.limited = x.state.limiter.Allow(context.Background(), string(key), x.limit.Limit) // who leaves is counted all the same
	if x.limited.Allowed {
		return true
	}
	x.proxy.metrics.limited.WithLabelValues(x.limit.name).Inc()
	wait := wholeSeconds(x.limited.RetryAfter)
	x.failWith(&message.Field{Name: []byte("Retry-After"), Value: strconv.AppendInt(nil, int64(wait), 10)},
		http.StatusTooManyRequests, "Too many requests. Please try again in %d s.", wait)
	return false
}
