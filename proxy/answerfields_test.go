package proxy_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// plainSite is site with other keys of the site itself.
func plainSite(app, keys, routes string) string {
	return site(app, routes) + "\n" + keys
}

// says is an upstream that answers with the fields that the query names: ?Name=value.
func says(t *testing.T) string {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		status := http.StatusOK
		for name, values := range r.URL.Query() {
			if name == "status" {
				status = http.StatusNotFound
				continue
			}
			w.Header()[name] = values
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "said")
	})
}

func TestAnswersOfASiteAreCareful(t *testing.T) {
	t.Parallel()
	careful := map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "strict-origin-when-cross-origin", "X-Frame-Options": "SAMEORIGIN",
		"Strict-Transport-Security": "", "Content-Security-Policy": "", "Permissions-Policy": "",
	}
	nothing := map[string]string{"X-Content-Type-Options": "", "Referrer-Policy": "", "X-Frame-Options": "", "Strict-Transport-Security": ""}
	with := func(changes ...string) map[string]string {
		changed := map[string]string{}
		for name, value := range careful {
			changed[name] = value
		}
		for i := 0; i < len(changes); i += 2 {
			changed[changes[i]] = changes[i+1]
		}
		return changed
	}
	pinned := "    security_headers: {strict_transport_security: max-age=60}"
	for name, c := range map[string]struct {
		keys, url string
		want      map[string]string
	}{
		"without a setting":      {"", "https://localhost/", careful},
		"where no route is":      {"", "https://localhost/none/", careful},
		"a failure of the edge":  {"", "https://localhost/app/%00", nothing},
		"switched off":           {"    security_headers: false", "https://localhost/app/", nothing},
		"what the upstream says": {"", "https://localhost/app/?X-Frame-Options=DENY&Referrer-Policy=origin", with("X-Frame-Options", "DENY", "Referrer-Policy", "origin")},
		"frames by a policy": {
			"", "https://localhost/app/?Content-Security-Policy=frame-ancestors+*",
			with("X-Frame-Options", "", "Content-Security-Policy", "frame-ancestors *"),
		},
		"another policy": {
			"", "https://localhost/app/?Content-Security-Policy=default-src+'self'", with("Content-Security-Policy", "default-src 'self'"),
		},
		"changed": {
			"    security_headers: {frame_options: false, referrer_policy: no-referrer, content_security_policy: \"default-src 'self'\", permissions_policy: camera=()}",
			"https://localhost/app/", with("X-Frame-Options", "", "Referrer-Policy", "no-referrer", "Content-Security-Policy", "default-src 'self'", "Permissions-Policy", "camera=()"),
		},
		"edited away":                  {"    response_headers: {remove: [x-frame-options], set: {Referrer-Policy: origin}}", "https://localhost/app/", with("X-Frame-Options", "", "Referrer-Policy", "origin")},
		"pinned":                       {pinned, "https://a.test/app/", with("Strict-Transport-Security", "max-age=60")},
		"pinned by the upstream":       {pinned, "https://a.test/app/?Strict-Transport-Security=max-age%3D1", with("Strict-Transport-Security", "max-age=1")},
		"localhost is never pinned":    {pinned, "https://localhost/app/", careful},
		"nor is a name below it":       {pinned, "https://a.localhost/app/", careful},
		"nor is an address":            {pinned, "https://127.0.0.1/app/", careful},
		"nor is anything in the clear": {pinned, "http://a.test/app/", map[string]string{"Strict-Transport-Security": ""}},
		"the site leads to its name":   {"    redirect_from: [b.test]\n" + pinned, "https://b.test/", with("Strict-Transport-Security", "max-age=60")},
		"what is not in a folder":      {"", "https://localhost/files/", careful},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := strings.Replace(plainSite(says(t), c.keys, "      - {path: /app/, upstream: app}\n      - {path: /files/, files: {root: "+t.TempDir()+"}}"), "127.0.0.1]", "127.0.0.1, a.test]", 1)
			got := start(t, config).get(c.url)
			for field, want := range c.want {
				if values := got.Header.Values(field); strings.Join(values, "|") != want {
					t.Errorf("%d, %s: %q, want %q", got.StatusCode, field, values, want)
				}
			}
		})
	}
}

