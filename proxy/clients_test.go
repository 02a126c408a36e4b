package proxy_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/portico-web/portico/internal/dbtest"
)

// clientPatience bounds one run of a program.
const clientPatience = time.Minute

// run runs a program that has to succeed. It returns what it wrote.
func run(t *testing.T, program string, arguments ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clientPatience)
	defer cancel()
	command := exec.CommandContext(ctx, program, arguments...)
	var wrote, complained bytes.Buffer
	command.Stdout, command.Stderr = &wrote, &complained
	if err := command.Run(); err != nil {
		t.Fatalf("%s %q: %v\n%s\n%.2000s", filepath.Base(program), arguments, err, complained.Bytes(), wrote.Bytes())
	}
	return wrote.String()
}

// delivery is what an upstream tells about a request that it took in.
type delivery struct {
	Method, Sum string
	Size        int
	Length      int64 // as it was announced
	Header      http.Header
	Trailer     http.Header
}

func sum(content []byte) string { return fmt.Sprintf("%x", sha256.Sum256(content)) }

// largeSize is that of a large transfer: many windows, and many frames.
const largeSize = 8 << 20

// trailed is content that trailers follow. It is long enough that no length is announced: curl looks for nothing behind
// content whose length it knows.
var trailed = strings.Repeat("trailed ", 10_000)

// depot is an upstream that gives content and tells about content that it got.
func depot(t *testing.T, large []byte) string {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/large":
			w.Header().Set("Content-Length", strconv.Itoa(len(large)))
			_, _ = w.Write(large)
		case "/trailers":
			w.Header().Set("Trailer", "X-Sum")
			_, _ = io.WriteString(w, trailed)
			w.Header().Set("X-Sum", "7")
		case "/refused": // without a look at the content
			w.WriteHeader(http.StatusForbidden)
		default:
			hash := sha256.New()
			size, err := io.Copy(hash, r.Body)
			if err != nil {
				return
			}
			_ = json.NewEncoder(w).Encode(delivery{
				Method: r.Method, Sum: fmt.Sprintf("%x", hash.Sum(nil)), Size: int(size), Length: r.ContentLength,
				Header: r.Header, Trailer: r.Trailer,
			})
		}
	})
}

// delivered reads what depot told.
func delivered(t *testing.T, text string) delivery {
	t.Helper()
	var got delivery
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v in %.1000q", err, text)
	}
	return got
}

// url is an address of the edge for programs that resolve names themselves.
func (e *edge) url(path string) string {
	return fmt.Sprintf("https://localhost:%d%s", e.Addrs().HTTPS.Port, path)
}

// temporary is a file of this content.
func temporary(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "content")
	write(t, path, string(content))
	return path
}

