package health_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/portico-web/portico/internal/health"
)

func status(s health.Status) health.Check {
	return func(context.Context) health.Result {
		return health.Result{Status: s, Detail: string(s) + " for a test"}
	}
}

func TestReadinessIsTheWorstOfItsChecks(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		checks map[string]health.Check
		drain  bool
		status health.Status
		code   int
	}{
		"no checks":     {nil, false, health.OK, 200},
		"all well":      {map[string]health.Check{"a": status(health.OK)}, false, health.OK, 200},
		"degraded":      {map[string]health.Check{"a": status(health.OK), "redis": status(health.Degraded)}, false, health.Degraded, 200},
		"failed":        {map[string]health.Check{"a": status(health.Degraded), "b": status(health.Failed)}, false, health.Failed, 503},
		"draining":      {map[string]health.Check{"a": status(health.OK)}, true, health.Draining, 503},
		"slow one ends": {map[string]health.Check{"slow": func(ctx context.Context) health.Result { <-ctx.Done(); return health.Result{Status: health.Failed} }}, false, health.Failed, 503},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var checks health.Checks
			for check, look := range test.checks {
				checks.Add(check, look)
			}
			if test.drain {
				checks.Drain()
			}
			mux := http.NewServeMux()
			checks.Register(mux)
			server := httptest.NewServer(mux)
			t.Cleanup(server.Close)
			response, err := http.Get(server.URL + "/readyz")
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			var report health.Report
			if err := json.NewDecoder(response.Body).Decode(&report); err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != test.code || report.Status != test.status || len(report.Checks) != len(test.checks) {
				t.Errorf("answered %d %+v, want %d %s", response.StatusCode, report, test.code, test.status)
			}
			if err := health.Probe(t.Context(), server.URL+"/readyz"); (err == nil) != (test.code == 200) {
				t.Errorf("Probe: %v", err)
			} else if err != nil && !strings.Contains(err.Error(), string(test.status)) {
				t.Errorf("Probe does not name the status: %v", err)
			}
			alive, err := http.Get(server.URL + "/healthz")
			if err != nil {
				t.Fatal(err)
			}
			defer alive.Body.Close()
			if alive.StatusCode != 200 {
				t.Errorf("/healthz answers %d", alive.StatusCode)
			}
		})
	}
}
