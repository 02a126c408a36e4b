package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/portico-web/portico/proxy/config"
)

func TestTemplatesAreConfigurationsOfTheEdge(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := site{cert: filepath.Join(folder, "cert.pem"), key: filepath.Join(folder, "key.pem"), both: filepath.Join(folder, "both.pem")}
	var err error
	if s.roots, err = s.certify(); err != nil {
		t.Fatal(err)
	}
	for name, logs := range map[string]bool{"edge.yaml.tmpl": false, "edge-log.yaml.tmpl": true} {
		content, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		filled := fill(string(content), map[string]string{"cert": s.cert, "key": s.key, "port": "8443", "backend": "127.0.0.1:9000"})
		cfg, err := config.Parse(name, []byte(filled), func(string) (string, bool) { return "", false })
		if err != nil {
			t.Error(err)
			continue
		}
		if cfg.Listen.HTTP3 || (len(cfg.RateLimits) > 0) != logs {
			t.Errorf("%s has HTTP/3: %t, the limits %v", name, cfg.Listen.HTTP3, cfg.RateLimits)
		}
	}
}

func TestWhatWrkSaysIsUnderstood(t *testing.T) {
	t.Parallel()
	const good = `Running 1s test @ https://localhost:9443/
  2 threads and 64 connections
  Latency Distribution
     50%    1.90ms
     99%    9.47ms
  40412 requests in 1.10s, 41.00MB read
Requests/sec:  36751.98
Transfer/sec:     37.28MB
`
	if got, err := readWrk(good); err != nil || got != (outcome{40412, 0, 36751.98, 9470 * time.Microsecond}) {
		t.Errorf("%+v, %v", got, err)
	}
	const bad = good + "  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 90\n"
	if got, err := readWrk(bad); err != nil || got.bad != 100 {
		t.Errorf("%+v, %v", got, err)
	}
	for _, useless := range []string{"", "0 requests in 1.00s\nRequests/sec: 0.00\n 99% 0.00us\n"} {
		if got, err := readWrk(useless); err == nil {
			t.Errorf("%q: %+v", useless, got)
		}
	}
}

func TestWhatH2loadSaysIsUnderstood(t *testing.T) {
	t.Parallel()
	const said = `finished in 1.00s, 14863.00 req/s, 14.90MB/s
requests: 14863 total, 15119 started, 14863 done, 14853 succeeded, 10 failed, 4 errored, 0 timeout
status codes: 14850 2xx, 3 3xx, 6 4xx, 0 5xx
`
	if got, err := readH2load(said); err != nil || got != (outcome{14863, 13, 14863, 0}) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := readH2load("finished in 0s, 0.00 req/s"); err == nil {
		t.Errorf("%+v", got)
	}
}
