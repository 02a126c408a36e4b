package proxy_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

func TestEveryVersionOfHTTPIsServedUnderTheRootCertificate(t *testing.T) {
	t.Parallel()
	e := start(t, site(echo(t), `      - {path: /, upstream: app}`))
	quicClient := &http.Client{Transport: e.http3()}
	for name, c := range map[string]struct {
		client *http.Client
		proto  string
	}{"1.1": {e.client(false), "HTTP/1.1"}, "2": {e.client(true), "HTTP/2.0"}, "3": {quicClient, "HTTP/3.0"}} {
		for _, host := range []string{"localhost", "a.localhost", "b.localhost", "127.0.0.1"} {
			got := do(t, c.client, http.MethodPost, "https://"+host+"/x?q=1", nil, "hello")
			if got.Proto != c.proto {
				t.Errorf("%s %s: answered by %s", name, host, got.Proto)
			}
			if sent := got.seen(t); sent.Method != "POST" || sent.URI != "/x?q=1" || sent.Host != host || sent.Body != "hello" {
				t.Errorf("%s %s: the upstream saw %+v", name, host, sent)
			}
			if want := fmt.Sprintf(`h3=":%d"; ma=86400`, e.Addrs().HTTPS.Port); got.Header.Get("Alt-Svc") != want {
				t.Errorf("%s %s: Alt-Svc %q, want %q", name, host, got.Header.Get("Alt-Svc"), want)
			}
		}
	}
}

// http3 is a transport for HTTP/3 that leads every host to the edge.
func (e *edge) http3() *http3.Transport {
	transport := &http3.Transport{
		TLSClientConfig: &tls.Config{RootCAs: e.roots()},
		Dial: func(ctx context.Context, _ string, config *tls.Config, settings *quic.Config) (*quic.Conn, error) {
			return quic.DialAddr(ctx, e.Addrs().HTTPS.String(), config, settings)
		},
	}
	e.t.Cleanup(func() { _ = transport.Close() })
	return transport
}

