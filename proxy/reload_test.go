package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-web/portico/internal/health"
)

// named is an upstream that answers its name.
func named(t *testing.T, name string) string {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, name)
	})
}

const root = `      - {path: /, upstream: app}`

func TestAReloadUnderLoadFailsNoRequest(t *testing.T) {
	t.Parallel()
	one, two := site(named(t, "one"), root), site(named(t, "two"), root)
	e := start(t, one)
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	var answered, failed atomic.Int64
	for _, http2 := range []bool{false, true, false, true} {
		client := e.client(http2)
		load.Go(func() {
			for ctx.Err() == nil {
				got, err := try(t.Context(), client, http.MethodPost, "https://localhost/", nil, "body")
				if err != nil || got.StatusCode != http.StatusOK || got.body != "one" && got.body != "two" {
					failed.Add(1)
					t.Errorf("%d %q, %v", got.StatusCode, got.body, err)
					return
				}
				answered.Add(1)
			}
		})
	}
	probe := e.client(true)
	for i := range 60 {
		content, name := one, "one"
		if i%2 == 0 {
			content, name = two, "two"
		}
		write(t, e.config, content)
		if err := e.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := do(t, probe, http.MethodGet, "https://localhost/", nil, ""); got.body != name {
			t.Fatalf("after reload %d: %q, want %q", i+1, got.body, name)
		}
	}
	stop()
	load.Wait()
	if failed.Load() != 0 || answered.Load() == 0 {
		t.Errorf("%d answered, %d failed", answered.Load(), failed.Load())
	}
}

func TestABadFileIsRefusedAndTheOldOneServesOn(t *testing.T) {
	t.Parallel()
	good := site(named(t, "good"), root)
	e := start(t, good)
	client := e.client(true)
	for name, c := range map[string]struct{ content, says string }{
		"unknown key":     {strings.Replace(good, "upstreams:", "upstrems:", 1), `proxy.yaml:2:1: unknown key "upstrems" (did you mean "upstreams"?)`},
		"not YAML":        {"sites: [", "proxy.yaml:1:"},
		"another address": {strings.Replace(good, "http3: true", "http3: false", 1), "listen.http3 changed from true to false: this one needs a restart"},
		"another issuer":  {"tls: {issuer: acme}\n" + good, "tls.issuer changed from local to acme: this one needs a restart"},
		"dead Redis":      {"redis: redis://127.0.0.1:1/0\n" + good, "redis: 127.0.0.1:1 does not answer"},
	} {
		write(t, e.config, c.content)
		err := e.Reload(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := do(t, client, http.MethodGet, "https://localhost/", nil, ""); got.body != "good" {
			t.Errorf("%s: %d %s", name, got.StatusCode, got.body)
		}
		if report := e.report(); report.Status != health.Degraded || !strings.Contains(report.Checks["config"].Detail, c.says) {
			t.Errorf("%s: %+v", name, report)
		}
		if !strings.Contains(e.metrics(), "portico_config_last_reload_success 0") {
			t.Errorf("%s: the metrics tell of success", name)
		}
	}
	if log := e.log.String(); !strings.Contains(log, `"line":2,"column":1,"fault":"unknown key \"upstrems\" (did you mean \"upstreams\"?)"`) {
		t.Errorf("the log does not tell the place:\n%s", log)
	}
	write(t, e.config, good)
	if err := e.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if report := e.report(); report.Status != health.OK || !strings.Contains(e.metrics(), "portico_config_last_reload_success 1") {
		t.Errorf("after mending: %+v", report)
	}
}

func TestAReloadBringsNewHostsWithCertificates(t *testing.T) {
	t.Parallel()
	app := named(t, "app")
	e := start(t, site(app, root))
	write(t, e.config, site(app, root)+"\n  - hosts: [new.example, \"*.wild.example\"]\n    routes: [{path: /, upstream: app}]")
	if err := e.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"new.example", "a.wild.example", "localhost"} {
		if got := e.get("https://" + host + "/"); got.body != "app" { // the root, read anew, covers them
			t.Errorf("%s: %d", host, got.StatusCode)
		}
	}
	write(t, e.config, site(app, root))
	if err := e.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(e.metrics(), "new.example") {
		t.Error("a host that is gone is still in the metrics")
	}
}

// eventually waits until the edge, which acts on its own, has done something. It polls because nothing tells.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not happen", what)
		}
	}
}

