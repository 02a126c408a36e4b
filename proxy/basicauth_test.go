package proxy_test

import (
	"bufio"
	"encoding/base64"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// The hashes of "secret", as cheap as they come.
const (
	bcryptOfSecret = "$2a$04$qRlYDuwN6PnAxExgBfXN0.nxciEXO/OYbleMRR2dGzGEok5I5VO0K"
	argonOfSecret  = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$+v0rf6ETYAIpqJIjJyARZ3W3zqJlkf+0TRXzsLHmR6o"
	bcryptOfOther  = "$2a$04$hBmh5g0rIbS8F5/jnmJrx.jCotXy7n5v1p9Gwif4/OroK/aXQMvtq"
)

// usersFile holds ada and bob, whose password is "secret".
func usersFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "users")
	write(t, file, "# who may pass\n\nada:"+bcryptOfSecret+"\nbob:"+argonOfSecret+"\r\n")
	return file
}

func basic(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

func TestBasicAuthLetsPassWhoKnowsThePassword(t *testing.T) {
	t.Parallel()
	e := start(t, site(echo(t), "      - {path: /, upstream: app, basic_auth: {users_file: "+usersFile(t)+", realm: Staff, tell: X-Auth-User}}"))
	client := e.client(true)
	for name, c := range map[string]struct {
		sent   []string
		status int
	}{
		"bcrypt":               {[]string{basic("ada", "secret")}, http.StatusOK},
		"argon2id":             {[]string{basic("bob", "secret")}, http.StatusOK},
		"scheme in any case":   {[]string{strings.Replace(basic("ada", "secret"), "Basic", "bASIC", 1)}, http.StatusOK},
		"nothing":              {nil, http.StatusUnauthorized},
		"wrong password":       {[]string{basic("ada", "Secret")}, http.StatusUnauthorized},
		"a part of it":         {[]string{basic("ada", "secre")}, http.StatusUnauthorized},
		"no password":          {[]string{basic("ada", "")}, http.StatusUnauthorized},
		"unknown user":         {[]string{basic("eve", "secret")}, http.StatusUnauthorized},
		"name in another case": {[]string{basic("Ada", "secret")}, http.StatusUnauthorized},
		"the hash itself":      {[]string{basic("ada", bcryptOfSecret)}, http.StatusUnauthorized},
		"no colon":             {[]string{"Basic " + base64.StdEncoding.EncodeToString([]byte("ada"))}, http.StatusUnauthorized},
		"not base64":           {[]string{"Basic ada:secret"}, http.StatusUnauthorized},
		"another scheme":       {[]string{strings.Replace(basic("ada", "secret"), "Basic", "Bearer", 1)}, http.StatusUnauthorized},
		"the scheme alone":     {[]string{"Basic"}, http.StatusUnauthorized},
		"two fields":           {[]string{basic("ada", "secret"), basic("ada", "secret")}, http.StatusUnauthorized},
		"endless":              {[]string{basic("ada", strings.Repeat("x", 10_000))}, http.StatusUnauthorized},
	} {
		got := do(t, client, http.MethodGet, "https://localhost/", http.Header{"Authorization": c.sent}, "")
		if got.StatusCode != c.status {
			t.Errorf("%s: %d %s", name, got.StatusCode, got.body)
		}
		if want := `Basic realm="Staff", charset="UTF-8"`; (got.Header.Get("Www-Authenticate") == want) != (c.status == http.StatusUnauthorized) {
			t.Errorf("%s: %q", name, got.Header.Get("Www-Authenticate"))
		}
	}
	if text := e.metrics(); !strings.Contains(text, `portico_edge_refused_total{policy="basic_auth"} 13`) {
		t.Error("the refused are not counted")
	}
	if err := e.stop(); err != nil {
		t.Fatal(err)
	}
	if log := e.log.String(); !strings.Contains(log, `"user":"ada"`) || !strings.Contains(log, `"refused":"wrong credentials"`) || strings.Contains(log, "ecret") {
		t.Error("the log has not what it should, or a password")
	}
}

func TestUpstreamsLearnTheUserFromTheEdgeAlone(t *testing.T) {
	t.Parallel()
	app, users := echo(t), usersFile(t)
	e := start(t, site(app, `      - {path: /, upstream: app, basic_auth: {users_file: `+users+`, tell: X-Auth-User}}
      - {path: /forwarded, upstream: app, underscore_fields: true, basic_auth: {users_file: `+users+`, tell: X-Forwarded-User, pass_credentials: true}}
      - {path: /public, upstream: app, underscore_fields: true}`))
	client := e.client(true)
	ask := func(path string) http.Header {
		t.Helper()
		forged := http.Header{"Authorization": {basic("ada", "secret")}}
		for _, name := range []string{"X-Auth-User", "X_Auth_User", "x-auth_user", "X.Auth.User", "X-Forwarded-User", "X_Forwarded_User"} {
			forged[name] = []string{"root"}
		}
		return do(t, client, http.MethodGet, "https://localhost"+path, forged, "").seen(t).Header
	}
	for path, want := range map[string]http.Header{
		"/":          {"X-Auth-User": {"ada"}},
		"/forwarded": {"X-Forwarded-User": {"ada"}, "Authorization": {basic("ada", "secret")}},
		"/public":    {"Authorization": {basic("ada", "secret")}},
	} {
		got := ask(path)
		for name, values := range got {
			if strings.Contains(strings.Join(values, ""), "root") {
				t.Errorf("%s: %s: %s", path, name, values)
			}
			if (strings.HasSuffix(name, "User") || name == "Authorization") && want[name] == nil {
				t.Errorf("%s: %s: %s", path, name, values)
			}
		}
		for name, values := range want {
			if len(got[name]) != 1 || got[name][0] != values[0] {
				t.Errorf("%s: %s is %q", path, name, got[name])
			}
		}
	}
}

func TestSlashesInARowDoNotLeadPastARoute(t *testing.T) {
	t.Parallel()
	e := start(t, site(echo(t), "      - {path: /, upstream: app}\n      - {path: /staff/area, upstream: app, basic_auth: {users_file: "+usersFile(t)+"}}"))
	for path, want := range map[string]string{
		"//staff/area": "400", "/staff//area": "400", "/staff///area/x": "400", "/x/..//staff/area": "400", "/%2e//staff/area": "400",
		"/staff/area//x": "401", "/staff/area": "401",
		"//": "200", "//staff": "200", "/staff//areas": "200", "/https://example.com/": "200",
	} {
		if got := e.raw("GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 "+want) {
			t.Errorf("%s: %.40q, want %s", path, got, want)
		}
	}
}

func TestATrailerCannotPassForWhatTheEdgeSays(t *testing.T) {
	t.Parallel()
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Saw", r.Trailer.Get("X-Auth-User")+"|"+r.Trailer.Get("X-Sum"))
	})
	e := start(t, site(app, "      - {path: /, upstream: app}\n      - {path: /staff, upstream: app, basic_auth: {users_file: "+usersFile(t)+", tell: X-Auth-User}}"))
	answer := e.raw("POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: X-Auth-User, X-Sum\r\n\r\n1\r\nx\r\n0\r\nX-Auth-User: root\r\nX-Sum: 1\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(strings.NewReader(answer)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if got := response.Header.Get("X-Saw"); got != "|1" {
		t.Errorf("the upstream saw %q in the trailer", got)
	}
}

