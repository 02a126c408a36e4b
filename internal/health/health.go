// Package health answers /healthz and /readyz: is the process alive, and should it be sent traffic.
package health

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Status of one check. Degraded still takes traffic: something is missing that the process works around.
type Status string

const (
	OK       Status = "ok"
	Degraded Status = "degraded"
	Failed   Status = "failed"
	Draining Status = "draining"
)

// Result is what a check answers. Detail must be fit for an operator's eyes; internal ports only show it.
type Result struct {
	Status Status `json:"status"`
	Detail string `json:"detail,omitempty"`
}

// Check looks at one thing. It must return when ctx ends; it is called concurrently with other checks.
type Check func(ctx context.Context) Result

// checkTimeout bounds one look at all checks together.
const checkTimeout = 2 * time.Second

// Checks is a set of named checks. The zero value is ready to use; methods may be called concurrently.
type Checks struct {
	mu       sync.Mutex
	checks   map[string]Check
	draining atomic.Bool
}

// Add registers a check under a name that /readyz shows; a second Add of a name replaces the first.
func (c *Checks) Add(name string, check Check) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.checks == nil {
		c.checks = map[string]Check{}
	}
	c.checks[name] = check
}

// Remove takes a check away.
func (c *Checks) Remove(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.checks, name)
}

// Drain turns readiness off for good: the process is about to stop.
func (c *Checks) Drain() { c.draining.Store(true) }

// Draining tells whether Drain was called.
func (c *Checks) Draining() bool { return c.draining.Load() }

// Report is the body of /readyz.
type Report struct {
	Status Status            `json:"status"`
	Checks map[string]Result `json:"checks"`
}

// Look runs all checks at once and sums them up: the worst status wins.
func (c *Checks) Look(ctx context.Context) Report {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	c.mu.Lock()
	report := Report{Status: OK, Checks: make(map[string]Result, len(c.checks))}
	var wg sync.WaitGroup
	var results sync.Mutex
	for name, check := range c.checks {
		wg.Go(func() {
			result := check(ctx)
			results.Lock()
			defer results.Unlock()
			report.Checks[name] = result
		})
	}
	c.mu.Unlock()
	wg.Wait()
	for _, result := range report.Checks {
		switch {
		case result.Status == Failed:
			report.Status = Failed
		case result.Status == Degraded && report.Status == OK:
			report.Status = Degraded
		}
	}
	if c.draining.Load() {
		report.Status = Draining
	}
	return report
}

// Register mounts GET /healthz (200 while the process runs) and GET /readyz (503 when a check failed or the process drains).
func (c *Checks) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]Status{"status": OK})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		report := c.Look(r.Context())
		writeJSON(w, report.Status.code(), report)
	})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// Probe asks a process's /readyz at url and fails unless it answers 200. It is what the healthcheck subcommands call.
func Probe(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*checkTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var report Report
	_ = json.NewDecoder(response.Body).Decode(&report)
	if response.StatusCode != http.StatusOK {
		return &notReady{url: url, report: report}
	}
	return nil
}

type notReady struct {
	url    string
	report Report
}

func (e *notReady) Error() string {
	text := e.url + " answers " + string(e.report.Status)
	for name, result := range e.report.Checks {
		if result.Status != OK {
			text += "; " + name + ": " + result.Detail
		}
	}
	return text
}
