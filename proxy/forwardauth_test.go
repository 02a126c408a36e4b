package proxy_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// asked is what an auth server was asked.
type asked struct {
	Method, URI, Host string
	Length            int64
	Header            http.Header
}

// doorkeeper is an auth server that lets pass whoever has the cookie "in", and echoes the question in X-Asked.
func doorkeeper(t *testing.T) string {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		question, _ := json.Marshal(asked{r.Method, r.RequestURI, r.Host, r.ContentLength, r.Header})
		w.Header().Set("X-Asked", string(question))
		cookie, _ := r.Cookie("door")
		switch {
		case cookie == nil:
			w.Header().Set("Location", "https://login.example/?to="+r.Header.Get("X-Forwarded-Uri"))
			w.Header().Set("Set-Cookie", "state=1")
			w.WriteHeader(http.StatusFound)
			_, _ = io.WriteString(w, "log in first")
		case cookie.Value == "in":
			w.Header().Set("X-Auth-User", "ada")
			w.Header().Add("X-Auth-Group", "a")
			w.Header().Add("X-Auth-Group", "b")
			w.Header().Set("X-Not-Copied", "x")
			w.WriteHeader(http.StatusNoContent)
		case cookie.Value == "endless":
			for range 64 {
				_, _ = w.Write(make([]byte, 64<<10))
			}
		case cookie.Value == "broken":
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, "stack trace")
		case cookie.Value == "slow":
			<-r.Context().Done()
		case cookie.Value == "cut":
			w.Header().Set("Content-Length", "10")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "x")
			panic(http.ErrAbortHandler)
		default:
			w.Header().Set("Www-Authenticate", "Door")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "no "+cookie.Value)
		}
	})
}

// guarded is a site whose / asks the auth server, and whose /public does not.
func guarded(app, door string) string {
	return `upstreams:
  app: {targets: ["` + app + `"]}
  door: {targets: ["` + door + `"]}
sites:
  - hosts: [localhost]
    routes:
      - {path: /, upstream: app, forward_auth: {upstream: door, path: "/check?a=1", copy: [X-Auth-User, X-Auth-Group, X-Auth-Mail], timeout: 1s}}
      - {path: /public, upstream: app}
`
}

