package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-web/portico/proxy"
	"github.com/portico-web/portico/proxy/config"
	"github.com/portico-web/portico/proxy/control"
)

// deployable is a configuration with a control socket, whose upstream app is probed often.
func deployable(t testing.TB, targets ...string) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "edge") // t.TempDir may be longer than a socket's path can be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return fmt.Sprintf("listen: {admin: \"unix:%s/s\"}\nupstreams: {app: {targets: [\"%s\"], health: {path: /up, interval: 50ms, timeout: 20s}}}\n"+
		"sites: [{hosts: [localhost], routes: [{path: /, upstream: app}]}]\n", folder, strings.Join(targets, `", "`))
}

// socket is the edge's control socket.
func (e *edge) socket() string {
	e.t.Helper()
	cfg, err := config.Load(e.config, noVariables)
	if err != nil {
		e.t.Fatal(err)
	}
	return strings.TrimPrefix(cfg.Listen.Admin, "unix:")
}

// change sends a command about app, and returns what it told.
func (e *edge) change(ctx context.Context, action string, wanted any) (told string, err error) {
	e.t.Helper()
	err = control.Change(ctx, e.socket(), "app", action, "a test", wanted, func(progress control.Progress) {
		told += progress.Step + ": " + progress.Text + "\n"
	})
	return told, err
}

func (e *edge) deploy(targets ...string) {
	e.t.Helper()
	if told, err := e.change(e.t.Context(), "deploy", deployTo(targets...)); err != nil {
		e.t.Fatalf("deploy %v: %v after\n%s", targets, err, told)
	}
}

func deployTo(targets ...string) control.Deploy {
	return control.Deploy{Targets: targets, Timeout: control.Duration(30 * time.Second), Drain: patiently}
}

var patiently = control.Drain{Within: control.Duration(time.Minute), Grace: control.Duration(time.Minute)}

func (e *edge) app() control.Upstream {
	e.t.Helper()
	var status control.Status
	if err := control.Call(e.t.Context(), e.socket(), http.MethodGet, "/status", &status); err != nil || len(status.Upstreams) != 1 {
		e.t.Fatalf("%+v, %v", status, err)
	}
	return status.Upstreams[0]
}

func (e *edge) serves(name string) {
	e.t.Helper()
	if got := e.get("https://localhost/"); got.StatusCode != http.StatusOK || got.body != name {
		e.t.Errorf("%d %q, want %q", got.StatusCode, got.body, name)
	}
}

// leaving is an application that is stopped right after it was replaced, as a deploy script does: a request that comes later
// finds nobody.
func leaving(name string) (server *httptest.Server, target string) {
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, name)
	}))
	return server, strings.TrimPrefix(server.URL, "http://")
}

func TestADeployUnderLoadFailsNoRequest(t *testing.T) {
	t.Parallel()
	server, target := leaving("0")
	e := start(t, deployable(t, target))
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	var answered, failed atomic.Int64
	for _, http2 := range []bool{false, true, false, true} {
		client := e.client(http2)
		load.Go(func() {
			for ctx.Err() == nil && failed.Load() == 0 {
				got, err := try(t.Context(), client, http.MethodPost, "https://localhost/", nil, "body")
				if err != nil || got.StatusCode != http.StatusOK {
					failed.Add(1)
					t.Errorf("%d %q, %v", got.StatusCode, got.body, err)
					return
				}
				answered.Add(1)
			}
		})
	}
	for i := range 20 {
		next, target := leaving(fmt.Sprint(i + 1))
		e.deploy(target)
		e.serves(fmt.Sprint(i + 1))
		server.CloseClientConnections()
		server.Close()
		server = next
	}
	stop()
	load.Wait()
	server.Close()
	if answered.Load() == 0 {
		t.Error("there was no load")
	}
	if app := e.app(); !app.Deployed || !strings.Contains(app.Last.By, ": a test") || !strings.HasPrefix(app.Last.Outcome, "drained ") {
		t.Errorf("%+v", app)
	}
}

func TestADeployThatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	old := named(t, "old")
	ill := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/up" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	var times atomic.Int64
	unsteady := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if times.Add(1)%3 == 0 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	broken := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/up":
		case r.Host != "localhost" || r.Header.Get("X-Forwarded-Proto") != "https":
			t.Errorf("the smoke path is asked of %s with %v", r.Host, r.Header)
		case r.URL.Path == "/broken":
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	e := start(t, deployable(t, old))
	within := func(d time.Duration, smoke string, targets ...string) control.Deploy {
		wanted := deployTo(targets...)
		wanted.Timeout = control.Duration(d)
		if smoke != "" {
			wanted.Smoke = []string{smoke}
		}
		return wanted
	}
	for name, c := range map[string]struct {
		action string
		wanted any
		says   string
	}{
		"nobody listens":     {"deploy", within(300*time.Millisecond, "", refusing(t)), "3 probes in a row within 300ms"},
		"ill":                {"deploy", within(2*time.Second, "", ill), "answers 503"},
		"one of two is ill":  {"deploy", within(2*time.Second, "", old, ill), "answers 503"},
		"all are ill":        {"deploy", within(2*time.Second, "", refusing(t), ill), "; "},
		"never three":        {"deploy", within(2*time.Second, "", unsteady), "answers 500"},
		"smoke":              {"deploy", within(time.Minute, "/broken", broken), "the smoke path failed: http://" + broken + "/broken answers 500"},
		"no target":          {"deploy", within(time.Minute, "", "app"), "is not a target"},
		"twice":              {"deploy", within(time.Minute, "", old, old), "named twice"},
		"no path":            {"deploy", within(time.Minute, "broken", broken), "does not begin with a slash"},
		"nothing before":     {"rollback", control.Rollback{}, "app was never deployed"},
		"unknown key":        {"deploy", map[string]string{"target": "x"}, "unknown field"},
		"negative duration":  {"deploy", map[string]string{"timeout": "-1s"}, "is not a duration"},
		"too long a command": {"deploy", within(time.Minute, "/"+strings.Repeat("x", 70_000), broken), "too large"},
	} {
		if told, err := e.change(t.Context(), c.action, c.wanted); err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v after\n%s", name, err, told)
		}
	}
	err := control.Change(t.Context(), e.socket(), "ap", "deploy", "", deployTo(old), func(control.Progress) {})
	if err == nil || !strings.Contains(err.Error(), `unknown upstream "ap": proxy.yaml has app`) {
		t.Error(err)
	}
	if err := control.Change(t.Context(), e.socket(), "app", "deploy", "two\nlines", deployTo(old), func(control.Progress) {}); err == nil {
		t.Error("a note breaks the line")
	}
	e.serves("old")
	if app := e.app(); app.Deployed || app.Busy != "" || app.Last != nil {
		t.Errorf("%+v", app)
	}
}

func TestADeployIsRefusedWhileAnotherRunsAndGivenUpWithItsCommand(t *testing.T) {
	t.Parallel()
	probed := make(chan struct{}, 100)
	slow := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		probed <- struct{}{}
		<-r.Context().Done()
	})
	e := start(t, deployable(t, named(t, "old")))
	ctx, interrupt := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := e.change(ctx, "deploy", deployTo(slow))
		first <- err
	}()
	<-probed
	if _, err := e.change(t.Context(), "deploy", deployTo(slow)); err == nil || !strings.Contains(err.Error(), "app is claimed by ") || !strings.Contains(err.Error(), ": a test (deploy, since 20") {
		t.Error(err)
	}
	if busy := e.app().Busy; !strings.Contains(busy, "a test (deploy, since 20") {
		t.Errorf("busy with %q", busy)
	}
	interrupt()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	eventually(t, "the end of a deploy that was given up", func() bool { return e.app().Busy == "" })
	e.deploy(named(t, "new"))
	e.serves("new")
}

func TestARollbackGoesBackAndForth(t *testing.T) {
	t.Parallel()
	one, two := named(t, "one"), named(t, "two")
	e := start(t, deployable(t, one))
	e.deploy(two)
	e.deploy(two) // a script that is run again must not forget what was before
	for _, name := range []string{"one", "two", "one"} {
		if told, err := e.change(t.Context(), "rollback", control.Rollback{Drain: patiently}); err != nil || !strings.Contains(told, "probe: probing ") {
			t.Fatalf("%v after\n%s", err, told)
		}
		e.serves(name)
	}
	history, err := control.Past(t.Context(), e.socket(), "app")
	if err != nil || len(history) != 4 || history[0].Action != "deploy" || history[3].Action != "rollback" || history[3].Targets[0] != one || history[3].From[0] != two {
		t.Errorf("%v, %+v", err, history)
	}
}