func TestAChangeOfTheFileIsTakenOver(t *testing.T) {
	t.Parallel()
	one, two, three := site(named(t, "one"), root), site(named(t, "two"), root), site(named(t, "three"), root)
	e := start(t, one)
	client := e.client(true)
	serves := func(name string) func() bool {
		return func() bool {
			return do(t, client, http.MethodGet, "https://localhost/", nil, "").body == name
		}
	}
	write(t, e.config, two)
	eventually(t, "the reload of a file written in place", serves("two"))
	temporary := filepath.Join(e.data, ".proxy.yaml.swp")
	write(t, temporary, three)
	if err := os.Rename(temporary, e.config); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the reload of a file replaced by renaming", serves("three"))
	if err := os.Remove(e.config); err != nil {
		t.Fatal(err)
	}
	eventually(t, "notice of a file that is gone", func() bool { return e.report().Status == health.Degraded })
	if !serves("three")() {
		t.Error("with its file gone the edge does not serve on")
	}
	write(t, e.config, one)
	eventually(t, "the reload of a file that is back", serves("one"))
}

func TestAMountedVolumesChangeIsTakenOver(t *testing.T) {
	t.Parallel()
	// As Kubernetes lays it out: proxy.yaml → ..data/proxy.yaml, ..data → a folder by version, replaced as a whole.
	data := t.TempDir()
	version := func(name, content string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(data, name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(data, name, "proxy.yaml"), content)
		link := filepath.Join(data, "..data_tmp")
		if err := errors.Join(os.Symlink(name, link), os.Rename(link, filepath.Join(data, "..data"))); err != nil {
			t.Fatal(err)
		}
	}
	version("..1", site(named(t, "one"), root))
	file := filepath.Join(data, "proxy.yaml")
	if err := os.Symlink("..data/proxy.yaml", file); err != nil {
		t.Fatal(err)
	}
	e := startFrom(t, file, data)
	client := e.client(true)
	for i, name := range []string{"two", "three"} {
		version(fmt.Sprint("..", i+2), site(named(t, name), root))
		eventually(t, "the reload", func() bool {
			return do(t, client, http.MethodGet, "https://localhost/", nil, "").body == name
		})
	}
}

func TestStoppingFinishesWhatIsInFlight(t *testing.T) {
	t.Parallel()
	began, proceed := make(chan struct{}), make(chan struct{})
	app := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		began <- struct{}{}
		<-proceed
		_, _ = io.WriteString(w, "whole")
	})
	e := start(t, site(app, root))
	answers := make(chan string, 3)
	clients := []*http.Client{e.client(false), e.client(true), {Transport: e.http3()}}
	for _, client := range clients {
		go func() {
			got, err := try(t.Context(), client, http.MethodGet, "https://localhost/", nil, "")
			answers <- fmt.Sprint(got.body, err)
		}()
		<-began
	}
	stopped := make(chan error, 1)
	go func() { stopped <- e.stop() }()
	eventually(t, "the end of listening", func() bool {
		connection, err := e.dialTLS()
		if err == nil {
			_ = connection.Close()
		}
		return err != nil
	})
	if report := e.report(); report.Status != health.Draining {
		t.Errorf("/readyz says %s", report.Status)
	}
	close(proceed)
	for range clients {
		if got := <-answers; got != "whole<nil>" {
			t.Errorf("a request in flight gets %s", got)
		}
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestAStoppedEdgeReloadsNothing(t *testing.T) {
	t.Parallel()
	e := start(t, site(named(t, "app"), root))
	if err := e.stop(); err != nil {
		t.Fatal(err)
	}
	write(t, e.config, strings.Replace(site(named(t, "other"), root), "]}}", "], health: {interval: 1h}}}", 1))
	if err := e.Reload(t.Context()); err == nil { // its probes would never end
		t.Error("it does")
	}
}

func TestStoppingDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	began := make(chan struct{})
	app := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
	})
	data := t.TempDir()
	file := filepath.Join(data, "proxy.yaml")
	write(t, file, "limits: {drain_timeout: 100ms}\n"+site(app, root))
	e := startFrom(t, file, data)
	go func() { _, _ = try(t.Context(), e.client(true), http.MethodGet, "https://localhost/", nil, "") }()
	<-began
	if err := e.stop(); err != nil || !strings.Contains(e.log.String(), "still in flight were cut off") {
		t.Errorf("%v, log:\n%s", err, e.log)
	}
}

func TestAReloadTakesThePaceOfClientsOver(t *testing.T) {
	t.Parallel()
	yaml := site(echo(t), `      - {path: /, upstream: app}`)
	e := start(t, yaml)
	connection, err := e.dialTLS()
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	answers := bufio.NewReader(connection)
	fmt.Fprint(connection, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	response, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	write(t, e.config, "limits: {stall_timeout: 200ms}\n"+yaml)
	if err := e.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(connection, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nstalls")
	if response, err = http.ReadResponse(answers, nil); err != nil || response.StatusCode != http.StatusRequestTimeout {
		t.Errorf("%v, %v", response, err)
	} else {
		_ = response.Body.Close()
	}
}
