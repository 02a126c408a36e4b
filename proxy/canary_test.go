package proxy_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/portico-web/portico/proxy/control"
)

func (e *edge) canary(percent float64, targets ...string) {
	e.t.Helper()
	wanted := control.Canary{Targets: targets, Percent: percent, Timeout: control.Duration(30 * time.Second), Drain: patiently}
	if told, err := e.change(e.t.Context(), "canary", wanted); err != nil {
		e.t.Fatalf("canary %g %v: %v after\n%s", percent, targets, err, told)
	}
}

// numbered asks as a client that was given this number.
func (e *edge) numbered(client *http.Client, number string) answer {
	e.t.Helper()
	return do(e.t, client, http.MethodGet, "https://localhost/", http.Header{"Cookie": {"a=b; portico_canary=" + number}}, "")
}

func TestACanaryServesItsShareAndKeepsItsClients(t *testing.T) {
	t.Parallel()
	e := start(t, deployable(t, named(t, "live")))
	e.canary(50, named(t, "canary"))
	client := e.client(true)
	sides := map[string]int{}
	for range 100 {
		first := do(t, client, http.MethodGet, "https://localhost/", nil, "")
		sides[first.body]++
		cookie, number, found := strings.Cut(strings.Split(first.Header.Get("Set-Cookie"), ";")[0], "=")
		if !found || cookie != "portico_canary" || !strings.HasSuffix(first.Header.Get("Set-Cookie"), "; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure") {
			t.Fatalf("%q", first.Header.Get("Set-Cookie"))
		}
		if again := e.numbered(client, number); again.body != first.body || again.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s was served by %s and then by %s, told %q", number, first.body, again.body, again.Header.Get("Set-Cookie"))
		}
	}
	if sides["live"] < 20 || sides["canary"] < 20 || sides["live"]+sides["canary"] != 100 {
		t.Errorf("%v", sides)
	}
	for number, side := range map[string]string{"0": "canary", "4999": "canary", "5000": "live", "9999": "live"} {
		if got := e.numbered(client, number); got.body != side {
			t.Errorf("%s is served by %s", number, got.body)
		}
	}
	for _, number := range []string{"", "-1", "10000", "x", "99999999999999999999"} {
		if got := e.numbered(client, number); got.Header.Get("Set-Cookie") == "" {
			t.Errorf("%q is taken for a number", number)
		}
	}
	e.canary(0.01)
	for number, side := range map[string]string{"0": "canary", "1": "live"} {
		if got := e.numbered(client, number); got.body != side {
			t.Errorf("at 0.01%%, %s is served by %s", number, got.body)
		}
	}
	if metrics := e.metrics(); !strings.Contains(metrics, `upstream="app/canary"`) {
		t.Error("the metrics do not tell of the canary")
	}
	e.canary(0)
	if got := e.numbered(client, "0"); got.body != "live" || e.app().Canary != nil {
		t.Errorf("after the end, %s serves", got.body)
	}
	if got := do(t, client, http.MethodGet, "https://localhost/", nil, ""); got.Header.Get("Set-Cookie") != "" {
		t.Error("after the end, numbers are given")
	}
}

func TestAnAnswerThatAssignsACanaryIsNotForSharedCaches(t *testing.T) {
	t.Parallel()
	e := start(t, strings.Replace(deployable(t, named(t, "live")), "upstream: app}", "upstream: app, cache_control: public}", 1))
	e.canary(50, named(t, "canary"))
	client := e.client(true)
	if first := do(t, client, http.MethodGet, "https://localhost/", nil, ""); first.Header.Get("Set-Cookie") == "" || first.Header.Get("Cache-Control") != "" {
		t.Errorf("the first answer: %v", first.Header)
	}
	if again := e.numbered(client, "1"); again.Header.Get("Set-Cookie") != "" || again.Header.Get("Cache-Control") != "public" {
		t.Errorf("the next: %v", again.Header)
	}
}

func TestACanaryIsPromotedAndRolledBack(t *testing.T) {
	t.Parallel()
	live, next := named(t, "live"), named(t, "canary")
	e := start(t, deployable(t, live))
	e.canary(1, next)
	for action, wanted := range map[string]any{"deploy": deployTo(live), "rollback": control.Rollback{Drain: patiently}} {
		if _, err := e.change(t.Context(), action, wanted); err == nil || !strings.Contains(err.Error(), "app has a canary") {
			t.Errorf("%s: %v", action, err)
		}
	}
	if told, err := e.change(t.Context(), "canary", control.Canary{Promote: true, Drain: patiently}); err != nil || !strings.Contains(told, "probe: ") || !strings.Contains(told, "switched from "+live+" to "+next) {
		t.Fatalf("%v after\n%s", err, told)
	}
	e.serves("canary")
	if app := e.app(); app.Canary != nil || app.Previous[0] != live || app.Last.Action != "promote" {
		t.Errorf("%+v", app)
	}
	if _, err := e.change(t.Context(), "rollback", control.Rollback{Drain: patiently}); err != nil {
		t.Fatal(err)
	}
	e.serves("live")
	e.canary(1, next)
	if told, err := e.change(t.Context(), "deploy", deployTo(live)); err != nil || !strings.Contains(told, "served already") || e.app().Canary == nil {
		t.Errorf("to deploy what serves changes nothing: %v after\n%s", err, told)
	}
}