func TestARollbackByForceAsksNobody(t *testing.T) {
	t.Parallel()
	server, target := leaving("old")
	e := start(t, deployable(t, target))
	e.deploy(named(t, "new"))
	server.Close()
	short := control.Rollback{Timeout: control.Duration(200 * time.Millisecond), Drain: patiently}
	if _, err := e.change(t.Context(), "rollback", short); err == nil {
		t.Error("a rollback goes to a target that is gone")
	}
	short.Force = true
	if told, err := e.change(t.Context(), "rollback", short); err != nil || strings.Contains(told, "prob") {
		t.Errorf("%v after\n%s", err, told)
	}
	if app := e.app(); app.Targets[0] != target {
		t.Errorf("%+v", app)
	}
}

func TestDeployedTargetsStayThroughReloadsAndRestarts(t *testing.T) {
	t.Parallel()
	one, two, three := named(t, "one"), named(t, "two"), named(t, "three")
	e := start(t, deployable(t, one))
	e.deploy(two)
	content, err := os.ReadFile(e.config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, e.config, strings.NewReplacer(one, three, "50ms", "60ms").Replace(string(content)))
	if err := e.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.serves("two")
	if app := e.app(); !app.Deployed || !app.Differs || !strings.Contains(e.log.String(), "deployed targets serve, not those of the configuration") {
		t.Errorf("%+v", app)
	}
	if err := e.stop(); err != nil {
		t.Fatal(err)
	}
	e = startFrom(t, e.config, e.data)
	e.serves("two")
	e.deploy()
	e.serves("three")
	if app := e.app(); app.Deployed || app.Differs || app.Previous[0] != two {
		t.Errorf("%+v", app)
	}
	if err := e.stop(); err != nil {
		t.Fatal(err)
	}
	e = startFrom(t, e.config, e.data)
	e.serves("three")
}

func TestDeployedTargetsAreProbedAgainAtTheStart(t *testing.T) {
	t.Parallel()
	server, target := leaving("gone")
	e := start(t, deployable(t, named(t, "old")))
	e.deploy(target)
	if err := e.stop(); err != nil {
		t.Fatal(err)
	}
	server.Close()
	e = startFrom(t, e.config, e.data)
	if !strings.Contains(e.log.String(), "a deployed target does not pass its probe") {
		t.Error("nothing is said of a target that is gone")
	}
	eventually(t, "that a target which is gone takes no requests", func() bool {
		return e.get("https://localhost/").StatusCode == http.StatusServiceUnavailable
	})
}

func TestDeployedTargetsThatDoNotAnswerHoldUpNoStart(t *testing.T) {
	t.Parallel()
	var stuck atomic.Bool
	target := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if stuck.Load() {
			<-r.Context().Done()
		}
	})
	e := start(t, strings.Replace(deployable(t, named(t, "old")), "timeout: 20s", "timeout: 1h", 1))
	e.deploy(target)
	if err := e.stop(); err != nil {
		t.Fatal(err)
	}
	stuck.Store(true)
	e = startFrom(t, e.config, e.data)
	if !strings.Contains(e.log.String(), "a deployed target does not pass its probe") {
		t.Error("nothing is said of a target that does not answer")
	}
}

func TestAFileOfDeploysThatCannotBeUnderstoodStopsTheStart(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	file := filepath.Join(data, "proxy.yaml")
	write(t, file, deployable(t, named(t, "app")))
	write(t, filepath.Join(data, "deploys.json"), `{"version": 1, "upstreams": {"app": {"live": ["127.0.0.1:8`)
	cfg, err := config.Load(file, noVariables)
	if err != nil {
		t.Fatal(err)
	}
	e := &edge{t: t, data: data, config: file, log: &buffer{}}
	edge, err := proxy.New(cfg, options(t, e))
	if err != nil {
		t.Fatal(err)
	}
	err = edge.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "deploys.json, which keeps the deployed targets, cannot be used (unexpected end of JSON input): restore it, or remove it to let the targets of proxy.yaml serve") {
		t.Error(err)
	}
}

// holding is an application whose path /slow is answered when it is released, and whose /ws switches to another protocol.
func holding(t *testing.T) (target string, arrived, release chan struct{}) {
	t.Helper()
	arrived, release = make(chan struct{}, 10), make(chan struct{})
	target = serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			arrived <- struct{}{}
			select {
			case <-release:
			case <-r.Context().Done():
			}
			_, _ = io.WriteString(w, "old")
		case "/events":
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: first\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		case "/ws":
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "echo")
			w.WriteHeader(http.StatusSwitchingProtocols)
			connection, both, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer connection.Close()
			_, _ = io.Copy(connection, both)
		}
	})
	return target, arrived, release
}

