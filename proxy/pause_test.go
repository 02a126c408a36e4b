package proxy_test

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-web/portico/proxy/control"
)

func pauseFor(d time.Duration, queue int) control.Pause {
	return control.Pause{For: control.Duration(d), Queue: queue, Drain: patiently.Within}
}

// waiting waits until so many requests wait for the end of a pause.
func (e *edge) waiting(n int64) {
	e.t.Helper()
	eventually(e.t, "the waiting of requests", func() bool { return e.app().Waiting == n })
}

func TestRequestsWaitForTheEndOfAPause(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/up" {
			asked.Add(1)
		}
		_, _ = io.Copy(w, r.Body)
	})
	e := start(t, deployable(t, app))
	if told, err := e.change(t.Context(), "pause", pauseFor(time.Minute, 100)); err != nil || !strings.Contains(told, "paused: 100 requests wait up to 1m0s each") {
		t.Fatalf("%v after\n%s", err, told)
	}
	var clients sync.WaitGroup
	for _, http2 := range []bool{false, true} {
		client := e.client(http2)
		for range 5 {
			clients.Go(func() {
				got, err := try(t.Context(), client, http.MethodPost, "https://localhost/", nil, "content")
				if err != nil || got.StatusCode != http.StatusOK || got.body != "content" {
					t.Errorf("%d %q, %v", got.StatusCode, got.body, err)
				}
			})
		}
	}
	e.waiting(10)
	e.deploy(serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })) // meanwhile
	if asked.Load() != 0 {
		t.Error("requests do not wait")
	}
	if told, err := e.change(t.Context(), "resume", control.Resume{}); err != nil || !strings.Contains(told, "resumed, 10 requests waited") {
		t.Errorf("%v after\n%s", err, told)
	}
	clients.Wait()
	if asked.Load() != 0 {
		t.Error("requests that waited go to the targets of before")
	}
}

func TestAPauseIsBoundedInNumberAndTime(t *testing.T) {
	t.Parallel()
	e := start(t, deployable(t, named(t, "app")))
	if _, err := e.change(t.Context(), "pause", pauseFor(time.Minute, 1)); err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	first := make(chan error, 1)
	impatient := e.client(false)
	go func() {
		_, err := try(ctx, impatient, http.MethodGet, "https://localhost/", nil, "")
		first <- err
	}()
	e.waiting(1)
	if got := e.get("https://localhost/"); got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") != "60" {
		t.Errorf("beyond the queue: %d %v", got.StatusCode, got.Header)
	}
	leave()
	if err := <-first; err == nil {
		t.Error("a request whose client left is answered")
	}
	e.waiting(0) // who leaves frees the place
	eventually(t, "a line about the client that left", func() bool { return strings.Contains(e.log.String(), `"status":499`) })
	if _, err := e.change(t.Context(), "pause", pauseFor(100*time.Millisecond, 1)); err != nil {
		t.Fatal(err)
	}
	if got := e.get("https://localhost/"); got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") != "1" {
		t.Errorf("beyond its time: %d %v", got.StatusCode, got.Header)
	}
}

func TestAPauseLetsWhatIsUnderWayEndAndWaitsForIt(t *testing.T) {
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
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://localhost/events", http.NoBody)
	events, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()
	var released sync.Once
	err = control.Change(t.Context(), e.socket(), "app", "pause", "", pauseFor(time.Minute, 10), func(progress control.Progress) {
		switch progress.Step {
		case control.StepSwitch:
			released.Do(func() { close(release) })
		case control.StepDrained:
			if !strings.HasPrefix(progress.Text, "drained 1 request in ") {
				t.Error(progress.Text)
			}
		}
	})
	if err != nil {
		t.Error(err)
	}
	if got := <-slow; got.body != "old" {
		t.Errorf("%d %q", got.StatusCode, got.body)
	}
	first := make([]byte, 5)
	if _, err := io.ReadFull(events.Body, first); err != nil || string(first) != "data:" {
		t.Errorf("an event stream ends with the pause: %q, %v", first, err)
	}
}

