package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var (
	browserAccepts = http.Header{"Accept": {"text/html,application/xhtml+xml,*/*;q=0.8"}}
	programAccepts = http.Header{"Accept": {"application/json"}}
)

// pages writes a site's pages for failures and returns the keys that name them.
func pages(t *testing.T) (folder, keys string) {
	t.Helper()
	folder = t.TempDir()
	for name, content := range map[string]string{"404.html": "<h1>nothing here {status} {request_id}</h1>", "5xx.html": "<h1>{status}: we are sorry</h1>{message}"} {
		write(t, filepath.Join(folder, name), content)
	}
	return folder, fmt.Sprintf("    error_pages: {404: %s/404.html, 5xx: %s/5xx.html}\n", folder, folder)
}

func TestASiteHasPagesOfItsOwnForFailures(t *testing.T) {
	t.Parallel()
	_, keys := pages(t)
	e := start(t, plainSite("127.0.0.1:1", keys, "      - {path: /app/, upstream: app}\n      - {path: /files/, files: {root: "+t.TempDir()+"}}\n      - {path: /small/, upstream: app, body_bytes: 1}"))
	for _, c := range []struct {
		path, method string
		header       http.Header
		status       int
		page         string
	}{
		{"/none", "GET", browserAccepts, 404, "<h1>nothing here 404 "},
		{"/files/none", "GET", browserAccepts, 404, "<h1>nothing here 404 "},
		{"/app/", "GET", browserAccepts, 502, "<h1>502: we are sorry</h1>The service did not answer."},
		{"/app/", "GET", programAccepts, 502, `{"detail":`},
		{"/none", "GET", nil, 404, `{"detail":`},
		{"/small/", "POST", browserAccepts, 413, "<!doctype html>"},
	} {
		got := do(t, e.client(true), c.method, "https://localhost"+c.path, c.header, "content")
		header := got.Header
		if got.StatusCode != c.status || !strings.HasPrefix(got.body, c.page) || header.Get("Cache-Control") != "no-store" || !strings.Contains(strings.Join(header.Values("Vary"), ","), "Accept") {
			t.Errorf("%s %v: %d %v %s", c.path, c.header, got.StatusCode, header, got.body)
		}
		if strings.HasPrefix(got.body, "<h1>nothing") && !strings.Contains(got.body, " "+header.Get("X-Request-Id")+"</h1>") {
			t.Errorf("%s: no request id in %s", c.path, got.body)
		}
	}
	if got := do(t, e.client(false), http.MethodHead, "https://localhost/none", browserAccepts, ""); got.StatusCode != http.StatusNotFound || got.body != "" {
		t.Errorf("HEAD: %d %s", got.StatusCode, got.body)
	}
	if got := do(t, e.client(false), http.MethodGet, "https://localhost/none", http.Header{"Host": {"other.example"}, "Accept": browserAccepts["Accept"]}, ""); strings.Contains(got.body, "nothing here") {
		t.Errorf("another host is shown the page: %s", got.body)
	}
}

func TestPagesForFailuresAreReadAnewWhenTheyChange(t *testing.T) {
	t.Parallel()
	folder, keys := pages(t)
	e := start(t, plainSite(echo(t), keys, "      - {path: /app/, upstream: app}"))
	write(t, filepath.Join(folder, "404.html"), "changed")
	for deadline := time.Now().Add(20 * time.Second); ; {
		if got := do(t, e.client(false), http.MethodGet, "https://localhost/none", browserAccepts, ""); got.body == "changed" {
			return
		} else if time.Now().After(deadline) {
			t.Fatal(got.body)
		}
	}
}

func TestFailuresOfAnUpstreamAreReplacedWhereThatIsWanted(t *testing.T) {
	t.Parallel()
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var status int
		_, _ = fmt.Sscanf(r.URL.Path, "/%d", &status)
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Etag", `"x"`)
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, strings.Repeat("the upstream's own ", 5000))
		w.Header().Set(http.TrailerPrefix+"X-Sum", "1")
	})
	_, keys := pages(t)
	for _, http2 := range []bool{false, true} {
		e := start(t, plainSite(app, keys+"    intercept_errors: true", "      - {path: /, upstream: app, compress: true}"))
		kept := start(t, plainSite(app, keys, "      - {path: /, upstream: app}"))
		client := e.client(http2)
		for _, c := range []struct {
			edge     *edge
			path     string
			header   http.Header
			replaced string
		}{
			{e, "/500", browserAccepts, "<h1>500: we are sorry</h1>"},
			{e, "/503", browserAccepts, "<h1>503: we are sorry</h1>"},
			{e, "/404", browserAccepts, "<h1>nothing here 404 "},
			{e, "/500", programAccepts, ""},
			{e, "/403", browserAccepts, ""},
			{e, "/200", browserAccepts, ""},
			{kept, "/500", browserAccepts, ""},
		} {
			if c.edge == kept {
				client = kept.client(http2)
			}
			got := do(t, client, http.MethodGet, "https://localhost"+c.path, c.header, "")
			status := strings.TrimPrefix(c.path, "/")
			if fmt.Sprint(got.StatusCode) != status || got.Header.Get("Set-Cookie") != "a=b" || got.Header.Get("Retry-After") != "7" {
				t.Errorf("%s %v: %d %v", c.path, c.header, got.StatusCode, got.Header)
			}
			if summed := got.Trailer.Get("X-Sum") != ""; http2 && summed != (c.replaced == "") {
				t.Errorf("%s %v: trailer %v", c.path, c.header, got.Trailer)
			}
			if c.replaced == "" && (!strings.HasPrefix(got.body, "the upstream's own") || got.Header.Get("Etag") == "") ||
				c.replaced != "" && (!strings.HasPrefix(got.body, c.replaced) || got.Header.Get("Etag") != "" || got.Header.Get("Content-Type") != "text/html; charset=utf-8") {
				t.Errorf("%s %v: %v %.60s", c.path, c.header, got.Header, got.body)
			}
		}
		if got := do(t, e.client(http2), http.MethodHead, "https://localhost/500", browserAccepts, ""); got.StatusCode != 500 || got.ContentLength != int64(len("<h1>500: we are sorry</h1>")) {
			t.Errorf("HEAD: %d, length %d", got.StatusCode, got.ContentLength)
		}
	}
}

