package proxy_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// logged is a configuration of a site whose access log goes to a file, with these further settings.
func logged(app, file, settings string) string {
	return "access_log: {to: " + file + settings + "}\n" + site(app, `      - {path: /, upstream: app}`)
}

// stopped ends the edge, and reads the lines of its access log.
func (e *edge) stopped(file string) (lines []string) {
	e.t.Helper()
	if err := e.stop(); err != nil {
		e.t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		e.t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
}

func TestSecretsOfTheQueryAreNotLogged(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "access.log")
	e := start(t, logged(echo(t), file, `, query: true, redact: [Coupon], fields: [referer, user_agent, scheme]`))
	client := e.client(false)
	queries := [][2]string{ // sent, logged
		{"page=2&q=a%20b", "page=2&q=a%20b"},
		{"token=HUNTER2&page=2", "token=[redacted]&page=2"},
		{"ACCESS_TOKEN=HUNTER2;a=b", "ACCESS_TOKEN=[redacted];a=b"},
		{"a=b&%74oken=HUNTER2", "a=b&%74oken=[redacted]"},
		{"code=HUNTER2&state=HUNTER2&id_token=HUNTER2", "code=[redacted]&state=[redacted]&id_token=[redacted]"},
		{"X-Amz-Signature=HUNTER2&X-Amz-Date=1", "X-Amz-Signature=[redacted]&X-Amz-Date=1"},
		{"api_key=HUNTER2&apikey=HUNTER2&key=HUNTER2&sig=HUNTER2", "api_key=[redacted]&apikey=[redacted]&key=[redacted]&sig=[redacted]"},
		{"newPassword=HUNTER2&user[pass]=HUNTER2&user%5Bpwd%5D=HUNTER2&a.otp=HUNTER2", "newPassword=[redacted]&user[pass]=[redacted]&user%5Bpwd%5D=[redacted]&a.otp=[redacted]"},
		{"coupon=HUNTER2&keyboard=us&monkey=1", "coupon=[redacted]&keyboard=us&monkey=1"},
		{"next=%2Freset%3Ftoken%3DHUNTER2", "next=[redacted]"},
		{"next=%252Freset%253Fa%253Db%2526token%253DHUNTER2", "next=[redacted]"},
		{"next=/reset?token=HUNTER2", "next=[redacted]"},
		{"next=%2Fhome%3Fpage%3D2", "next=%2Fhome%3Fpage%3D2"},
		{"HUNTER2HUNTER2HUNTER2HUNTER2HUNTER2", "[redacted]"},
		{"token=&debug", "token=&debug"},
		{"token==HUNTER2&&", "token=[redacted]&&"},
	}
	for _, query := range queries {
		do(t, client, http.MethodGet, "https://localhost/x?"+query[0], http.Header{
			"Authorization": {"Bearer HUNTER2"}, "Cookie": {"session=HUNTER2"}, "User-Agent": {"a \"browser\""}, "Referer": {"https://localhost/from?token=HUNTER2"},
		}, "")
	}
	lines := e.stopped(file)
	if len(lines) != len(queries) {
		t.Fatalf("%d lines", len(lines))
	}
	for i, line := range lines {
		var read struct {
			Msg, Query, Scheme, Referer string
			UserAgent                   string `json:"user_agent"`
		}
		if err := json.Unmarshal([]byte(line), &read); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if strings.Contains(line, "HUNTER2") || read.Query != queries[i][1] {
			t.Errorf("%s: %s", queries[i][0], line)
		}
		if read.Msg != "request" || read.Scheme != "https" || read.Referer != "https://localhost/from" || read.UserAgent != `a "browser"` {
			t.Errorf("%s", line)
		}
	}
	if strings.Contains(e.log.String(), `"msg":"request"`) {
		t.Error("the program's log has lines, too")
	}
}

func TestTheQueryIsLoggedOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "access.log")
	e := start(t, logged(echo(t), file, ", format: console"))
	e.get("https://localhost/x?page=2")
	if lines := e.stopped(file); len(lines) != 1 || strings.Contains(lines[0], "page") || !strings.Contains(lines[0], " method=GET host=localhost path=/x proto=HTTP/1.1 status=200 ") {
		t.Errorf("%q", lines)
	}
}