func TestNamesThatAreNotConfiguredGetNoCertificate(t *testing.T) {
	t.Parallel()
	e := start(t, site(echo(t), `      - {path: /, upstream: app}`))
	for _, name := range []string{"example.com", "localhost.example.com"} {
		connection, err := tls.Dial("tcp", e.Addrs().HTTPS.String(), &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err == nil {
			_ = connection.Close()
			t.Errorf("%s gets a certificate", name)
		}
	}
}

func TestTheCAsKeyIsItsOwnersAlone(t *testing.T) {
	t.Parallel()
	e := start(t, site(echo(t), `      - {path: /, upstream: app}`))
	info, err := os.Stat(filepath.Join(e.data, "ca", "root.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("root.key: %v, %v", info, err)
	}
	if e.RootCertificate() != filepath.Join(e.data, "ca", "root.pem") {
		t.Error(e.RootCertificate())
	}
}

func TestASecondStartKeepsCAAndCertificates(t *testing.T) {
	t.Parallel()
	config := site(echo(t), `      - {path: /, upstream: app}`)
	first := start(t, config)
	serial := func(e *edge) string {
		connection, err := tls.Dial("tcp", e.Addrs().HTTPS.String(), &tls.Config{RootCAs: e.roots(), ServerName: "localhost"})
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		return connection.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	before := serial(first)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	if after := serial(startFrom(t, first.config, first.data)); before != after {
		t.Error("another certificate after a restart")
	}
}

func TestPlainHTTPLeadsToHTTPS(t *testing.T) {
	t.Parallel()
	e := start(t, site(echo(t), "      - {path: /, upstream: app}\n    redirect_from: [www.example.com]"))
	port := e.Addrs().HTTPS.Port
	for url, want := range map[string]string{
		"http://localhost/a/b?x=1&y=%20": fmt.Sprintf("https://localhost:%d/a/b?x=1&y=%%20", port),
		"http://a.localhost/":            fmt.Sprintf("https://a.localhost:%d/", port),
		"http://localhost//evil.com/..":  fmt.Sprintf("https://localhost:%d//", port),
		"http://www.example.com/x":       fmt.Sprintf("https://localhost:%d/x", port),
		"https://www.example.com/x?y":    "https://localhost/x?y",
		"http://127.0.0.1/%2e%2e/x":      fmt.Sprintf("https://127.0.0.1:%d/x", port),
	} {
		got := e.get(url)
		if got.StatusCode != http.StatusPermanentRedirect || got.Header.Get("Location") != want {
			t.Errorf("%s: %d %s, want %s", url, got.StatusCode, got.Header.Get("Location"), want)
		}
	}
}

func TestAnUnknownHostIsNotFound(t *testing.T) {
	t.Parallel()
	e := start(t, site(echo(t), `      - {path: /, upstream: app}`))
	for _, url := range []string{"http://example.com/", "https://localhost/"} {
		got := do(t, e.client(false), http.MethodGet, url, http.Header{"Host": {"evil.example"}}, "")
		if got.StatusCode != http.StatusNotFound || got.Header.Get("Location") != "" || got.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s: %d %v", url, got.StatusCode, got.Header)
		}
	}
}

func TestRoutesDoWhatTheySay(t *testing.T) {
	t.Parallel()
	e := start(t, site(echo(t), `      - {path: /flower/, upstream: app, redirect_slash: true}
      - {path: /plain/, upstream: app}
      - {path: /strip/, upstream: app, strip_prefix: true}
      - {path: /old/, redirect: {to: "https://new.example{uri}"}}
      - {path: /here, redirect: {to: /there, status: 302}}
      - {path: /self/, redirect: {to: "{path}x", status: 307}}
`))
	for path, want := range map[string]string{
		"/plain": "/plain", "/plain/": "/plain/", "/plain/a": "/plain/a", "/flower/": "/flower/", "/flower/x": "/flower/x",
		"/strip": "/", "/strip/": "/", "/strip/a/b?c": "/a/b?c", "/strip//a": "/a", "/plain/a%2Fb;c?d;e&f=%zz": "/plain/a%2Fb;c?d;e&f=%zz",
	} {
		sent := e.get("https://localhost" + path).seen(t)
		if sent.URI != want {
			t.Errorf("%s: the upstream saw %s, want %s", path, sent.URI, want)
		}
		if prefix := sent.Header.Get("X-Forwarded-Prefix"); (prefix == "/strip") != strings.HasPrefix(path, "/strip") {
			t.Errorf("%s: X-Forwarded-Prefix %q", path, prefix)
		}
	}
	for path, want := range map[string]string{
		"/flower": "308 /flower/", "/flower?a=b": "308 /flower/?a=b", "/old/x?y=z": "308 https://new.example/old/x?y=z",
		"/here/x": "302 /there", "/self/": "307 /self/x",
	} {
		got := e.get("https://localhost" + path)
		if text := fmt.Sprint(got.StatusCode, " ", got.Header.Get("Location")); text != want {
			t.Errorf("%s: %s, want %s", path, text, want)
		}
	}
	if got := e.get("https://localhost/none"); got.StatusCode != http.StatusNotFound || got.body != `{"detail":"Not found."}`+"\n" {
		t.Errorf("no route: %d %s", got.StatusCode, got.body)
	}
}

func TestPathsAreRewrittenForTheUpstreamAlone(t *testing.T) {
	t.Parallel()
	e := start(t, site(echo(t), `      - {path: /api/v1/, upstream: app, rewrite: "/internal{rest}"}
      - {path: /host, upstream: app, rewrite: "/{host}{path}"}
      - {path: /one/, upstream: app, rewrite: /all}
      - {path: /up/, upstream: app, rewrite: "/x/../y{rest}"}
      - {path: /brace/, upstream: app, rewrite: "/{unknown}{rest}{"}
`))
	for path, want := range map[string]string{
		"/api/v1/users?a=b": "/internal/users?a=b", "/api/v1": "/internal", "/api/v1/a%2Fb": "/internal/a%2Fb", "/api/v1/../../x": "",
		"/host/x": "/localhost/host/x", "/one/two/three?q": "/all?q", "/up/z": "/y/z", "/brace/a": "/%7Bunknown%7D/a%7B", "/api/v1//evil.example": "/internal//evil.example",
	} {
		got := e.get("https://localhost" + path)
		if want == "" {
			if got.StatusCode != http.StatusNotFound {
				t.Errorf("%s: %d", path, got.StatusCode)
			}
			continue
		}
		if sent := got.seen(t); sent.URI != want || got.Header.Get("Location") != "" {
			t.Errorf("%s: the upstream saw %s, want %s", path, sent.URI, want)
		}
	}
}

func TestPathsThatAreElsewhereNowAreRedirected(t *testing.T) {
	t.Parallel()
	e := start(t, plainSite(echo(t), `    redirects: {/old.html: /new/, /shop: "https://shop.example/?from={host}", "/%ED%95%9C": "/ko{path}", /deep/: /flat, /faq: "/help#faq"}`, `      - {path: /docs/, redirect: {to: "https://docs.example{rest}", status: 301}}
      - {path: /, upstream: app}`))
	for path, want := range map[string]string{
		"/old.html": "308 /new/", "/old.html?a=b": "308 /new/?a=b", "/a/../old.html": "308 /new/", "/shop?a=b": "308 https://shop.example/?from=localhost",
		"/%ed%95%9c": "308 /ko/%ED%95%9C", "/deep/": "308 /flat", "/faq": "308 /help#faq", "/faq?a=b": "308 /help?a=b#faq", "/old.html/x": "200 ", "/deep": "200 ", "/docs/a/b?c": "301 https://docs.example/a/b", "/docs": "301 https://docs.example",
	} {
		got := e.get("https://localhost" + path)
		if text := fmt.Sprint(got.StatusCode, " ", got.Header.Get("Location")); text != want {
			t.Errorf("%s: %s, want %s", path, text, want)
		}
	}
}

func TestFilesAreServedAndNothingBesideThem(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	root := filepath.Join(folder, "public")
	if err := os.MkdirAll(filepath.Join(root, "sub"), 0o750); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "secret"), "secret")
	write(t, filepath.Join(root, "a.txt"), "0123456789")
	e := start(t, site(echo(t), fmt.Sprintf("      - {path: /static/, files: {root: %q, max_age: 24h, browse: true}}", root)))
	got := e.get("https://localhost/static/a.txt")
	if got.StatusCode != http.StatusOK || got.body != "0123456789" || got.Header.Get("Cache-Control") != "public, max-age=86400" {
		t.Fatalf("%d %v %s", got.StatusCode, got.Header, got.body)
	}
	cached := do(t, e.client(true), http.MethodGet, "https://localhost/static/a.txt", http.Header{"If-None-Match": {got.Header.Get("Etag")}}, "")
	if cached.StatusCode != http.StatusNotModified {
		t.Errorf("with the ETag: %d", cached.StatusCode)
	}
	for path, status := range map[string]string{
		"/static/../secret": "404", "/static/%2e%2e/secret": "404", "/static/sub/../../secret": "404", "/static/sub%2f..%2fsecret": "404",
		"/static/..%2fsecret": "400", "/static/%2e%2e%2fsecret": "400",
	} {
		answer := e.raw("GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(answer, "HTTP/1.1 "+status) || strings.Contains(answer, "\r\n\r\nsecret") {
			t.Errorf("%s: %s", path, answer)
		}
	}
	if got := do(t, e.client(false), http.MethodPost, "https://localhost/static/a.txt", nil, ""); got.StatusCode != http.StatusMethodNotAllowed || got.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d", got.StatusCode)
	}
	if got := e.get("https://localhost/static"); got.StatusCode != http.StatusPermanentRedirect || got.Header.Get("Location") != "/static/" {
		t.Errorf("the folder without its slash: %d %s", got.StatusCode, got.Header.Get("Location"))
	}
	if got := e.get("https://localhost/static/"); !strings.Contains(got.body, `<a href="./a.txt">`) {
		t.Errorf("listing: %s", got.body)
	}
}