func TestWhoGuessesPasswordsHasToWait(t *testing.T) {
	t.Parallel()
	e := start(t, "trusted_proxies: [127.0.0.1]\n"+site(echo(t), "      - {path: /, upstream: app, basic_auth: {users_file: "+usersFile(t)+"}}"))
	client := e.client(true)
	ask := func(address, name, password string) answer {
		header := from(address)
		header.Set("Authorization", basic(name, password))
		return do(t, client, http.MethodGet, "https://localhost/", header, "")
	}
	if got := ask("203.0.113.1", "bob", "secret"); got.StatusCode != http.StatusOK {
		t.Fatal(got.StatusCode)
	}
	for range 10 {
		if got := ask("203.0.113.1", "ada", "guess"); got.StatusCode != http.StatusUnauthorized {
			t.Fatal(got.StatusCode)
		}
	}
	if got := ask("203.0.113.1", "ada", "secret"); got.StatusCode != http.StatusTooManyRequests || got.Header.Get("Retry-After") == "" {
		t.Errorf("after ten guesses: %d", got.StatusCode)
	}
	if got := ask("203.0.113.1", "bob", "secret"); got.StatusCode != http.StatusOK {
		t.Errorf("somebody at the same address who was right before: %d", got.StatusCode)
	}
	if got := ask("203.0.113.2", "ada", "secret"); got.StatusCode != http.StatusOK {
		t.Errorf("another address: %d", got.StatusCode)
	}
}