func TestAnotherServerSaysWhoPasses(t *testing.T) {
	t.Parallel()
	e := start(t, guarded(echo(t), doorkeeper(t)))
	for _, http2 := range []bool{false, true} {
		client := e.client(http2)
		ask := func(method, path, door, body string) answer {
			header := http.Header{"Content-Type": {"text/x"}, "If-None-Match": {`"x"`}, "Range": {"bytes=0-1"}, "Accept": {"text/html"}}
			for _, name := range []string{"X-Auth-User", "X_Auth_User", "X-Auth-Mail", "X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-User"} {
				header[name] = []string{"forged"}
			}
			if door != "" {
				header.Set("Cookie", "door="+door)
			}
			return do(t, client, method, "https://localhost"+path, header, body)
		}
		passed := ask(http.MethodPost, "/a/../b?c=d", "in", "content").seen(t)
		if passed.Body != "content" || passed.Method != http.MethodPost || passed.URI != "/b?c=d" || passed.Header.Get("X-Auth-User") != "ada" ||
			strings.Join(passed.Header["X-Auth-Group"], ",") != "a,b" || passed.Header.Get("X-Auth-Mail") != "" || passed.Header.Get("X-Not-Copied") != "" ||
			len(passed.Header["X-Auth-User"]) != 1 || passed.Header.Get("X-Auth_User") != "" || passed.Header.Get("Range") == "" {
			t.Errorf("the upstream sees %+v", passed)
		}
		refused := ask(http.MethodPost, "/b?c=d", "", "content")
		if refused.StatusCode != http.StatusFound || refused.Header.Get("Location") != "https://login.example/?to=/b?c=d" || refused.Header.Get("Set-Cookie") != "state=1" || refused.body != "log in first" {
			t.Errorf("without a cookie: %d %v %s", refused.StatusCode, refused.Header, refused.body)
		}
		var question asked
		if err := json.Unmarshal([]byte(refused.Header.Get("X-Asked")), &question); err != nil {
			t.Fatal(err)
		}
		if question.Method != http.MethodGet || question.URI != "/check?a=1" || question.Host != "localhost" || question.Length != 0 ||
			question.Header.Get("X-Forwarded-Method") != http.MethodPost || question.Header.Get("X-Forwarded-Uri") != "/b?c=d" ||
			question.Header.Get("X-Forwarded-Host") != "localhost" || question.Header.Get("X-Forwarded-Proto") != "https" ||
			question.Header.Get("X-Forwarded-For") != "127.0.0.1" || question.Header.Get("Accept") != "text/html" {
			t.Errorf("the auth server is asked %+v", question)
		}
		for name, values := range question.Header {
			if strings.Contains(strings.Join(values, ""), "forged") || name == "Content-Type" || name == "If-None-Match" || name == "Range" {
				t.Errorf("the auth server is told %s: %s", name, values)
			}
		}
		if got := ask(http.MethodGet, "/", "out", ""); got.StatusCode != http.StatusForbidden || got.body != "no out" || got.Header.Get("Www-Authenticate") != "Door" {
			t.Errorf("refused: %d %s", got.StatusCode, got.body)
		}
		if got := ask(http.MethodHead, "/", "out", ""); got.StatusCode != http.StatusForbidden || got.body != "" || got.ContentLength != int64(len("no out")) {
			t.Errorf("refused HEAD: %d %q %d", got.StatusCode, got.body, got.ContentLength)
		}
		if got := ask(http.MethodGet, "/public", "", "").seen(t); got.Header.Get("X-Auth-User") != "" || got.Header.Get("X-Auth-Mail") != "" {
			t.Errorf("a route of the same upstream sees %v", got.Header)
		}
		for door, status := range map[string]int{
			"endless": http.StatusBadGateway, "broken": http.StatusBadGateway, "slow": http.StatusGatewayTimeout, "cut": http.StatusBadGateway,
		} {
			if got := ask(http.MethodGet, "/", door, ""); got.StatusCode != status || strings.Contains(got.body, "stack trace") {
				t.Errorf("an auth server that is %s: %d %s", door, got.StatusCode, got.body)
			}
		}
	}
}

// Some balancers hand on what their clients write into fields by which auth servers know what is asked for.
func TestTheAuthServerIsAskedAboutTheSiteThatServesWhateverABalancerHandsOn(t *testing.T) {
	t.Parallel()
	door := serve(t, func(w http.ResponseWriter, r *http.Request) {
		question, _ := json.Marshal(asked{r.Method, r.RequestURI, r.Host, r.ContentLength, r.Header})
		w.Header().Set("X-Asked", string(question))
		if r.Header.Get("X-Forwarded-Host") != "public.localhost" {
			w.WriteHeader(http.StatusForbidden)
		}
	})
	app := echo(t)
	sites := ""
	for _, host := range []string{"admin.localhost", "public.localhost"} {
		sites += "  - {hosts: [" + host + "], routes: [{path: /, upstream: app, forward_auth: {upstream: door}}]}\n"
	}
	e := start(t, "trusted_proxies: [127.0.0.1]\nupstreams: {app: {targets: [\""+app+"\"]}, door: {targets: [\""+door+"\"]}}\nsites:\n"+sites)
	client := e.client(false)
	for name, c := range map[string]struct {
		host   string
		header http.Header
		status int
	}{
		"the open site":              {"public.localhost", nil, http.StatusOK},
		"the closed site":            {"admin.localhost", nil, http.StatusForbidden},
		"under another's name":       {"admin.localhost", http.Header{"X-Forwarded-Host": {"public.localhost"}}, http.StatusForbidden},
		"before the balancer's word": {"admin.localhost", http.Header{"X-Forwarded-Host": {"public.localhost", "admin.localhost"}}, http.StatusForbidden},
		"in a list":                  {"admin.localhost", http.Header{"X-Forwarded-Host": {"public.localhost, admin.localhost"}}, http.StatusForbidden},
		"by fields of others": {"admin.localhost", http.Header{
			"X-Original-Url": {"https://public.localhost/forged"}, "X-Rewrite-Url": {"/forged"}, "X-Original-Host": {"forged"},
			"X-Forwarded-Server": {"forged"}, "X-Forwarded-Uri": {"/forged"}, "X-Forwarded-Method": {"forged"}, "X-Forwarded-Prefix": {"/forged"},
		}, http.StatusForbidden},
	} {
		got := do(t, client, http.MethodGet, "https://"+c.host+"/secret", c.header, "")
		if got.StatusCode != c.status || strings.Contains(got.Header.Get("X-Asked"), "forged") {
			t.Errorf("%s: %d, asked %s", name, got.StatusCode, got.Header.Get("X-Asked"))
		}
	}
}