func TestASiteWithACertificateThatIsTrustedIsPinned(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	roots := certificate(t, folder, "x", "a.test")
	e := start(t, "tls: {issuer: files, certificates: [{cert: "+filepath.Join(folder, "x.pem")+", key: "+filepath.Join(folder, "x.key")+"}]}\nsites: [{hosts: [a.test], routes: [{path: /, redirect: {to: /x}}]}]")
	transport := &http.Transport{DialContext: e.dial, TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	got, err := transport.RoundTrip(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://a.test/", http.NoBody))
	if err != nil {
		t.Fatal(err)
	}
	_ = got.Body.Close()
	if got.Header.Get("Strict-Transport-Security") != "max-age=2592000" {
		t.Error(got.Header)
	}
}

func TestFieldsAreEditedAsTheSiteAndTheRouteSay(t *testing.T) {
	t.Parallel()
	e := start(t, plainSite(echo(t), `    request_headers: {set: {X-Site: site, X-Both: site}, add: {Via: us}, remove: [Cookie, X-Gone]}
    response_headers: {set: {X-Answer: site}, remove: [Content-Type]}`, `      - path: /
        upstream: app
        request_headers: {set: {X-Both: route}, add: {X-Given: more}, remove: [x_odd]}
        response_headers: {set: {x-answer: route}, add: {X-Answer: too, Link: "</a>"}}
        underscore_fields: true
      - {path: /fail/, redirect: {to: /}}`))
	got := do(t, e.client(true), http.MethodGet, "https://localhost/", http.Header{
		"Cookie": {"a=b"}, "X-Gone": {"1", "2"}, "X_odd": {"1"}, "X-Given": {"mine"}, "X-Both": {"mine"}, "X-Kept": {"kept"},
	}, "")
	sent := got.seen(t).Header
	for name, want := range map[string]string{
		"Cookie": "", "X-Gone": "", "X_odd": "", "X-Given": "mine|more", "X-Both": "route", "X-Site": "site", "X-Kept": "kept", "Via": "us",
	} {
		if values := strings.Join(sent.Values(name), "|"); values != want {
			t.Errorf("the upstream got %s: %q, want %q", name, values, want)
		}
	}
	if answer := strings.Join(got.Header.Values("X-Answer"), "|"); answer != "route|too" || got.Header.Get("Link") != "</a>" || got.Header.Get("Content-Type") != "" {
		t.Errorf("%v", got.Header)
	}
	if got := e.get("https://localhost/fail/"); got.Header.Get("X-Answer") != "site" {
		t.Errorf("a route without edits: %v", got.Header)
	}
}

func TestCacheControlIsForAnswersThatMayBeKept(t *testing.T) {
	t.Parallel()
	e := start(t, site(says(t), `      - {path: /, upstream: app, cache_control: "public, max-age=60"}`))
	for query, want := range map[string]string{
		"":                        "public, max-age=60",
		"?Cache-Control=no-cache": "public, max-age=60",
		"?status=404":             "",
		"?Set-Cookie=session%3D1": "",
		"?Set-Cookie=a%3D1&Cache-Control=no-store": "no-store",
		"?status=404&Cache-Control=private":        "private",
	} {
		if got := e.get("https://localhost/" + query); got.Header.Get("Cache-Control") != want {
			t.Errorf("%s: %q, want %q", query, got.Header.Get("Cache-Control"), want)
		}
	}
}

// A failure of gRPC has the status 200, and any client may ask for one.
func TestCacheControlIsNotForFailuresOfGRPC(t *testing.T) {
	t.Parallel()
	const kept = `, cache_control: "public, max-age=60"}` + "\n"
	e := start(t, "rate_limits: {few: {rate: 1/h}}\nupstreams: {app: {targets: [\""+says(t)+`"]}, dead: {targets: ["127.0.0.1:1"]}}
sites:
  - hosts: [localhost]
    routes:
      - {path: /, upstream: app`+kept+"      - {path: /dead/, upstream: dead"+kept+"      - {path: /limited/, upstream: app, rate_limit: few"+kept+
		"      - {path: /small/, upstream: app, body_bytes: 1"+kept)
	client := e.client(true)
	for _, c := range []struct{ path, status, want string }{
		{"/", "", "public, max-age=60"},
		{"/?Grpc-Status=5", "5", ""},
		{"/dead/", "14", "no-store"},
		{"/limited/", "", "public, max-age=60"},
		{"/limited/", "8", "no-store"},
		{"/small/", "8", "no-store"},
	} {
		got := do(t, client, http.MethodGet, "https://localhost"+c.path, http.Header{"Content-Type": {"application/grpc"}}, "content")
		if got.StatusCode != http.StatusOK || got.Header.Get("Grpc-Status") != c.status || got.Header.Get("Cache-Control") != c.want {
			t.Errorf("%s: %d %v, want Cache-Control: %q", c.path, got.StatusCode, got.Header, c.want)
		}
	}
}

func TestARouteHasItsOwnLimitOfContent(t *testing.T) {
	t.Parallel()
	e := start(t, "limits: {body_bytes: 10}\n"+site(echo(t), `      - {path: /, upstream: app}
      - {path: /less/, upstream: app, body_bytes: 5}
      - {path: /more/, upstream: app, body_bytes: 1KiB}
      - {path: /any/, upstream: app, body_bytes: 0}`))
	for _, c := range []struct {
		path   string
		length int
		passes bool
	}{
		{"/", 10, true}, {"/", 11, false}, {"/less/", 5, true}, {"/less/", 6, false}, {"/more/", 1024, true}, {"/more/", 1025, false}, {"/any/", 100_000, true},
	} {
		content := strings.Repeat("x", c.length)
		for _, known := range []bool{true, false} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://localhost"+c.path, io.MultiReader(strings.NewReader(content)))
			if err != nil {
				t.Fatal(err)
			}
			if known {
				request.ContentLength = int64(c.length)
			}
			response, err := e.client(true).Do(request)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if (response.StatusCode == http.StatusOK) != c.passes || !c.passes && response.StatusCode != http.StatusRequestEntityTooLarge {
				t.Errorf("%s with %d bytes, announced %v: %d", c.path, c.length, known, response.StatusCode)
			}
		}
	}
}
