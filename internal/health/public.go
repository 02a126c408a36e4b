package health

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// publicAge is how old the answer of Public may be: whoever asks often does not make the checks run more often.
const publicAge = 500 * time.Millisecond

// Public answers GET and HEAD of path for anybody, on any host, before next sees them: 200 while the process should be sent
// traffic, 503 when a check failed or it drains. It tells the status alone: what failed is for /readyz.
func (c *Checks) Public(path string, next http.Handler) http.Handler {
	var recent recently
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != path || r.Method != http.MethodGet && r.Method != http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		current := recent.status(r.Context(), c)
		writeJSON(w, current.code(), map[string]Status{"status": current})
	})
}

// recently keeps a status for publicAge; one request at a time finds it out.
type recently struct {
	mu    sync.Mutex
	known Status
	at    time.Time
}

func (r *recently) status(ctx context.Context, checks *Checks) Status {
	if checks.Draining() {
		return Draining
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.at) >= publicAge {
		// A client that leaves says nothing about the process.
		r.known, r.at = checks.Look(context.WithoutCancel(ctx)).Status, time.Now()
	}
	return r.known
}

// code is the status code by which a status is told.
func (s Status) code() int {
	if s == Failed || s == Draining {
		return http.StatusServiceUnavailable
	}
	return http.StatusOK
}
