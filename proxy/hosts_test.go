package proxy_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portico-web/portico/proxy"
	"github.com/portico-web/portico/proxy/config"
)

const tenThousand = 10_000

// manySites is a configuration of n sites of two routes each.
func manySites(n int, app string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "access_log: false\nlisten: {http: \"127.0.0.1:0\"}\nupstreams: {app: {targets: [%q]}}\nsites:\n", app)
	for i := range n {
		fmt.Fprintf(&text, "  - hosts: [shop%d.example]\n    routes:\n      - {path: /, upstream: app}\n      - {path: /old/, redirect: {to: \"/shop%d\"}}\n", i, i)
	}
	return text.String()
}

// startMany runs an edge of so many sites, in the clear: nobody issues certificates here.
func startMany(t testing.TB, n int, app string) *edge {
	t.Helper()
	e := &edge{t: t, data: t.TempDir(), log: &buffer{}}
	e.config = filepath.Join(e.data, "proxy.yaml")
	write(t, e.config, manySites(n, app))
	cfg, err := config.Load(e.config, noVariables)
	if err != nil {
		t.Fatal(err)
	}
	return launch(t, e, cfg, proxy.Options{DataDir: e.data, ConfigPath: e.config, Lookup: noVariables})
}

func TestTenThousandHostsAreRoutedAndReloaded(t *testing.T) {
	t.Parallel()
	e := startMany(t, tenThousand, named(t, "app"))
	client := &http.Client{Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	redirected := func(host string) string {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+e.Addrs().HTTP.String()+"/old/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host
		answer, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		return fmt.Sprint(answer.StatusCode, answer.Header.Get("Location"))
	}
	for _, i := range []int{0, 1, 4_999, tenThousand - 1} {
		if got, want := redirected(fmt.Sprintf("shop%d.example", i)), fmt.Sprintf("308/shop%d", i); got != want {
			t.Errorf("site %d: %s, not %s", i, got, want)
		}
	}
	if got := redirected(fmt.Sprintf("shop%d.example", tenThousand)); got != "404" {
		t.Errorf("a host of no site: %s", got)
	}
	write(t, e.config, manySites(tenThousand+1, named(t, "app")))
	if err := e.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := redirected(fmt.Sprintf("shop%d.example", tenThousand)); got != fmt.Sprintf("308/shop%d", tenThousand) {
		t.Errorf("after the reload: %s", got)
	}
}

// BenchmarkHosts is a whole exchange in the clear over one of 100 connections by turns, each of which asks for another of so
// many hosts.
func BenchmarkHosts(b *testing.B) {
	for _, n := range []int{1, 100, tenThousand} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			e := startMany(b, n, cannedUpstream(b, 0))
			var conns [100]net.Conn
			var requests [100][]byte
			for i := range conns {
				conn, err := net.Dial("tcp", e.Addrs().HTTP.String())
				if err != nil {
					b.Fatal(err)
				}
				defer conn.Close()
				conns[i] = conn
				requests[i] = fmt.Appendf(nil, "GET /some/path HTTP/1.1\r\nHost: shop%d.example\r\nAccept: */*\r\n\r\n", i*max(n/len(conns), 1)%n)
			}
			buffer, next := make([]byte, 8<<10), 0
			b.ReportAllocs()
			for b.Loop() {
				if _, err := conns[next].Write(requests[next]); err != nil {
					b.Fatal(err)
				}
				if err := readCanned(conns[next], buffer, len(cannedContent)); err != nil {
					b.Fatal(err)
				}
				next = (next + 1) % len(conns)
			}
		})
	}
}

// BenchmarkReload takes over a file of so many sites.
func BenchmarkReload(b *testing.B) {
	for _, n := range []int{1, tenThousand} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			e := startMany(b, n, "127.0.0.1:1")
			for b.Loop() {
				if err := e.Reload(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
