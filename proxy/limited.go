package proxy

import (
	"context"
	"net/http"
	"strconv"

	"github.com/portico-web/portico/internal/ratelimit"
	"github.com/portico-web/portico/proxy/message"
)

// limit is a rate limit made ready.
type limit struct {
	name   string
	prefix string // of the keys of its clients
	policy string // the RateLimit-Policy field
	ratelimit.Limit
}

// admit counts the request against its route's limit; one too many is answered 429.
func (x *exchange) admit() bool {
	x.limit = x.route.limit
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