func TestALineIsBoundedWhateverAClientSends(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "access.log")
	e := start(t, logged(echo(t), file, ", query: true, fields: [referer, user_agent]"))
	const much = 7000
	requests := []string{
		"GET /" + strings.Repeat("\xff", much) + "%zz HTTP/1.1\r\nHost: localhost\r\n",
		strings.Repeat("M", much) + " / HTTP/1.1\r\nHost: localhost\r\n",
		"GET / HTTP/1.1\r\nHost: " + strings.Repeat("h", much) + "\r\n",
		"GET /?" + strings.Repeat("a=b&", much/4) + " HTTP/1.1\r\nHost: localhost\r\n",
		"GET / HTTP/1.1\r\nHost: localhost\r\nReferer: " + strings.Repeat("\xff", much) + "\r\nUser-Agent: " + strings.Repeat("\xff", much) + "\r\n",
	}
	for _, request := range requests {
		e.raw(request + "Connection: close\r\n\r\n")
	}
	lines := e.stopped(file)
	if len(lines) != len(requests) {
		t.Fatalf("%d lines", len(lines))
	}
	for i, line := range lines {
		if len(line) > 3<<10 || !strings.Contains(line, "…") || !json.Valid([]byte(line)) {
			t.Errorf("%d bytes about %.20q: %s", len(line), requests[i], line)
		}
	}
}

func TestASampleHasEveryFailure(t *testing.T) {
	t.Parallel()
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/broken":
			w.WriteHeader(http.StatusInternalServerError)
		case "/torn":
			w.Header().Set("Content-Length", "10")
			_, _ = w.Write([]byte("x"))
		}
	})
	for settings, want := range map[string][]string{
		", sample: 0, slow: 1h":   {"/broken", "/torn"},
		", sample: 0%, slow: 1ns": {"/fine", "/broken", "/torn"},
		", sample: 1/1, slow: 1h": {"/fine", "/broken", "/torn"},
	} {
		file := filepath.Join(t.TempDir(), "access.log")
		e := start(t, logged(app, file, settings))
		for _, path := range []string{"/fine", "/broken", "/torn"} {
			_, _ = try(t.Context(), e.client(false), http.MethodGet, "https://localhost"+path, nil, "")
		}
		lines := e.stopped(file)
		all := strings.Join(lines, "\n") // the requests came by connections of their own, so that they may end in any order
		for _, path := range want {
			if len(lines) != len(want) || strings.Count(all, `"path":"`+path+`"`) != 1 {
				t.Errorf("%s: %s", settings, all)
			}
		}
	}
}

func TestAReloadTakesTheAccessLogOver(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	first, second := filepath.Join(folder, "first.log"), filepath.Join(folder, "second.log")
	app := echo(t)
	e := start(t, logged(app, first, ""))
	e.get("https://localhost/one")
	write(t, e.config, logged(app, second, ""))
	if err := e.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.get("https://localhost/two")
	if err := os.Rename(second, second+"-moved"); err != nil { // as logrotate does
		t.Fatal(err)
	}
	if err := e.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.get("https://localhost/three")
	write(t, e.config, logged(app, filepath.Join(folder, "missing", "third.log"), ""))
	if err := e.Reload(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "access_log.to: open "+folder+"/missing/third.log: no such file or directory: make its folder") {
		t.Errorf("a folder that is missing: %v", err)
	}
	e.get("https://localhost/four")
	lines := e.stopped(second)
	one, err := os.ReadFile(first)
	if err != nil || strings.Count(string(one), "\n") != 1 || !strings.Contains(string(one), "/one") {
		t.Errorf("first: %s, %v", one, err)
	}
	if all := strings.Join(lines, "\n"); !strings.Contains(all, "/three") || !strings.Contains(all, "/four") || strings.Contains(all, "/one") {
		t.Errorf("second: %s", all)
	}
}

func TestAFullDiskFailsNoRequest(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this system has no /dev/full")
	}
	e := start(t, logged(echo(t), "/dev/full", ""))
	client := e.client(true)
	for range 300 { // more than what is written at the latest
		if got := do(t, client, http.MethodGet, "https://localhost/"+strings.Repeat("x", 200), nil, ""); got.StatusCode != http.StatusOK {
			t.Fatal(got.StatusCode)
		}
	}
	e.until("lost lines are counted", func() bool {
		metrics := e.metrics()
		return strings.Contains(metrics, "\nportico_edge_access_log_dropped_total ") && !strings.Contains(metrics, "\nportico_edge_access_log_dropped_total 0\n")
	})
}

func TestQuestionsForHealthAreNeitherLoggedNorCounted(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "access.log")
	e := start(t, "listen: {health_path: /up}\n"+strings.Replace(logged(echo(t), file, ""), "listen: {http3: true}\n", "", 1))
	e.get("https://localhost/up")
	if metrics := e.metrics(); !strings.Contains(metrics, `portico_edge_request_duration_seconds_count{route="-",site="-"} 0`) {
		t.Errorf("counted:\n%s", metrics)
	}
	if lines := e.stopped(file); len(lines) != 1 || lines[0] != "" {
		t.Errorf("logged: %q", lines)
	}
}