func TestAPageIsWholeThoughTheUpstreamsFailureIsNot(t *testing.T) {
	t.Parallel()
	app := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000000")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, strings.Repeat("x", 100_000))
		panic(http.ErrAbortHandler)
	})
	_, keys := pages(t)
	e := start(t, plainSite(app, keys+"    intercept_errors: true", "      - {path: /, upstream: app}"))
	for _, http2 := range []bool{false, true} {
		got := do(t, e.client(http2), http.MethodGet, "https://localhost/", browserAccepts, "")
		if got.StatusCode != http.StatusInternalServerError || got.body != "<h1>500: we are sorry</h1>" {
			t.Errorf("%d %q", got.StatusCode, got.body)
		}
	}
}

func TestAFailureWithoutEndKeepsNobodyWhoIsShownAPage(t *testing.T) {
	t.Parallel()
	_, keys := pages(t)
	for name, rest := range map[string]func(*actor){
		"that floods":   func(a *actor) { a.flood("8000\r\n" + strings.Repeat("x", 0x8000) + "\r\n") },
		"that is stuck": func(a *actor) { a.gone() },
		"in one piece, stuck": func(a *actor) {
			_ = a.say("1\r\nx\r\n")
			a.gone()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			left := make(chan struct{}, 2)
			app := act(t, func(_ int, a *actor) {
				a.request()
				_ = a.say("HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n")
				rest(a)
				left <- struct{}{}
			})
			e := start(t, plainSite(app.address, keys+"    intercept_errors: true\n", "      - {path: /app/, upstream: app}"))
			conn, err := e.dialTLS()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(patience))
			in := bufio.NewReader(conn)
			for _, c := range []struct{ path, page string }{{"/app/", "<h1>500: we are sorry</h1>"}, {"/none", "<h1>nothing here 404 "}} {
				_, _ = io.WriteString(conn, "GET "+c.path+" HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n")
				response, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Fatalf("%s: %v", c.path, err)
				}
				body, err := io.ReadAll(response.Body)
				if err != nil || !strings.HasPrefix(string(body), c.page) {
					t.Errorf("%s: %d %q, %v", c.path, response.StatusCode, body, err)
				}
			}
			<-left // by the edge
			if got := do(t, e.client(true), http.MethodGet, "https://localhost/app/", browserAccepts, ""); got.body != "<h1>500: we are sorry</h1>" {
				t.Errorf("HTTP/2: %d %q", got.StatusCode, got.body)
			}
			<-left
		})
	}
}

func TestASiteUnderMaintenanceSaysSo(t *testing.T) {
	t.Parallel()
	routes := "      - {path: /, upstream: app}\n      - {path: /files/, files: {root: " + t.TempDir() + ", browse: true}}"
	_, keys := pages(t)
	for name, c := range map[string]struct {
		keys   string
		header http.Header
		status int
		body   string
	}{
		"a program":       {"    maintenance: true", programAccepts, 503, "under maintenance"},
		"in Korean":       {"    maintenance: true", http.Header{"Accept-Language": {"ko"}}, 503, "점검"},
		"a browser":       {"    maintenance: true", browserAccepts, 503, "<p>The service is under maintenance."},
		"its own page":    {"    maintenance: true\n" + keys, browserAccepts, 503, "<h1>503: we are sorry</h1>"},
		"both of them":    {"    maintenance: {message: \"<b>We are back</b> at 14:00.\"}\n" + keys, browserAccepts, 503, "we are sorry</h1>&lt;b&gt;We are back&lt;/b&gt; at 14:00."},
		"its own words":   {"    maintenance: {message: We are back at 14:00.}", browserAccepts, 503, "We are back at 14:00."},
		"who is let in":   {"    maintenance: {allow: [127.0.0.1]}", browserAccepts, 200, ""},
		"somebody else":   {"    maintenance: {allow: [192.0.2.0/24]}", browserAccepts, 503, "maintenance"},
		"not switched on": {"    maintenance: false", browserAccepts, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t, plainSite(echo(t), c.keys, routes))
			for _, path := range []string{"/", "/files/"} {
				got := do(t, e.client(true), http.MethodGet, "https://localhost"+path, c.header, "")
				if got.StatusCode != c.status || !strings.Contains(got.body, c.body) || (got.Header.Get("Retry-After") != "") != (c.status == 503) {
					t.Errorf("%s: %d %v %s", path, got.StatusCode, got.Header, got.body)
				}
			}
		})
	}
}
