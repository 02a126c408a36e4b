package proxy

import (
	"net/http"
	"strconv"
	"time"

	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/internal/ratelimit"
)

// limited is what a rate limit said about a request.
type limited struct {
	limit  *limit
	result ratelimit.Result
}

// admit counts the request against its route's limit; one too many is answered 429.
func (p *Proxy) admit(w http.ResponseWriter, r *http.Request, x *exchange) bool {
	limit := x.route.limit
	key := "edge:" + limit.name + ":" + ratelimit.ClientKey(x.client)
	result := x.state.limiter.Allow(r.Context(), key, limit.Limit)
	x.limited = &limited{limit: limit, result: result}
	if result.Allowed {
		return true
	}
	p.metrics.limited.WithLabelValues(limit.name).Inc()
	wait := wholeSeconds(result.RetryAfter)
	w.Header().Set("Retry-After", strconv.Itoa(wait))
	httpx.WriteFailure(w, r, http.StatusTooManyRequests, "Too many requests. Please try again in %d s.", wait)
	return false
}

// describe tells the client how much it has left; an upstream that keeps limits of its own knows better.
func (l *limited) describe(header http.Header) {
	if header.Get("Ratelimit-Limit") != "" && l.result.Allowed {
		return
	}
	header.Set("Ratelimit-Limit", strconv.Itoa(l.limit.Burst))
	header.Set("Ratelimit-Remaining", strconv.Itoa(l.result.Remaining))
	header.Set("Ratelimit-Reset", strconv.Itoa(wholeSeconds(l.result.ResetAfter)))
	header.Set("Ratelimit-Policy", l.limit.policy)
}

// wholeSeconds rounds up, so that who waits that long has waited long enough.
func wholeSeconds(d time.Duration) int {
	return max(int((d+time.Second-1)/time.Second), 1)
}