func TestCompressionIsForThoseWhoAccept(t *testing.T) {
	t.Parallel()
	app := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, strings.Repeat("hello ", 2000))
	})
	e := start(t, site(app, "      - {path: /zip/, upstream: app, compress: true}\n      - {path: /, upstream: app}"))
	accept := http.Header{"Accept-Encoding": {"br, gzip;q=0.5"}}
	for url, c := range map[string]struct {
		header http.Header
		coding string
	}{"https://localhost/zip/": {accept, "br"}, "https://localhost/zip/x": {nil, ""}, "https://localhost/": {accept, ""}} {
		got := do(t, e.client(true), http.MethodGet, url, c.header, "")
		if got.Header.Get("Content-Encoding") != c.coding || (len(got.body) == 12000) != (c.coding == "") {
			t.Errorf("%s: %q, %d bytes", url, got.Header.Get("Content-Encoding"), len(got.body))
		}
	}
}

func TestAnApplicationInTheBrowserIsServedFromAFolder(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "assets"), 0o750); err != nil {
		t.Fatal(err)
	}
	script := strings.Repeat("script ", 1000)
	for name, content := range map[string]string{"index.html": strings.Repeat("page ", 1000), "assets/app.js": script, "assets/app.js.br": "encoded"} {
		write(t, filepath.Join(root, name), content)
	}
	e := start(t, site(echo(t), fmt.Sprintf("      - {path: /, compress: true, files: {root: %q, max_age: 1h, fallback: index.html, immutable: assets/*, precompressed: true}}", root)))
	browser := func(accept string) http.Header {
		return http.Header{"Accept": {accept}, "Accept-Encoding": {"gzip, deflate, br, zstd"}}
	}
	for _, c := range []struct {
		path, accept          string
		status                int
		coding, vary, caching string
	}{
		{"/", "text/html", 200, "zstd", "Accept-Encoding", "public, max-age=3600"},
		{"/users/7", "text/html", 200, "zstd", "Accept|Accept-Encoding", "no-cache"},
		{"/assets/app.js", "*/*", 200, "br", "Accept-Encoding", "public, max-age=31536000, immutable"},
		{"/assets/gone.js", "*/*", 404, "", "Accept-Language|Accept", "no-store"},
	} {
		got := do(t, e.client(true), http.MethodGet, "https://localhost"+c.path, browser(c.accept), "")
		header := got.Header
		if got.StatusCode != c.status || header.Get("Content-Encoding") != c.coding || strings.Join(header.Values("Vary"), "|") != c.vary || header.Get("Cache-Control") != c.caching {
			t.Errorf("%s: %d %v", c.path, got.StatusCode, header)
		}
		if got.StatusCode != http.StatusOK {
			continue
		}
		again := browser(c.accept)
		again.Set("If-None-Match", header.Get("Etag"))
		if got := do(t, e.client(true), http.MethodGet, "https://localhost"+c.path, again, ""); got.StatusCode != http.StatusNotModified || got.Header.Get("Etag") != header.Get("Etag") {
			t.Errorf("%s with %s: %d %v", c.path, header.Get("Etag"), got.StatusCode, got.Header)
		}
	}
}

