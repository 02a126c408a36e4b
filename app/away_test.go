package app_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/portico-web/portico/internal/dbtest"
)

func TestRequestsAreAnswered503WhileTheDatabaseIsAwayAndAsEverOnceItIsBack(t *testing.T) {
	t.Parallel()
	postgres := dbtest.NewRelay(t, dbtest.Postgres(t))
	base := serveOn(t, postgres.URL)

	get := func(path, accept string) (status int, body string, header http.Header) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Accept", accept)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		content, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(content), response.Header
	}
	paths := map[string]string{
		"/api/v1/boards": `{"detail":"The service is not available right now. Please try again in a moment."}`,
		"/":              "Not available right now",
	}
	for range 3 {
		for path := range paths {
			if status, body, _ := get(path, "*/*"); status != http.StatusOK {
				t.Fatalf("%s with a database: %d %.300s", path, status, body)
			}
		}
		postgres.Refuse()
		for range 4 { // the first ones find connections that are broken, the others none
			for path, contains := range paths {
				status, body, header := get(path, "*/*")
				if status != http.StatusServiceUnavailable || !strings.Contains(body, contains) || header.Get("Retry-After") == "" {
					t.Errorf("%s without a database: %d, Retry-After %q, %.300s", path, status, header.Get("Retry-After"), body)
				}
			}
		}
		postgres.Heal()
	}
}
