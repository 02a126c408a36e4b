package proxy_test

import (
	"net/http"
	"strings"
	"testing"
)

// said are the fields of an answer that are about other origins.
func saidToOrigins(header http.Header) string {
	var said []string
	for _, name := range []string{"Origin", "Credentials", "Methods", "Headers", "Max-Age"} {
		for _, value := range header.Values("Access-Control-Allow-" + name) {
			said = append(said, name+"="+value)
		}
	}
	for _, name := range []string{"Max-Age", "Expose-Headers"} {
		for _, value := range header.Values("Access-Control-" + name) {
			said = append(said, name+"="+value)
		}
	}
	return strings.Join(said, "; ")
}

func TestPagesOfOtherOriginsDoWhatTheRouteLetsThem(t *testing.T) {
	t.Parallel()
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "https://evil.example")
		w.Header().Set("Access-Control-Allow-Credentials", "true")
		w.Header().Set("X-Method", r.Method)
	})
	users := usersFile(t)
	e := start(t, site(app, `      - {path: /few, upstream: app, cors: {origins: ["https://a.example", "https://*.b.example:8443"], methods: [PUT], headers: [X-One, X-Two], expose: [X-Sum], credentials: true, max_age: 1h}}
      - {path: /all, upstream: app, cors: {origins: ["*"], headers: ["*"]}}
      - {path: /staff, upstream: app, basic_auth: {users_file: `+users+`}, cors: {origins: ["https://a.example"]}}
      - {path: /none, upstream: app}`))
	client := e.client(true)
	const few = "Origin=https://a.example; Credentials=true; "
	for name, c := range map[string]struct {
		method, path, origin, asks string
		status                     int
		said                       string
	}{
		"preflight":                {http.MethodOptions, "/few", "https://a.example", "PUT", http.StatusNoContent, few + "Methods=PUT; Headers=X-One, X-Two; Max-Age=3600"},
		"preflight of a stranger":  {http.MethodOptions, "/few", "https://evil.example", "PUT", http.StatusNoContent, ""},
		"preflight of null":        {http.MethodOptions, "/few", "null", "PUT", http.StatusNoContent, ""},
		"a subdomain":              {http.MethodGet, "/few", "https://x.y.b.example:8443", "", http.StatusOK, "Origin=https://x.y.b.example:8443; Credentials=true; Expose-Headers=X-Sum"},
		"the domain itself":        {http.MethodGet, "/few", "https://b.example:8443", "", http.StatusOK, ""},
		"another port":             {http.MethodGet, "/few", "https://x.b.example", "", http.StatusOK, ""},
		"a lookalike":              {http.MethodGet, "/few", "https://a.example.evil.example", "", http.StatusOK, ""},
		"a lookalike of the below": {http.MethodGet, "/few", "https://evil.example/.b.example:8443", "", http.StatusOK, ""},
		"another scheme":           {http.MethodGet, "/few", "http://a.example", "", http.StatusOK, ""},
		"a request":                {http.MethodPut, "/few", "https://a.example", "", http.StatusOK, few + "Expose-Headers=X-Sum"},
		"no origin":                {http.MethodGet, "/few", "", "", http.StatusOK, ""},
		"OPTIONS of a program":     {http.MethodOptions, "/few", "", "", http.StatusOK, ""},
		"OPTIONS of a page":        {http.MethodOptions, "/few", "https://a.example", "", http.StatusOK, few + "Expose-Headers=X-Sum"},
		"anybody's preflight":      {http.MethodOptions, "/all", "https://x.example", "POST", http.StatusNoContent, "Origin=*; Methods=GET, HEAD, POST; Headers=x-asked; Max-Age=300"},
		"anybody":                  {http.MethodGet, "/all", "null", "", http.StatusOK, "Origin=*"},
		"preflight before a login": {http.MethodOptions, "/staff", "https://a.example", "GET", http.StatusNoContent, "Origin=https://a.example; Methods=GET, HEAD, POST; Max-Age=300"},
		"the edge's own refusal":   {http.MethodGet, "/staff", "https://a.example", "", http.StatusUnauthorized, "Origin=https://a.example"},
		"a route without it":       {http.MethodGet, "/none", "https://a.example", "", http.StatusOK, "Origin=https://evil.example; Credentials=true"},
		"its preflight":            {http.MethodOptions, "/none", "https://a.example", "GET", http.StatusOK, "Origin=https://evil.example; Credentials=true"},
	} {
		header := http.Header{}
		if c.origin != "" {
			header.Set("Origin", c.origin)
		}
		if c.asks != "" {
			header.Set("Access-Control-Request-Method", c.asks)
			header.Set("Access-Control-Request-Headers", "x-asked")
		}
		got := do(t, client, c.method, "https://localhost"+c.path, header, "")
		if said := saidToOrigins(got.Header); got.StatusCode != c.status || said != c.said {
			t.Errorf("%s: %d %q, want %d %q", name, got.StatusCode, said, c.status, c.said)
		}
		if forwarded := got.Header.Get("X-Method") != ""; forwarded != (c.status == http.StatusOK) {
			t.Errorf("%s: forwarded %v", name, forwarded)
		}
		if varies := strings.Contains(strings.Join(got.Header.Values("Vary"), ","), "Origin"); varies != (c.path == "/few" || c.path == "/staff" || c.status == http.StatusNoContent) {
			t.Errorf("%s: Vary %q", name, got.Header.Values("Vary"))
		}
	}
}
