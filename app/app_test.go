package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/portico-web/portico/app"
	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/dbtest"
	"github.com/portico-web/portico/internal/health"
	"github.com/portico-web/portico/internal/logging"
	"github.com/portico-web/portico/internal/telemetry"
	"github.com/portico-web/portico/migrations"
)

const secret = "SECRET_KEY=0123456789abcdef0123456789abcdef"

// serve runs an application on an empty SQLite database and returns its address.
func serve(t *testing.T, environ ...string) string {
	t.Helper()
	return serveOn(t, dbtest.SQLite(t), environ...)
}

func serveOn(t *testing.T, url string, environ ...string) string {
	t.Helper()
	cfg, err := app.LoadConfig(append([]string{secret, "DATABASE_URL=" + url, "PUBLIC_URL=http://localhost", "ALLOWED_HOSTS=127.0.0.1,.example.com", "SMTP_URL=mailbox:"}, environ...))
	if err != nil {
		t.Fatal(err)
	}
	db, err := database.Open(t.Context(), url, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Migrate(t.Context(), migrations.FS, logging.Discard()); err != nil {
		t.Fatal(err)
	}
	a, err := app.New(t.Context(), cfg, app.Surroundings{
		DB: db, Log: logging.Discard(), Registry: telemetry.NewRegistry("app", "test"), Checks: &health.Checks{}, Version: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(a.Handler())
	t.Cleanup(func() {
		server.Close()
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return server.URL
}

func TestRequestIsAnsweredInTheFormThatItsPathPromises(t *testing.T) {
	t.Parallel()
	base := serve(t)
	big := strings.Repeat("a", 1<<20+1)
	tests := map[string]struct {
		method, path, body string
		header             map[string]string
		status             int
		contains           string
	}{
		"array of boards":                    {"GET", "/board/", "", nil, 200, "[]"},
		"without the slash":                  {"GET", "/board", "", nil, 200, "[]"},
		"earlier path ignores parameters":    {"GET", "/board/?_=123", "", nil, 200, "[]"},
		"new path with a slash":              {"GET", "/api/v1/boards/", "", nil, 200, `"count":0`},
		"new path refuses parameters":        {"GET", "/api/v1/boards?colour=red", "", nil, 400, `{"colour":["Unknown parameter."]}`},
		"ordering without end":               {"GET", "/api/v1/posts?ordering=" + strings.Repeat("title,-id,", 2000) + "id", "", nil, 200, `"count":0`},
		"HEAD":                               {"HEAD", "/board/", "", nil, 200, ""},
		"unknown API path":                   {"GET", "/api/v1/nothing", "", nil, 404, `{"detail":"Not found."}`},
		"unknown API path in Korean":         {"GET", "/api/v1/nothing", "", map[string]string{"Accept-Language": "ko"}, 404, `{"detail":"찾을 수 없습니다."}`},
		"not a number":                       {"GET", "/board/x/", "", nil, 404, `{"detail":"Not found."}`},
		"unknown page":                       {"GET", "/nothing", "", nil, 404, "<html"},
		"front page":                         {"GET", "/", "", nil, 200, "<html"},
		"method":                             {"DELETE", "/accounts/login/", "", nil, 405, `{"detail":"Method \"DELETE\" not allowed."}`},
		"foreign host":                       {"GET", "/board/", "", map[string]string{"Host": "evil.test"}, 400, `{"detail":"Invalid host."}`},
		"host that leads elsewhere":          {"GET", "/board/", "", map[string]string{"X-Forwarded-Host": "127.0.0.1:80@evil.test"}, 400, `{"detail":"Invalid host."}`},
		"subdomain that leads elsewhere":     {"GET", "/board/", "", map[string]string{"X-Forwarded-Host": "evil.test/www.example.com"}, 400, `{"detail":"Invalid host."}`},
		"allowed subdomain":                  {"GET", "/board/", "", map[string]string{"Host": "www.example.com:8443"}, 200, "[]"},
		"broken JSON":                        {"POST", "/accounts/login/", "{", nil, 400, `{"detail":"JSON parse error - `},
		"number out of range":                {"POST", "/accounts/login/", `{"email":1e999,"password":"x"}`, nil, 400, `{"detail":"JSON parse error - number out of range"}`},
		"missing fields":                     {"POST", "/accounts/registration/", "{}", nil, 400, `"email":["This field is required."]`},
		"wrong type":                         {"POST", "/accounts/login/", `{"email":[],"password":1}`, nil, 400, `"email":["`},
		"another media type":                 {"POST", "/accounts/login/", "<x/>", map[string]string{"Content-Type": "text/xml"}, 415, `{"detail":"`},
		"body too large":                     {"POST", "/accounts/login/", big, nil, 413, `{"detail":"Request body is too large."}`},
		"signed out":                         {"POST", "/api/v1/boards", `{"name":"x"}`, nil, 401, `{"detail":"Authentication credentials were not provided."}`},
		"mailbox that no edge vouches for":   {"GET", "/mailbox/messages.json", "", nil, 404, ""},
		"mailbox for a forged address":       {"GET", "/mailbox/messages.json", "", map[string]string{"X-Forwarded-For": "203.0.113.5"}, 404, ""},
		"mailbox for this machine":           {"GET", "/mailbox/messages.json", "", map[string]string{"X-Forwarded-For": "127.0.0.1"}, 200, "[]"},
		"OpenAPI":                            {"GET", "/api/openapi.json", "", nil, 200, `"openapi":"3.1.0"`},
		"keys":                               {"GET", "/.well-known/jwks.json", "", nil, 200, `"Ed25519"`},
		"request id of the edge is kept":     {"GET", "/board/", "", map[string]string{"X-Request-Id": "from-the-edge"}, 200, "[]"},
		"harmful request id is not repeated": {"GET", "/board/", "", map[string]string{"X-Request-Id": "<b>"}, 200, "[]"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request, err := http.NewRequestWithContext(t.Context(), test.method, base+test.path, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			if test.body != "" {
				request.Header.Set("Content-Type", "application/json")
			}
			for key, value := range test.header {
				request.Header.Set(key, value)
			}
			if host := test.header["Host"]; host != "" {
				request.Host = host
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != test.status || !strings.Contains(string(body), test.contains) {
				t.Errorf("answered %d %.300s, want %d with %q", response.StatusCode, body, test.status, test.contains)
			}
			if response.Header.Get("X-Content-Type-Options") != "nosniff" || response.Header.Get("Content-Security-Policy") == "" {
				t.Errorf("headers %v lack the protective ones", response.Header)
			}
			if response.Header.Get("Cache-Control") == "" {
				t.Error("caches are left to guess whom the answer is for")
			}
			id := response.Header.Get("X-Request-Id")
			if sent := test.header["X-Request-Id"]; id == "" || strings.Contains(id, "<") || sent == "from-the-edge" && id != sent {
				t.Errorf("request id %q", id)
			}
			if test.status == http.StatusMethodNotAllowed && response.Header.Get("Allow") != "POST" {
				t.Errorf("Allow: %q", response.Header.Get("Allow"))
			}
		})
	}
}

func TestOpenAPIDocumentNamesErrorsAsTheyAre(t *testing.T) {
	t.Parallel()
	raw, err := app.OpenAPI("test")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string
			Responses   map[string]any
		}
	}
	if err := json.Unmarshal(raw, &document); err != nil {
		t.Fatal(err)
	}
	if document.OpenAPI != "3.1.0" || len(document.Paths) == 0 || strings.Contains(string(raw), "problem+json") {
		t.Errorf("OpenAPI %q with %d paths", document.OpenAPI, len(document.Paths))
	}
	seen := map[string]string{}
	for path, operations := range document.Paths {
		for method, operation := range operations {
			where := method + " " + path
			if other, ok := seen[operation.OperationID]; ok {
				t.Errorf("%s and %s share the id %s", where, other, operation.OperationID)
			}
			seen[operation.OperationID] = where
			if _, ok := operation.Responses["422"]; ok {
				t.Errorf("%s documents a 422 that is never sent", where)
			}
		}
	}
}

func TestSettingsAreChecked(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		environ []string
		want    string
	}{
		"short key":          {[]string{"SECRET_KEY=short"}, "SECRET_KEY"},
		"short older key":    {[]string{secret, "SECRET_KEY_FALLBACKS=short"}, "SECRET_KEY_FALLBACKS"},
		"no key":             {nil, "SECRET_KEY is required"},
		"public URL":         {[]string{secret, "PUBLIC_URL=example.com"}, "PUBLIC_URL"},
		"lifetimes":          {[]string{secret, "ACCESS_TOKEN_LIFETIME=2h", "REFRESH_TOKEN_LIFETIME=1h"}, "REFRESH_TOKEN_LIFETIME"},
		"no time to stop":    {[]string{secret, "STOP_TIMEOUT=-5s"}, "STOP_TIMEOUT"},
		"mail":               {[]string{secret, "SMTP_URL=pigeon:"}, "SMTP_URL"},
		"networks":           {[]string{secret, "MAILBOX_ALLOW=everyone"}, "MAILBOX_ALLOW"},
		"older key is a key": {[]string{"DJANGO_SECRET_KEY=short"}, "SECRET_KEY"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := app.LoadConfig(test.environ)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v does not name %s", err, test.want)
			}
		})
	}
}
