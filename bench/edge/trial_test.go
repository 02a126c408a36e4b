package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// The modes start this program again as their helpers.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && helpers[os.Args[1]] != nil {
		main()
		return
	}
	os.Exit(m.Run())
}

// smallAttempt measures this process, which serves the backend itself by HTTP/1.1, 2 and 3.
func smallAttempt(t *testing.T) attempt {
	folder := t.TempDir()
	s := site{folder: folder, cert: filepath.Join(folder, "cert.pem"), key: filepath.Join(folder, "key.pem"), both: filepath.Join(folder, "both.pem")}
	var err error
	if s.roots, err = s.certify(); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(s.cert, s.key)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewUnstartedServer(newBackend())
	front.TLS, front.EnableHTTP2 = &tls.Config{Certificates: []tls.Certificate{pair}}, true
	front.StartTLS()
	t.Cleanup(front.Close)
	port := front.Listener.Addr().(*net.TCPAddr).Port
	packets, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	quick := &http3.Server{Handler: newBackend(), TLSConfig: http3.ConfigureTLSConfig(front.TLS.Clone())}
	served := make(chan error, 1)
	go func() { served <- quick.Serve(packets) }()
	t.Cleanup(func() {
		_ = quick.Close()
		if err := <-served; err != nil && !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		_ = packets.Close()
	})
	self, err := os.FindProcess(syscall.Getpgrp()) // its group is what is measured
	if err != nil {
		t.Fatal(err)
	}
	return attempt{
		bench: &bench{
			compareCommand: compareCommand{Transfer: 2, Flood: 300 * time.Millisecond, Connections: 20, Idle: time.Millisecond},
			site:           s,
		},
		proxy:   &proxy{},
		server:  &server{name: "itself", url: fmt.Sprintf("https://localhost:%d/", port), command: &exec.Cmd{Process: self}},
		seconds: 1,
	}
}

func TestTrialsMeasureWhatTheyName(t *testing.T) {
	t.Parallel()
	a := smallAttempt(t)
	for mode, trials := range modes {
		for _, trial := range trials {
			if trial.program != "" {
				continue
			}
			t.Run(mode+"/"+trial.title, func(t *testing.T) {
				t.Parallel()
				got, err := trial.measure(t.Context(), a)
				if err != nil {
					t.Fatal(err)
				}
				for _, v := range got {
					switch {
					case v.column == stillOpen && v.number != float64(a.Connections):
						t.Errorf("%v of %d connections still answer", v.number, a.Connections)
					case (v.column == speed || v.column == rate || v.column == p99 || v.column == peak || v.column == stepped) && v.number <= 0:
						t.Errorf("%+v is %v", *v.column, v.number)
					}
				}
			})
		}
	}
}

func TestATransferThatIsCutShortIsAFailure(t *testing.T) {
	t.Parallel()
	a := smallAttempt(t)
	c := dialed(t, a.server.url, a.roots)
	if err := c.post("/bytes?n=100001", 100_000); err == nil {
		t.Error("too few bytes were taken as all")
	}
	if _, err := c.get("/bytes?n=many"); err == nil {
		t.Error("an answer of 400 was taken as a good one")
	}
	if err := c.upload(3 << 20); err != nil {
		t.Error(err)
	}
	if err := c.download(3 << 20); err != nil {
		t.Error(err)
	}
}

func dialed(t *testing.T, url string, roots *x509.CertPool) *h2conn {
	c, err := dialH2(t.Context(), url, roots, greedy)
	if err != nil {
		t.Fatal(err)
	}
	go c.read()
	t.Cleanup(func() {
		c.close()
		<-c.ended
	})
	return c
}

func TestMediansAndSumsAreTold(t *testing.T) {
	t.Parallel()
	edge, peer := &proxy{name: "Portico"}, &proxy{name: "nginx", version: "1.2"}
	figures := map[*proxy][]figure{
		edge: {{{cpuEach, 30}, {bad, 0}}, {{cpuEach, 1000}, {bad, 0}}, {{cpuEach, 10}, {bad, 0}}},
		peer: {{{cpuEach, 20}, {bad, 1}}, {{cpuEach, 20}, {bad, 0}}, {{cpuEach, 20}, {bad, 1}}},
	}
	r := report{markdown: true}
	r.add("h1", "a trial", []*proxy{edge, peer, {name: "Caddy"}}, figures)
	var out strings.Builder
	if err := r.flush(&out); err != nil {
		t.Fatal(err)
	}
	const want = "| | Portico | nginx 1.2 | Caddy |\n| --- | --- | --- | --- |\n| a trial | 30.0 µs | 20.0 µs (1.50), 2 bad | – |\n"
	if out.String() != want {
		t.Errorf("told\n%s, want\n%s", out.String(), want)
	}
	if got := thousands(1234567.25, 1); got != "1,234,567.2" {
		t.Errorf("written as %s", got)
	}
}
