package health_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/portico-web/portico/internal/health"
)

func TestAnybodyLearnsTheStatusAlone(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		method, path string
		checks       map[string]health.Check
		drain        bool
		code         int
		body         string
	}{
		"well":            {"GET", "/health", map[string]health.Check{"a": status(health.OK)}, false, 200, `{"status":"ok"}`},
		"degraded serves": {"GET", "/health", map[string]health.Check{"a": status(health.Degraded)}, false, 200, `{"status":"degraded"}`},
		"failed":          {"GET", "/health", map[string]health.Check{"secret name": status(health.Failed)}, false, 503, `{"status":"failed"}`},
		"draining":        {"GET", "/health", nil, true, 503, `{"status":"draining"}`},
		"another path":    {"GET", "/health/more", nil, false, 418, ""},
		"another method":  {"POST", "/health", nil, false, 418, ""},
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
			handler := checks.Public("/health", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, httptest.NewRequest(test.method, test.path, nil))
			if recorder.Code != test.code {
				t.Errorf("answered %d, want %d", recorder.Code, test.code)
			}
			if test.body != "" && !sameJSON(t, recorder.Body.Bytes(), test.body) {
				t.Errorf("answered %s, want %s", recorder.Body, test.body)
			}
		})
	}
}

func sameJSON(t *testing.T, got []byte, want string) bool {
	t.Helper()
	var a, b map[string]any
	if err := json.Unmarshal(got, &a); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatal(err)
	}
	return len(a) == len(b) && a["status"] == b["status"]
}

func TestManyQuestionsAtOnceRunTheChecksOnce(t *testing.T) {
	t.Parallel()
	var checks health.Checks
	var looks atomic.Int64
	checks.Add("counted", func(context.Context) health.Result {
		looks.Add(1)
		return health.Result{Status: health.OK}
	})
	handler := checks.Public("/health", http.NotFoundHandler())
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/health", nil)) })
	}
	all.Wait()
	if n := looks.Load(); n >= 25 { // one, and one more for each half second that the test takes
		t.Errorf("50 questions made the checks run %d times", n)
	}
}