func TestCurlIsServed(t *testing.T) {
	t.Parallel()
	curl := dbtest.Require(t, "Debian: apt-get install curl", "curl")
	if !strings.Contains(run(t, curl, "--version"), " HTTP2") {
		t.Skip("this curl cannot speak HTTP/2")
	}
	large := noise(largeSize)
	file, sum := temporary(t, large), sum(large)
	e := startQuiet(t, site(depot(t, large), `      - {path: /, upstream: app}`))
	root := e.RootCertificate()
	// ask runs curl, and returns the content and the version and status of the answer.
	ask := func(t *testing.T, path string, arguments ...string) (content, came string) {
		t.Helper()
		out := run(t, curl, append([]string{"-q", "--silent", "--show-error", "--ipv4", "--noproxy", "*", "--http2", "--cacert", root,
			"--write-out", "\n%{http_version} %{http_code}", e.url(path)}, arguments...)...)
		i := strings.LastIndexByte(out, '\n')
		return out[:i], out[i+1:]
	}
	for name, test := range map[string]func(t *testing.T){
		"GET": func(t *testing.T) {
			content, came := ask(t, "/")
			if got := delivered(t, content); came != "2 200" || got.Method != "GET" || got.Size != 0 {
				t.Errorf("%s: %+v", came, got)
			}
		},
		"HEAD": func(t *testing.T) {
			content, came := ask(t, "/large", "--head")
			if came != "2 200" || !strings.Contains(content, fmt.Sprintf("\ncontent-length: %d\r\n", largeSize)) {
				t.Errorf("%s: %s", came, content)
			}
		},
		"POST": func(t *testing.T) {
			content, came := ask(t, "/", "--data", "hello", "--header", "Expect:")
			if got := delivered(t, content); came != "2 200" || got.Method != "POST" || got.Size != 5 || got.Length != 5 {
				t.Errorf("%s: %+v", came, got)
			}
		},
		"POST after 100": func(t *testing.T) {
			content, came := ask(t, "/", "--data", "hello", "--header", "Expect: 100-continue", "--expect100-timeout", "600", "--include")
			head, content, _ := strings.Cut(content, "{")
			if got := delivered(t, "{"+content); came != "2 200" || got.Size != 5 || !strings.HasPrefix(head, "HTTP/2 100") {
				t.Errorf("%s: %+v after %q", came, got, head)
			}
		},
		"POST that is refused instead": func(t *testing.T) {
			if content, came := ask(t, "/refused", "--data", "hello", "--header", "Expect: 100-continue", "--expect100-timeout", "600"); came != "2 403" || content != "" {
				t.Errorf("%s: %s", came, content)
			}
		},
		"large up": func(t *testing.T) {
			content, came := ask(t, "/", "--upload-file", file)
			if got := delivered(t, content); came != "2 200" || got.Method != "PUT" || got.Sum != sum || got.Length != largeSize {
				t.Errorf("%s: %+v", came, got)
			}
		},
		"large up, of unknown size": func(t *testing.T) {
			content, came := ask(t, "/", "--upload-file", file, "--header", "Content-Length:") // then it is chunks upstream
			if got := delivered(t, content); came != "2 200" || got.Sum != sum {
				t.Errorf("%s: %+v", came, got)
			}
		},
		"large down": func(t *testing.T) {
			if content, came := ask(t, "/large"); came != "2 200" || content != string(large) {
				t.Errorf("%s: %d bytes", came, len(content))
			}
		},
		"trailers": func(t *testing.T) {
			fields := filepath.Join(t.TempDir(), "fields")
			content, came := ask(t, "/trailers", "--dump-header", fields)
			got, err := os.ReadFile(fields)
			if came != "2 200" || content != trailed || err != nil || !strings.Contains(string(got), "\r\nx-sum: 7\r\n") {
				t.Errorf("%s: %d bytes, %s, %v", came, len(content), got, err)
			}
		},
		"many at once": func(t *testing.T) {
			const many = 100
			content, _ := ask(t, fmt.Sprintf("/[2-%d]", many), "--parallel", "--parallel-max", "100", "--no-progress-meter", e.url("/1"))
			if n := strings.Count(content+"\n", "\n2 200") + 1; n != many { // the last is cut off
				t.Errorf("%d of %d: %s", n, many, content)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

func TestNghttpIsServed(t *testing.T) {
	t.Parallel()
	nghttp := dbtest.Require(t, "Debian: apt-get install nghttp2-client", "nghttp")
	large := noise(largeSize)
	file, sum := temporary(t, large), sum(large)
	e := startQuiet(t, site(depot(t, large), `      - {path: /, upstream: app}`))
	for name, c := range map[string]struct {
		arguments []string // a path is made an address
		answers   int
		sound     func(got delivery) bool
	}{
		"one":                    {[]string{"/"}, 1, func(got delivery) bool { return got.Method == "GET" }},
		"many of the same":       {[]string{"-m", "100", "/"}, 100, nil},
		"by weights":             {[]string{"-p", "1", "-p", "256", "-p", "16", "/a", "/b", "/c"}, 3, nil},
		"without priorities":     {[]string{"--no-dep", "-m", "10", "/"}, 10, nil},
		"with an urgency":        {[]string{"-H", "priority: u=1, i", "-m", "10", "/"}, 10, func(got delivery) bool { return got.Header.Get("Priority") == "u=1, i" }},
		"CONTINUATION":           {[]string{"--continuation", "/"}, 1, func(got delivery) bool { return len(got.Header.Get("Continuation-Test-6")) == 4<<10 }},
		"padding":                {[]string{"-b", "255", "-d", file, "/"}, 1, func(got delivery) bool { return got.Sum == sum && got.Length == largeSize }},
		"small tables":           {[]string{"-c", "256", "--encoder-header-table-size", "128", "-m", "20", "/"}, 20, nil},
		"no table":               {[]string{"-c", "0", "--encoder-header-table-size", "0", "-m", "20", "/"}, 20, nil},
		"a table of two sizes":   {[]string{"-c", "0", "-c", "256", "-m", "20", "/"}, 20, nil},
		"an upload":              {[]string{"-d", file, "/"}, 1, func(got delivery) bool { return got.Method == "POST" && got.Sum == sum }},
		"an upload after 100":    {[]string{"--expect-continue", "-d", file, "/"}, 1, func(got delivery) bool { return got.Sum == sum }},
		"uploads of no size":     {[]string{"--no-content-length", "-d", file, "-m", "3", "/"}, 3, func(got delivery) bool { return got.Sum == sum }},
		"trailers of an upload":  {[]string{"--no-content-length", "--trailer", "x-late: 8", "-d", file, "/"}, 1, func(got delivery) bool { return got.Sum == sum && got.Trailer.Get("X-Late") == "8" }},
		"a limit of its streams": {[]string{"-M", "1", "--no-push", "-m", "10", "/"}, 10, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			arguments := []string{"--no-verify-peer"}
			for _, argument := range c.arguments {
				if strings.HasPrefix(argument, "/") && argument != file {
					argument = e.url(argument)
				}
				arguments = append(arguments, argument)
			}
			out := run(t, nghttp, arguments...)
			answers := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
			if len(answers) != c.answers {
				t.Fatalf("%d answers: %.1000s", len(answers), out)
			}
			for _, answer := range answers {
				if got := delivered(t, answer); c.sound != nil && !c.sound(got) {
					t.Errorf("the upstream got %.1000s", fmt.Sprintf("%+v", got))
				}
			}
		})
	}
	t.Run("large down, through small windows", func(t *testing.T) {
		t.Parallel()
		if out := run(t, nghttp, "--no-verify-peer", "-w", "14", "-W", "15", e.url("/large")); out != string(large) {
			t.Errorf("%d bytes", len(out))
		}
	})
	t.Run("trailers", func(t *testing.T) {
		t.Parallel()
		out := run(t, nghttp, "--no-verify-peer", "-v", "-n", e.url("/trailers"))
		if !strings.Contains(out, " :status: 200\n") || !strings.Contains(out, " x-sum: 7\n") {
			t.Error(out)
		}
	})
}

func TestNghttpLoadsAPageWithItsAssets(t *testing.T) {
	t.Parallel()
	nghttp := dbtest.Require(t, "Debian: apt-get install nghttp2-client", "nghttp")
	page := newPage()
	e := startQuiet(t, site(serve(t, page.serve), `      - {path: /, upstream: app}`))
	for name, windows := range map[string][]string{"": nil, "through small windows": {"-w", "10", "-W", "12"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := run(t, nghttp, append([]string{"--no-verify-peer", "--get-assets", "--null-out", "--stat", e.url("/")}, windows...)...)
			came := map[string]bool{}
			for _, line := range regexp.MustCompile(`(?m) 200 +\S+ (/\S*)$`).FindAllStringSubmatch(out, -1) {
				came[line[1]] = true
			}
			for path := range page.assets {
				if !came[path] {
					t.Errorf("%s did not come", path)
				}
			}
			if t.Failed() {
				t.Log(out)
			}
		})
	}
}

func TestH2loadIsServedWithoutAFailure(t *testing.T) {
	t.Parallel()
	h2load := dbtest.Require(t, "Debian: apt-get install nghttp2-client", "h2load")
	content := noise(64 << 10)
	sum := sum(content)
	e := startQuiet(t, site(serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			if got, err := io.ReadAll(r.Body); err != nil || len(got) != len(content) || fmt.Sprintf("%x", sha256.Sum256(got)) != sum {
				w.WriteHeader(http.StatusTeapot)
			}
			return
		}
		_, _ = io.WriteString(w, "served")
	}), `      - {path: /, upstream: app}`))
	for name, c := range map[string]struct {
		requests  int
		arguments []string
	}{
		"10,000 requests":       {10_000, []string{"-c", "10", "-m", "100"}},
		"one stream at a time":  {1_000, []string{"-c", "5", "-m", "1"}},
		"uploads":               {500, []string{"-c", "5", "-m", "50", "-d", temporary(t, content)}},
		"through small windows": {1_000, []string{"-c", "5", "-m", "100", "-w", "10", "-W", "12"}},
	} {
		t.Run(name, func(t *testing.T) {
			n := c.requests
			out := run(t, h2load, append([]string{"-n", strconv.Itoa(n), e.url("/")}, c.arguments...)...)
			for _, want := range []string{
				fmt.Sprintf("requests: %d total, %d started, %d done, %d succeeded, 0 failed, 0 errored, 0 timeout", n, n, n, n),
				fmt.Sprintf("status codes: %d 2xx, 0 3xx, 0 4xx, 0 5xx", n), "Application protocol: h2\n",
			} {
				if !strings.Contains(out, want) {
					t.Errorf("it does not say %q:\n%s", want, out)
				}
			}
		})
	}
}
