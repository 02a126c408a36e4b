package main

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portico-web/portico/proxy/control"
	"github.com/portico-web/portico/proxy/deploy"
)

// now is the time at which the statuses below are printed.
var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.Local)

func example() *control.Status {
	return &control.Status{
		Version: "1.2.0", Started: now.Add(-26 * time.Hour), HTTP: "[::]:80", HTTPS: "[::]:443", Internal: "127.0.0.1:9090", HTTP3: true,
		Configuration: control.Configuration{File: "/etc/portico/proxy.yaml", Since: now.Add(-75 * time.Second)},
		Connections:   control.Connections{Open: map[string]int{"http": 1, "https": 120}, Failed: 3}, InFlight: 7,
		Traffic: control.Traffic{Requests: 1234, Recent: 600, PerSecond: 10, ClientErrors: 0.05, Median: 0.0123, P99: 1.25},
		Routes: []control.Route{
			{Site: "example.com", Path: "/", Action: "upstream app", Traffic: control.Traffic{Requests: 1200, Recent: 600, PerSecond: 10, ClientErrors: 0.05, ServerErrors: 0.0004, Median: 0.0012, P99: 1.25}},
			{Site: "example.com", Path: "/static/", Action: "files /srv/static"},
		},
		Targets: []control.Target{{Upstream: "app", Target: "app:8000", Healthy: true, Active: 7}, {Upstream: "app", Target: "app:8001"}},
		Certificates: []control.Certificate{
			{Name: "example.com", Source: "acme", Expiry: now.Add(30 * 24 * time.Hour)},
			{Name: "www.example.com", Source: "acme", Expiry: now.Add(20 * time.Hour), Error: "no route to CA", Failed: now.Add(-time.Hour)},
		},
		Upstreams:  []control.Upstream{{Name: "app", Deployed: true, Differs: true, Pause: &deploy.Pause{}, Waiting: 3}, {Name: "flower"}},
		RateLimits: []control.RateLimit{{Name: "default", Refused: 12}},
	}
}

func uncolored(_, text string) string { return text }

func TestTheStatusIsATableThatAPersonCanRead(t *testing.T) {
	t.Parallel()
	want := `portico proxy 1.2.0, serving for 1 d 2 h
listens on     http [::]:80, https [::]:443, internal 127.0.0.1:9090, HTTP/3
configuration  /etc/portico/proxy.yaml, taken over 1 min 15 s ago
clients        7 requests in flight, 1 connections of http, 120 connections of https, 3 failed handshakes

SITE         ROUTE     DOES               REQUESTS  PER SECOND  4XX   5XX    P50     P99
example.com  /         upstream app       1200      10.0        5.0%  <0.1%  1.2 ms  1.2 s
example.com  /static/  files /srv/static  0         0.0         -     -      -       -
all                                       1234      10.0        5.0%  -      12 ms   1.2 s

UPSTREAM  TARGET    HEALTH     ACTIVE
app       app:8000  healthy    7
app       app:8001  unhealthy  0
app: paused, 3 requests wait; deployed, proxy.yaml names other targets

RATE LIMIT  REFUSED
default     12

CERTIFICATE      SOURCE  EXPIRES               LAST ERROR
example.com      acme    2026-05-31 (30 days)  -
www.example.com  acme    2026-05-02 (20 h)     2026-05-01 11:00:00 no route to CA
`
	if got := string(statusText(example(), now, uncolored)); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestColoursChangeNoColumn(t *testing.T) {
	t.Parallel()
	colored := string(statusText(example(), now, func(color, text string) string { return color + text + plain }))
	if !strings.Contains(colored, red+"unhealthy"+plain) {
		t.Error("what is wrong is not red")
	}
	for _, color := range []string{plain, red, green, amber} {
		colored = strings.ReplaceAll(colored, color, "")
	}
	if want := string(statusText(example(), now, uncolored)); colored != want {
		t.Errorf("%s\nwant\n%s", colored, want)
	}
}

func TestARefusedFileAndTheEndAreTold(t *testing.T) {
	t.Parallel()
	status := example()
	status.Draining, status.Refused = true, "proxy.yaml:1:1: one\nproxy.yaml:2:1: two"
	got := string(statusText(status, now, uncolored))
	for _, want := range []string{", draining for", "the file on disk is refused", "\n  proxy.yaml:1:1: one\n  proxy.yaml:2:1: two\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestStatusWatchesUntilItIsInterrupted(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "admin.sock")
	e := start(t, written(t, strings.Replace(valid, "listen: {", "listen: {admin: \"unix:"+socket+"\", ", 1)))
	stdout, _, status := run(t, "status", "--socket", socket)
	if status != 0 || !strings.HasPrefix(stdout, "portico proxy dev, serving for ") || !strings.Contains(stdout, "localhost  /      redirect") || strings.Contains(stdout, "\x1b") {
		t.Errorf("%d %s", status, stdout)
	}
	watching := program(t, "status", "--socket", socket, "--json", "--watch=100ms")
	out, err := watching.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := watching.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for range 3 {
		if !lines.Scan() || !strings.HasPrefix(lines.Text(), `{"http":`) {
			t.Fatalf("%q, %v", lines.Text(), lines.Err())
		}
	}
	if err := watching.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // Wait closes the pipe
	}
	if err := watching.Wait(); err != nil {
		t.Errorf("after an interrupt: %v", err)
	}
	if _, stderr, status := run(t, "status", "--socket", socket, "--watch=soon"); status != 1 || !strings.Contains(stderr, `"soon" is not a duration`) {
		t.Errorf("%d %s", status, stderr)
	}
	e.stop()
}
