package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSecondStartKeepsEverything(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "state")
	p := startEmbedded(t, data)
	c := p.client()
	var session struct{ Access string }
	c.do(http.StatusCreated, http.MethodPost, "/accounts/registration/", register("hana@example.com")).json(t, &session)
	if info, err := os.Stat(data); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the data folder: %v, %v, want rights 0700", info.Mode(), err)
	}
	root, err := os.ReadFile(p.rootCA)
	if err != nil {
		t.Fatal(err)
	}
	if status := p.embedded.stop(); status != 0 {
		t.Fatalf("exit status %d after SIGTERM", status)
	}

	p = startEmbedded(t, data)
	again := p.client()
	again.access = session.Access // signed with the kept secret
	var user struct{ Email string }
	again.do(http.StatusOK, http.MethodGet, "/accounts/user/", nil).json(t, &user)
	if user.Email != "hana@example.com" {
		t.Errorf("the second start knows %q", user.Email)
	}
	kept, err := os.ReadFile(p.rootCA)
	if err != nil || string(kept) != string(root) {
		t.Errorf("the CA changed (%v)", err)
	}
	if strings.Contains(p.embedded.output(), "assword") {
		t.Errorf("the second start prints a password:\n%s", p.embedded.output())
	}
}

func TestFirstStartPrintsTheAdministratorsPasswordThatItMadeUp(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	p := &platform{t: t, rootCA: filepath.Join(data, "ca", "root.pem")}
	p.embedded = start(t, nil, "portico", "up", "--data", data, "--https", "127.0.0.1:0", "--http", "127.0.0.1:0")
	p.url = p.embedded.waitFor(`(https://localhost:\d+)`)
	email, password := p.embedded.waitFor(`administrator +(\S+)`), p.embedded.waitFor(`password +(\S+)`)
	p.client().do(http.StatusOK, http.MethodPost, "/accounts/login/", map[string]any{"email": email, "password": password})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/flower/api/workers", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(email, password)
	if got, err := p.client().send(request); err != nil || got.status != http.StatusOK {
		t.Errorf("the dashboard answers the administrator %d, %v", got.status, err)
	}
}

func TestStartThatFailsKeepsNoPasswordToItself(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	up := []string{"up", "--data", data, "--https", "127.0.0.1:0", "--http", "127.0.0.1:0"}
	if start(t, []string{"FLOWER_BASIC_AUTH=nonsense"}, "portico", up...).wait() == 0 {
		t.Fatal("nonsense was taken for an account of the dashboard")
	}
	again := start(t, nil, "portico", up...)
	again.waitFor(`administrator +(\S+)`)
	again.waitFor(`password +(\S+)`)
}

func TestLocksOfAKilledStartAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	locks := filepath.Join(data, "certificates", "locks")
	if err := os.MkdirAll(locks, 0o700); err != nil {
		t.Fatal(err)
	}
	now, err := json.Marshal(map[string]time.Time{"created": time.Now(), "updated": time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(locks, "issue_cert_localhost.lock"), now, 0o600); err != nil {
		t.Fatal(err)
	}
	startEmbedded(t, data).client().do(http.StatusOK, http.MethodGet, "/board/", nil)
}

func TestTwoPlatformsDoNotShareADataFolder(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	startEmbedded(t, data)
	second := start(t, nil, "portico", "up", "--data", data, "--https", "127.0.0.1:0", "--http", "127.0.0.1:0")
	if status := second.wait(); status != 1 || !strings.Contains(second.output(), data) {
		t.Errorf("the second ended with %d: %s", status, second.output())
	}
}

func TestProcessesDrainOnSIGTERM(t *testing.T) {
	t.Parallel()
	p := startProcesses(t)
	p.client().do(http.StatusOK, http.MethodGet, "/", nil)
	for _, running := range []*process{p.proxy, p.app, p.worker} {
		if status := running.stop(); status != 0 {
			t.Errorf("%s ended with %d after SIGTERM:\n%s", running.name, status, running.output())
		}
	}
}

func TestDemoFillsACampusOnce(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	for range 2 {
		p := &platform{t: t, rootCA: filepath.Join(data, "ca", "root.pem")}
		p.embedded = start(t, embeddedEnv(), "portico", "up", "--demo", "--data", data, "--https", "127.0.0.1:0", "--http", "127.0.0.1:0")
		p.url = p.embedded.waitFor(`(https://localhost:\d+)`)
		c := p.client()
		for path, want := range map[string]int{"schools": 4, "boards": 20, "posts": 500} {
			var page struct{ Count int }
			c.do(http.StatusOK, http.MethodGet, "/api/v1/"+path, nil).json(t, &page)
			if page.Count != want {
				t.Errorf("%d %s, want %d", page.Count, path, want)
			}
		}
		if got := p.embedded.stop(); got != 0 {
			t.Fatal(fmt.Sprint("exit status ", got))
		}
	}
}

func TestRegistrationsAreLimitedWhereStrangersComeIn(t *testing.T) {
	t.Parallel()
	const allowed = 20 // a minute and address
	for name, test := range map[string]struct {
		https   string
		environ []string
		limited bool
	}{
		"this machine alone":      {"127.0.0.1:0", nil, false},
		"everywhere":              {"0.0.0.0:0", nil, true},
		"behind something public": {"127.0.0.1:0", []string{"PUBLIC_URL=https://campus.example.com"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startLimited(t, test.https, test.environ...)
			limited := false
			for i := 0; i < 2*allowed && !limited; i++ {
				limited = c.status(http.MethodPost, "/accounts/registration/", register(fmt.Sprintf("many-%d@example.com", i))) == http.StatusTooManyRequests
			}
			if limited != test.limited {
				t.Errorf("limited: %t, want %t", limited, test.limited)
			}
		})
	}
}

func TestGuessingAPasswordIsLimitedOnThisMachineToo(t *testing.T) {
	t.Parallel()
	c := startLimited(t, "127.0.0.1:0")
	guess := map[string]any{"email": "somebody@example.com", "password": "not the password"}
	for range 20 {
		if c.status(http.MethodPost, "/accounts/login/", guess) == http.StatusTooManyRequests {
			return
		}
	}
	t.Error("twenty guesses were answered")
}

// startLimited starts a platform with the limits that it has by itself and returns a client of it.
func startLimited(t *testing.T, https string, environ ...string) *client {
	t.Helper()
	data := t.TempDir()
	p := &platform{t: t, rootCA: filepath.Join(data, "ca", "root.pem")}
	p.embedded = start(t, environ, "portico", "up", "--data", data, "--https", https, "--http", "127.0.0.1:0")
	p.url = p.embedded.waitFor(`(https://localhost:\d+)`)
	return p.client()
}

// status is what a request is answered with.
func (c *client) status(method, path string, body any) int {
	c.t.Helper()
	got, err := c.try(method, path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	return got.status
}