func TestNobodyPassesWhileTheAuthServerIsAway(t *testing.T) {
	t.Parallel()
	var reached atomic.Bool
	app := serve(t, func(http.ResponseWriter, *http.Request) { reached.Store(true) })
	door := httptest.NewServer(http.NotFoundHandler())
	address := strings.TrimPrefix(door.URL, "http://")
	door.Close()
	e := start(t, guarded(app, address))
	got := do(t, e.client(true), http.MethodGet, "https://localhost/", http.Header{"Cookie": {"door=in"}}, "")
	if got.StatusCode != http.StatusBadGateway && got.StatusCode != http.StatusServiceUnavailable || reached.Load() {
		t.Errorf("%d, the upstream was reached: %v", got.StatusCode, reached.Load())
	}
	if text := e.metrics(); !strings.Contains(text, `portico_edge_refused_total{policy="forward_auth"} 1`) {
		t.Error("it is not counted")
	}
}

func TestARedirectToALoginIsNotKeptAsTheRoutesAnswersAre(t *testing.T) {
	t.Parallel()
	door := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Key") == "" {
			http.Redirect(w, r, "/login", http.StatusFound)
		}
	})
	e := start(t, strings.Replace(guarded(echo(t), door), "{path: /, ", "{path: /, cache_control: public, ", 1))
	for key, want := range map[string]string{"": "", "in": "public"} {
		got := do(t, e.client(true), http.MethodGet, "https://localhost/", http.Header{"X-Key": {key}}, "")
		if said := got.Header.Get("Cache-Control"); said != want {
			t.Errorf("with the key %q: %d, Cache-Control: %s", key, got.StatusCode, said)
		}
	}
}

func TestTheAuthServerMayExchangeTheCredentials(t *testing.T) {
	t.Parallel()
	door := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Token outside" {
			w.Header().Set("Authorization", "Token inside")
		}
	})
	e := start(t, strings.Replace(guarded(echo(t), door), "copy: [", "copy: [Authorization, ", 1))
	client := e.client(true)
	for path, c := range map[string][2]string{"/": {"Token outside", "Token inside"}, "/other": {"Token forged", ""}, "/public": {"Token own", "Token own"}} {
		got := do(t, client, http.MethodGet, "https://localhost"+path, http.Header{"Authorization": {c[0]}}, "").seen(t)
		if strings.Join(got.Header["Authorization"], "|") != c[1] {
			t.Errorf("%s: the upstream sees %q, want %q", path, got.Header["Authorization"], c[1])
		}
	}
}

func TestNoUpgradeGetsPastAPolicy(t *testing.T) {
	t.Parallel()
	var reached atomic.Bool
	app := serve(t, func(http.ResponseWriter, *http.Request) { reached.Store(true) })
	users := usersFile(t)
	for policy, status := range map[string]string{
		"basic_auth: {users_file: " + users + "}": "401",
		"deny: [127.0.0.1]":                       "403",
		"forward_auth: {upstream: door}":          "302",
	} {
		e := start(t, strings.Replace(guarded(app, doorkeeper(t)), "upstream: app}", "upstream: app, "+policy+"}", 1))
		answer := e.raw("GET /public HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close, Authorization\r\nUpgrade: websocket\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: " + basic("ada", "secret") + "\r\n\r\n")
		if !strings.HasPrefix(answer, "HTTP/1.1 "+status) || reached.Load() {
			t.Errorf("%s: reached %v, %.100s", policy, reached.Load(), answer)
		}
	}
}