func TestRequestsToTheOldTargetsEndInPeace(t *testing.T) {
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
	ended := make(chan string, 1)
	switched := make(chan struct{})
	go func() {
		var told strings.Builder
		err := control.Change(t.Context(), e.socket(), "app", "deploy", "", deployTo(named(t, "new")), func(progress control.Progress) {
			fmt.Fprintln(&told, progress.Text)
			if progress.Step == control.StepSwitch {
				close(switched)
			}
		})
		if err != nil {
			t.Error(err)
		}
		ended <- told.String()
	}()
	<-switched
	e.serves("new")
	select {
	case told := <-ended:
		t.Errorf("the deploy does not wait for a request:\n%s", told)
	default:
	}
	close(release)
	if got := <-slow; got.body != "old" {
		t.Errorf("%d %q", got.StatusCode, got.body)
	}
	if told := <-ended; !strings.Contains(told, "drained 1 request in ") {
		t.Error(told)
	}
}

func TestADrainHasADeadlineAndWhatIsLeftGoesOn(t *testing.T) {
	t.Parallel()
	old, arrived, release := holding(t)
	e := start(t, deployable(t, old))
	client := e.client(false)
	slow := make(chan answer, 1)
	go func() {
		got, err := try(t.Context(), client, http.MethodGet, "https://localhost/slow", nil, "")
		if err != nil {
			t.Error(err)
		}
		slow <- got
	}()
	<-arrived
	wanted := deployTo(named(t, "new"))
	wanted.Drain = control.Drain{Within: control.Duration(100 * time.Millisecond)}
	told, err := e.change(t.Context(), "deploy", wanted)
	if err != nil || !strings.Contains(told, "drained 0 requests in ") || !strings.Contains(told, "1 request still under way") {
		t.Errorf("%v after\n%s", err, told)
	}
	close(release)
	if got := <-slow; got.body != "old" {
		t.Errorf("%d %q", got.StatusCode, got.body)
	}
}

func TestWebSocketsAndEventStreamsEndAfterTheirGrace(t *testing.T) {
	t.Parallel()
	old, _, _ := holding(t)
	e := start(t, deployable(t, old))
	connection, err := e.dialTLS()
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_, _ = io.WriteString(connection, "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	reader := bufio.NewReader(connection)
	if response, err := http.ReadResponse(reader, nil); err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%+v, %v", response, err)
	}
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://localhost/events", http.NoBody)
	response, err := e.client(true).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	events := bufio.NewReader(response.Body)
	if line, err := events.ReadString('\n'); err != nil || line != "data: first\n" {
		t.Fatalf("%q, %v", line, err)
	}
	wanted := deployTo(named(t, "new"))
	wanted.Drain.Grace = control.Duration(200 * time.Millisecond)
	switched := false
	var told strings.Builder
	if err := control.Change(t.Context(), e.socket(), "app", "deploy", "", wanted, func(progress control.Progress) {
		fmt.Fprintln(&told, progress.Text)
		if progress.Step == control.StepSwitch { // it still answers
			switched = true
			_, _ = io.WriteString(connection, "ping")
			if got, err := io.ReadAll(io.LimitReader(reader, 4)); err != nil || string(got) != "ping" {
				t.Errorf("in its grace: %q, %v", got, err)
			}
		}
	}); err != nil || !switched || !strings.Contains(told.String(), "ended 2 streams") {
		t.Errorf("%v after\n%s", err, &told)
	}
	if rest, err := io.ReadAll(reader); err != nil || len(rest) != 0 {
		t.Errorf("the WebSocket ends with %q, %v", rest, err)
	}
	if rest, err := io.ReadAll(events); err != nil || strings.TrimSpace(string(rest)) != "" {
		t.Errorf("the event stream ends with %q, %v", rest, err)
	}
}

func TestADeployWaitsForRequestsFromBeforeAReloadToo(t *testing.T) {
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
	write(t, e.config, strings.Replace(string(content), "50ms", "60ms", 1))
	if err := e.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	wanted := deployTo(named(t, "new"))
	wanted.Drain = control.Drain{Within: control.Duration(100 * time.Millisecond)}
	if told, err := e.change(t.Context(), "deploy", wanted); err != nil || !strings.Contains(told, "1 request still under way") {
		t.Errorf("%v after\n%s", err, told)
	}
	close(release)
	if got := <-slow; got.body != "old" {
		t.Errorf("%d %q", got.StatusCode, got.body)
	}
}
