package worker_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/portico-web/portico/internal/dbtest"
	"github.com/portico-web/portico/worker"
)

// paths are some of every sort that the dashboard has.
func paths() []string {
	return []string{
		"/", "/workers", "/worker/x", "/tasks", "/task/1", "/nothing", "/events", "/assets/dashboard.css", "/assets/live.js",
		"/api/workers", "/api/tasks", "/api/task/types", "/api/task/info/1", "/api/task/result/1", "/api/queues/length", "/api/nothing",
	}
}

func TestEveryPathOfTheDashboardWantsAUser(t *testing.T) {
	t.Parallel()
	r := newPlatform(t, dbtest.SQLite(t)).start(t, nil)
	for name, credentials := range map[string]func(*http.Request){
		"none":                  func(r *http.Request) { r.Header.Del("Authorization") },
		"an unknown user":       func(r *http.Request) { r.SetBasicAuth("nobody", password) },
		"a wrong password":      func(r *http.Request) { r.SetBasicAuth(user, "wrong") },
		"another's password":    func(r *http.Request) { r.SetBasicAuth("other", password) },
		"an empty password":     func(r *http.Request) { r.SetBasicAuth(user, "") },
		"a prefix":              func(r *http.Request) { r.SetBasicAuth(user, "correct") },
		"the setting's text":    func(r *http.Request) { r.SetBasicAuth(user+":"+password, "") },
		"a token":               func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+password) },
		"something that is not": func(r *http.Request) { r.Header.Set("Authorization", "Basic ???") },
	} {
		for _, path := range paths() {
			a := r.request(t, http.MethodGet, path, "", credentials)
			if a.status != http.StatusUnauthorized || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Basic ") || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s with %s: %d, want 401 with a challenge", path, name, a.status)
			}
		}
		for _, path := range []string{"/api/task/async-apply/maintenance.purge_tokens", "/task/1/retry"} {
			if a := r.request(t, http.MethodPost, path, "{}", credentials); a.status != http.StatusUnauthorized {
				t.Errorf("POST %s with %s: %d, want 401", path, name, a.status)
			}
		}
	}
	for _, credentials := range []func(*http.Request){
		func(r *http.Request) { r.SetBasicAuth(user, password) }, func(r *http.Request) { r.SetBasicAuth("other", "x") },
	} {
		if a := r.request(t, http.MethodGet, "/api/workers", "", credentials); a.status != http.StatusOK {
			t.Errorf("a user is answered %d %s, want 200", a.status, a.body)
		}
	}
}

func TestHealthcheckWantsNoUser(t *testing.T) {
	t.Parallel()
	r := newPlatform(t, dbtest.SQLite(t)).start(t, nil, nobody)
	a := r.request(t, http.MethodGet, "/healthcheck", "", func(r *http.Request) { r.Header.Del("Authorization") })
	if a.status != http.StatusOK || a.body != "OK" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("a probe is answered %d %s %v, want 200 OK", a.status, a.body, a.header)
	}
}

func TestDashboardWithoutUsersRefusesEverybody(t *testing.T) {
	t.Parallel()
	r := newPlatform(t, dbtest.SQLite(t)).start(t, nil, nobody)
	for _, credentials := range []func(*http.Request){
		func(r *http.Request) { r.Header.Del("Authorization") },
		func(r *http.Request) { r.SetBasicAuth("", "") },
		func(r *http.Request) { r.SetBasicAuth(user, password) },
	} {
		for _, path := range paths() {
			if a := r.request(t, http.MethodGet, path, "", credentials); a.status != http.StatusUnauthorized {
				t.Errorf("%s: %d, want 401", path, a.status)
			}
		}
	}
}

func TestBrokenBasicAuthSettingIsToldWithoutThePassword(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, dbtest.SQLite(t))
	for _, setting := range []string{"s3cret", ":s3cret", "ops:", "ops:s3cret,s3cret"} {
		cfg, err := worker.LoadConfig([]string{"SMTP_URL=mailbox:", "LISTEN=127.0.0.1:0", "FLOWER_BASIC_AUTH=" + setting})
		if err != nil {
			t.Fatal(err)
		}
		_, err = worker.New(t.Context(), cfg, surroundings(p, nil))
		if err == nil || !strings.Contains(err.Error(), "FLOWER_BASIC_AUTH") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want a fault that names FLOWER_BASIC_AUTH and no password", setting, err)
		}
	}
}

func TestChangesAreRefusedToOtherSitesAndInReadOnlyMode(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, dbtest.SQLite(t))
	r, readOnly := p.start(t, nil), p.start(t, nil, "FLOWER_READ_ONLY=true")
	from := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for _, path := range []string{"/api/task/async-apply/maintenance.purge_tokens", "/api/task/revoke/1", "/task/1/retry", "/task/1/cancel"} {
		for name, foreign := range map[string]func(*http.Request){
			"another site's page": from("Sec-Fetch-Site", "cross-site"), "a sister site's page": from("Sec-Fetch-Site", "same-site"),
			"another origin": from("Origin", "https://evil.test"), "no origin at all": from("Origin", "null"),
		} {
			if a := r.request(t, http.MethodPost, path, "{}", foreign); a.status != http.StatusForbidden {
				t.Errorf("POST %s from %s: %d, want 403", path, name, a.status)
			}
		}
		if a := readOnly.request(t, http.MethodPost, path, "{}"); a.status != http.StatusForbidden {
			t.Errorf("POST %s in read-only mode: %d, want 403", path, a.status)
		}
	}
	own := from("Sec-Fetch-Site", "same-origin")
	if a := r.request(t, http.MethodPost, "/api/task/async-apply/maintenance.purge_tokens", "", own); a.status != http.StatusOK {
		t.Errorf("from our own page: %d %s, want 200", a.status, a.body)
	}
}

func TestDashboardLoadsNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	r := newPlatform(t, dbtest.SQLite(t)).start(t, nil)
	a := r.get(t, "/")
	policy := a.header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy %q lacks %s", policy, want)
		}
	}
	if strings.Contains(policy, "unsafe") || a.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("policy %q, X-Content-Type-Options %q", policy, a.header.Get("X-Content-Type-Options"))
	}
	for _, foreign := range []string{"http://", "https://", "src=\"//", " onclick", "<style", "style=\""} {
		if strings.Contains(a.body, foreign) {
			t.Errorf("the page holds %q", foreign)
		}
	}
	for _, reference := range strings.Split(a.body, "\"/flower/assets/")[1:] {
		path, _, _ := strings.Cut(reference, "\"")
		asset := r.get(t, "/assets/"+path)
		if asset.status != http.StatusOK || !strings.Contains(asset.header.Get("Cache-Control"), "immutable") {
			t.Errorf("asset %s: %d, Cache-Control %q", path, asset.status, asset.header.Get("Cache-Control"))
		}
	}
}

func TestFlowerWithoutSlashLeadsToTheDashboard(t *testing.T) {
	t.Parallel()
	r := newPlatform(t, dbtest.SQLite(t)).start(t, nil)
	if a := r.get(t, ""); a.status != http.StatusPermanentRedirect || a.header.Get("Location") != "/flower/" {
		t.Errorf("%d to %s, want 308 to /flower/", a.status, a.header.Get("Location"))
	}
}