func TestWithoutHTTPSSitesAreServedInTheClear(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	config := filepath.Join(data, "proxy.yaml")
	write(t, config, "listen: {http: \"127.0.0.1:0\"}\nupstreams: {app: {targets: [\""+echo(t)+"\"]}}\nsites: [{hosts: [localhost], routes: [{path: /, upstream: app}]}]")
	e := startPlain(t, config, data)
	got := do(t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, http.MethodGet, "http://"+e.Addrs().HTTP.String()+"/x", http.Header{"Host": {"localhost"}}, "")
	if sent := got.seen(t); sent.Header.Get("X-Forwarded-Proto") != "http" || e.Addrs().HTTPS != nil {
		t.Fatalf("%+v", sent)
	}
	if _, err := os.Stat(filepath.Join(data, "ca")); err == nil {
		t.Error("a CA was made that nobody needs")
	}
}

func TestAListenerThatIsTakenIsNamed(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, key := range []string{"http", "https", "internal"} {
		err := failure(t, fmt.Sprintf("listen: {http: \"127.0.0.1:0\", https: \"127.0.0.1:0\"}\n"+sitesOnly), func(o *addresses) { o.set(key, taken.Addr().String()) })
		if err == nil || !strings.Contains(err.Error(), "listen."+key) || !strings.Contains(err.Error(), taken.Addr().String()) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", key, err)
		}
	}
}