func TestAChangeOfTheUsersFileIsTakenOver(t *testing.T) {
	t.Parallel()
	users := usersFile(t)
	e := start(t, site(echo(t), "      - {path: /, upstream: app, basic_auth: {users_file: "+users+"}}"))
	client := e.client(true)
	status := func(name, password string) int {
		return do(t, client, http.MethodGet, "https://localhost/", http.Header{"Authorization": {basic(name, password)}}, "").StatusCode
	}
	if status("ada", "secret") != http.StatusOK || status("bob", "secret") != http.StatusOK {
		t.Fatal("refused before the change")
	}
	write(t, users, "ada:"+bcryptOfOther+"\n")
	eventually(t, "notice of the change", func() bool { return strings.Contains(e.log.String(), "configuration reloaded") })
	if got := status("ada", "other"); got != http.StatusOK {
		t.Errorf("the new password: %d", got)
	}
	if got := status("ada", "secret"); got != http.StatusUnauthorized {
		t.Errorf("the old password, which was known: %d", got)
	}
	if got := status("bob", "secret"); got != http.StatusUnauthorized {
		t.Errorf("a user who is gone: %d", got)
	}
	write(t, users, "ada:secret\n")
	if err := e.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "line 1") || strings.Contains(err.Error(), "secret\n") {
		t.Errorf("a password in the clear: %v", err)
	}
	if got := status("ada", "other"); got != http.StatusOK {
		t.Errorf("after a refused reload: %d", got)
	}
}

func TestAddressesDecideWhoPasses(t *testing.T) {
	t.Parallel()
	e := start(t, "trusted_proxies: [127.0.0.1]\n"+site(echo(t), `      - {path: /, upstream: app}
      - {path: /denied, upstream: app, deny: [203.0.113.0/24, "2001:db8::/32", "::ffff:198.51.100.0/120"]}
      - {path: /both, upstream: app, deny: [10.1.2.3]}
      - {path: /other, upstream: app, allow: [203.0.113.1]}
      - {path: /open, upstream: app, open: true}
    allow: [10.0.0.0/8, "2001:db8:1::/48"]`))
	client := e.client(true)
	for _, c := range []struct {
		path, address string
		status        int
	}{
		{"/", "10.1.2.3", http.StatusOK},
		{"/", "2001:db8:1::5", http.StatusOK},
		{"/", "::ffff:10.1.2.3", http.StatusOK},
		{"/", "203.0.113.1", http.StatusForbidden},
		{"/", "2001:db8:2::5", http.StatusForbidden},
		{"/", "not an address", http.StatusForbidden}, // the peer itself counts
		{"/denied", "203.0.113.1", http.StatusForbidden},
		{"/denied", "198.51.100.1", http.StatusForbidden},
		{"/denied", "2001:db8:1::5", http.StatusForbidden},
		{"/denied", "10.1.2.3", http.StatusOK},
		{"/both", "10.1.2.3", http.StatusForbidden},
		{"/both", "10.1.2.4", http.StatusOK},
		{"/other", "203.0.113.1", http.StatusOK},
		{"/other", "10.1.2.3", http.StatusForbidden},
		{"/open", "203.0.113.1", http.StatusOK},
	} {
		if got := do(t, client, http.MethodGet, "https://localhost"+c.path, from(c.address), ""); got.StatusCode != c.status {
			t.Errorf("%s from %s: %d, want %d", c.path, c.address, got.StatusCode, c.status)
		}
	}
	forged := http.Header{"X-Forwarded-For": {"10.1.2.3, 203.0.113.1"}}
	if got := do(t, client, http.MethodGet, "https://localhost/", forged, ""); got.StatusCode != http.StatusForbidden {
		t.Errorf("a forged address: %d", got.StatusCode)
	}
}
