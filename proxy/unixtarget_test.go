package proxy_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// serveSocket runs an upstream on a Unix socket, whose path comes back.
func serveSocket(t *testing.T, handler http.HandlerFunc) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler, Protocols: &http.Protocols{}}}
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	return path
}

func TestAUnixSocketIsATarget(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("content ", 40_000)
	socket := serveSocket(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Protocol", r.Proto)
		_, _ = io.Copy(w, r.Body)
	})
	for target, protocol := range map[string]string{"unix:" + socket: "HTTP/1.1", "h2c+unix:" + socket: "HTTP/2.0"} {
		e := start(t, strings.Replace(site(target, root), `"]}`, `"], health: {path: /}}`, 1))
		for _, http2 := range []bool{false, true} {
			client := e.client(http2)
			for _, body := range []string{"", "short", long, "again"} {
				got := do(t, client, http.MethodPost, "https://localhost/", nil, body)
				if got.StatusCode != http.StatusOK || got.body != body || got.Header.Get("Protocol") != protocol {
					t.Errorf("%s: %d, %d bytes of %d, by %s", target, got.StatusCode, len(got.body), len(body), got.Header.Get("Protocol"))
				}
			}
		}
		if want := `portico_edge_upstream_healthy{target="` + target + `",upstream="app"} 1`; !strings.Contains(e.metrics(), want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestAUnixSocketThatIsNotThereIsABadGateway(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "s")
	e := start(t, site("unix:"+socket, root))
	if got := e.get("https://localhost/"); got.StatusCode != http.StatusBadGateway || strings.Contains(got.body, socket) {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	if log := e.log.String(); !strings.Contains(log, socket) {
		t.Errorf("the log does not name the socket: %s", log)
	}
}