func TestAPauseEndsForThoseWhoWaitWhenAReloadTakesTheUpstreamAway(t *testing.T) {
	t.Parallel()
	content := deployable(t, named(t, "app"))
	e := start(t, content)
	if _, err := e.change(t.Context(), "pause", pauseFor(time.Hour, 10)); err != nil {
		t.Fatal(err)
	}
	waits := make(chan answer, 1)
	client := e.client(true)
	go func() {
		got, err := try(t.Context(), client, http.MethodGet, "https://localhost/", nil, "")
		if err != nil {
			t.Error(err)
		}
		waits <- got
	}()
	e.waiting(1)
	write(t, e.config, strings.NewReplacer("{app:", "{other:", "upstream: app", "upstream: other").Replace(content))
	if err := e.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := <-waits; got.body != "app" {
		t.Errorf("%+v", got)
	}
	write(t, e.config, content)
	if err := e.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if app := e.app(); app.Pause == nil || app.Waiting != 0 {
		t.Errorf("the upstream that is back: %+v", app)
	}
}

func TestAPauseAndAMaintenanceOutlastTheEdge(t *testing.T) {
	t.Parallel()
	e := start(t, deployable(t, named(t, "app")))
	if _, err := e.change(t.Context(), "pause", pauseFor(time.Minute, 7)); err != nil {
		t.Fatal(err)
	}
	waits := make(chan int, 1)
	client := e.client(false)
	go func() {
		got, _ := try(t.Context(), client, http.MethodGet, "https://localhost/", nil, "")
		if got.Response == nil {
			got.Response = &http.Response{}
		}
		waits <- got.StatusCode
	}()
	e.waiting(1)
	if err := e.stop(); err != nil {
		t.Fatal(err)
	}
	if status := <-waits; status != http.StatusServiceUnavailable {
		t.Errorf("when the edge stops, a request that waits is answered %d", status)
	}
	e = startFrom(t, e.config, e.data)
	if app := e.app(); app.Pause == nil || app.Pause.Queue != 7 || app.Last.Action != "pause" {
		t.Errorf("%+v", app)
	}
	for _, wanted := range []any{control.Resume{}, control.Maintenance{On: true}} {
		action := map[bool]string{true: "resume", false: "maintenance"}[wanted == control.Resume{}]
		if _, err := e.change(t.Context(), action, wanted); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.stop(); err != nil {
		t.Fatal(err)
	}
	e = startFrom(t, e.config, e.data)
	if got := e.get("https://localhost/"); got.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%d", got.StatusCode)
	}
}

func TestMaintenanceIsToldToAllButTheOperators(t *testing.T) {
	t.Parallel()
	e := start(t, deployable(t, named(t, "app"))+"trusted_proxies: [127.0.0.1]\n")
	from := func(address string) http.Header {
		return http.Header{"X-Forwarded-For": {address}, "Accept": {"text/html"}, "Accept-Language": {"ko"}}
	}
	if _, err := e.change(t.Context(), "maintenance", control.Maintenance{
		On: true, Message: "Back at <14:00> %d.", Allow: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")},
	}); err != nil {
		t.Fatal(err)
	}
	client := e.client(true)
	got := do(t, client, http.MethodGet, "https://localhost/", from("198.51.100.1"), "")
	if got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") != "60" || !strings.Contains(got.body, "Back at &lt;14:00&gt; %d.") {
		t.Errorf("%d %v\n%s", got.StatusCode, got.Header, got.body)
	}
	if got := do(t, client, http.MethodGet, "https://localhost/", from("203.0.113.9"), ""); got.body != "app" {
		t.Errorf("an operator gets %d", got.StatusCode)
	}
	if _, err := e.change(t.Context(), "maintenance", control.Maintenance{On: true}); err != nil {
		t.Fatal(err)
	}
	if got := do(t, client, http.MethodGet, "https://localhost/", from("203.0.113.9"), ""); !strings.Contains(got.body, "서비스 점검 중입니다.") {
		t.Errorf("%d\n%s", got.StatusCode, got.body)
	}
	if _, err := e.change(t.Context(), "maintenance", control.Maintenance{}); err != nil {
		t.Fatal(err)
	}
	e.serves("app")
	for name, wanted := range map[string]any{
		"two lines": control.Maintenance{On: true, Message: "a\nb"}, "long": control.Maintenance{On: true, Message: strings.Repeat("x", 1001)},
		"no range": map[string]any{"on": true, "allow": []string{"x"}},
	} {
		if _, err := e.change(t.Context(), "maintenance", wanted); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	for name, wanted := range map[string]control.Pause{"no time": pauseFor(0, 1), "a day": pauseFor(24*time.Hour, 1), "nobody": pauseFor(time.Minute, 0)} {
		if _, err := e.change(t.Context(), "pause", wanted); err == nil {
			t.Errorf("a pause of %s is taken", name)
		}
	}
	e.serves("app")
}