func TestACanaryOfTargetsThatServeAlreadyEndsWhenItIsPromoted(t *testing.T) {
	t.Parallel()
	live, next := named(t, "live"), named(t, "canary")
	content := deployable(t, live)
	e := start(t, content)
	e.canary(100, next)
	write(t, e.config, strings.Replace(content, live, next, 1))
	if err := e.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if told, err := e.change(t.Context(), "canary", control.Canary{Promote: true, Drain: patiently}); err != nil || !strings.Contains(told, next+" served already: the canary has ended") || !strings.Contains(told, "drained 0 requests") {
		t.Fatalf("%v after\n%s", err, told)
	}
	if app := e.app(); app.Canary != nil || app.Differs || len(app.Previous) > 0 || app.Last.Action != "promote" || !strings.HasPrefix(app.Last.Outcome, "drained ") {
		t.Errorf("%+v", app)
	}
	if strings.Contains(e.metrics(), `upstream="app/canary"`) {
		t.Error("the metrics still tell of the canary")
	}
	e.deploy(named(t, "later"))
	if got := e.numbered(e.client(true), "0"); got.body != "later" || got.Header.Get("Set-Cookie") != "" {
		t.Errorf("after a deploy, %s serves the canary's clients", got.body)
	}
}

func TestWhatIsNoCanaryIsRefused(t *testing.T) {
	t.Parallel()
	live := named(t, "live")
	e := start(t, deployable(t, live))
	for name, c := range map[string]struct {
		wanted control.Canary
		says   string
	}{
		"no target":        {control.Canary{Percent: 5}, "needs a target"},
		"more than all":    {control.Canary{Percent: 101, Targets: []string{"a:1"}}, "cannot serve 101%"},
		"less than none":   {control.Canary{Percent: -1, Targets: []string{"a:1"}}, "cannot serve -1%"},
		"the live one":     {control.Canary{Percent: 5, Targets: []string{live}}, "serves all clients already"},
		"ended before":     {control.Canary{}, "app has no canary"},
		"nothing there":    {control.Canary{Promote: true}, "app has no canary"},
		"two things":       {control.Canary{Promote: true, Percent: 5}, "as it is"},
		"nobody listens":   {control.Canary{Percent: 5, Targets: []string{refusing(t)}, Timeout: control.Duration(200 * time.Millisecond)}, "3 probes in a row"},
		"no path to smoke": {control.Canary{Percent: 5, Targets: []string{"a:1"}, Smoke: []string{"x"}}, "does not begin with a slash"},
	} {
		if told, err := e.change(t.Context(), "canary", c.wanted); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v after\n%s", name, err, told)
		}
	}
	if app := e.app(); app.Canary != nil || app.Last != nil {
		t.Errorf("%+v", app)
	}
}

func TestClientsOfADeadCanaryAreServedByTheOthers(t *testing.T) {
	t.Parallel()
	for _, health := range []bool{true, false} {
		content := deployable(t, named(t, "live"))
		if !health {
			content = strings.Replace(content, ", health: {path: /up, interval: 50ms, timeout: 20s}", "", 1)
		}
		e := start(t, content)
		server, target := leaving("canary")
		e.canary(100, target)
		e.serves("canary")
		server.CloseClientConnections()
		server.Close()
		for range 5 {
			e.serves("live")
		}
	}
}

func TestACanaryOutlastsReloadsAndTheEdge(t *testing.T) {
	t.Parallel()
	e := start(t, deployable(t, named(t, "live")))
	e.canary(100, named(t, "canary"))
	content, err := os.ReadFile(e.config)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		write(t, e.config, strings.Replace(string(content), "50ms", fmt.Sprintf("%dms", 60+i), 1))
		if err := e.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		e.serves("canary")
	}
	if _, err := e.change(t.Context(), "pause", pauseFor(time.Minute, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := e.change(t.Context(), "resume", control.Resume{}); err != nil {
		t.Fatal(err)
	}
	e.serves("canary")
	if err := e.stop(); err != nil {
		t.Fatal(err)
	}
	e = startFrom(t, e.config, e.data)
	e.serves("canary")
	if app := e.app(); app.Canary == nil || app.Canary.Percent != 100 {
		t.Errorf("%+v", app)
	}
}

func TestACanaryEndsNoStreamsOfTargetsThatServeOn(t *testing.T) {
	t.Parallel()
	old, arrived, release := holding(t)
	e := start(t, deployable(t, old))
	client := e.client(true)
	slow := make(chan answer, 1)
	go func() {
		got, err := try(t.Context(), client, http.MethodGet, "https://localhost/slow", nil, "")
		if err != nil {
			t.Error(err)
		}
		slow <- got
	}()
	<-arrived
	content, err := os.ReadFile(e.config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, e.config, strings.Replace(string(content), "50ms", "60ms", 1)) // other settings, and so another pool of the same targets
	if err := e.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	wanted := control.Canary{Targets: []string{named(t, "canary")}, Percent: 50, Timeout: control.Duration(30 * time.Second)}
	if told, err := e.change(t.Context(), "canary", wanted); err != nil || strings.Contains(told, "drained") {
		t.Errorf("%v after\n%s", err, told)
	}
	if told, err := e.change(t.Context(), "canary", control.Canary{Percent: 0}); err != nil || !strings.Contains(told, "drained 0 requests") {
		t.Errorf("%v after\n%s", err, told)
	}
	if told, err := e.change(t.Context(), "deploy", control.Deploy{Targets: []string{named(t, "new")}, Timeout: control.Duration(30 * time.Second)}); err != nil || !strings.Contains(told, "1 request still under way") {
		t.Errorf("%v after\n%s", err, told)
	}
	close(release)
	if got := <-slow; got.body != "old" {
		t.Errorf("%d %q", got.StatusCode, got.body)
	}
}
