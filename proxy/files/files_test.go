package files_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portico-web/portico/proxy/files"
)

var index = []string{"index.html"}

// folder makes a folder to serve, beside a file that must stay unseen.
func folder(t *testing.T) string {
	t.Helper()
	outside := t.TempDir()
	root := filepath.Join(outside, "public")
	for _, name := range []string{"sub", "site", "empty", ".git", ".well-known", "한국 & <b>"} {
		if err := os.MkdirAll(filepath.Join(root, name), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range map[string]string{
		"../secret": "SECRET", "a.txt": "0123456789", "sub/b.css": "css", "site/index.html": "<h1>index</h1>", ".env": "SECRET",
		".git/config": "SECRET", ".well-known/security.txt": "contact", "sub/.hidden": "SECRET", "q?a:b.txt": "odd", "a.html": "<p>", "unknown": "\x00\x01",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{"out": "../secret", "outdir": "..", "abs": "/etc/passwd", "in": "a.txt", "loop": "loop", "gone": "nothing"} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(root, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	return root
}

func serve(t *testing.T, s *files.Server, method, path string, header http.Header) (*httptest.ResponseRecorder, error) {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), method, "/static/x", nil)
	for name, values := range header {
		request.Header[name] = values
	}
	recorder := httptest.NewRecorder()
	err := s.Serve(recorder, request, path, "/static"+path)
	return recorder, err
}

func TestWhatIsInTheFolderIsServed(t *testing.T) {
	t.Parallel()
	s := files.New(files.Settings{Index: index, Root: folder(t), MaxAge: time.Hour})
	for path, want := range map[string]string{
		"/a.txt": "0123456789", "/sub/b.css": "css", "/site/": "<h1>index</h1>", "/in": "0123456789", "/.well-known/security.txt": "contact",
		"/q%3Fa:b.txt": "odd", "//a.txt": "0123456789",
	} {
		got, err := serve(t, s, http.MethodGet, path, nil)
		if err != nil || got.Code != http.StatusOK || got.Body.String() != want {
			t.Errorf("%s: %d %q, %v", path, got.Code, got.Body, err)
			continue
		}
		if got.Header().Get("X-Content-Type-Options") != "nosniff" || got.Header().Get("Cache-Control") != "public, max-age=3600" || got.Header().Get("Etag") == "" {
			t.Errorf("%s: %v", path, got.Header())
		}
	}
}

func TestNothingElseIsServed(t *testing.T) {
	t.Parallel()
	s := files.New(files.Settings{Index: index, Root: folder(t), Browse: true})
	for _, path := range []string{
		"/none", "/../secret", "/..%2Fsecret", "/sub%2Fb.css", "/%2e%2e/secret", "/out", "/outdir/secret", "/outdir/", "/abs", "/loop", "/gone",
		"/fifo", "/.env", "/.git/config", "/.git/", "/sub/.hidden", "/sub/.well-known/x", "/a.txt/", "/a.txt/x", "/a%00.txt", "/..\\secret", "/%zz",
	} {
		got, err := serve(t, s, http.MethodGet, path, nil)
		if !errors.Is(err, files.ErrNotFound) || got.Body.Len() != 0 {
			t.Errorf("%s: %d %q, %v", path, got.Code, got.Body, err)
		}
	}
}

func TestRangesAndValidators(t *testing.T) {
	t.Parallel()
	s := files.New(files.Settings{Index: index, Root: folder(t)})
	whole, err := serve(t, s, http.MethodGet, "/a.txt", nil)
	if err != nil {
		t.Fatal(err)
	}
	tag := whole.Header().Get("Etag")
	for name, c := range map[string]struct {
		header http.Header
		status int
		body   string
	}{
		"range":         {http.Header{"Range": {"bytes=2-4"}}, 206, "234"},
		"suffix":        {http.Header{"Range": {"bytes=-3"}}, 206, "789"},
		"beyond":        {http.Header{"Range": {"bytes=20-"}}, 416, "invalid range: failed to overlap\n"},
		"if-range":      {http.Header{"Range": {"bytes=0-0"}, "If-Range": {tag}}, 206, "0"},
		"stale range":   {http.Header{"Range": {"bytes=0-0"}, "If-Range": {`"old"`}}, 200, "0123456789"},
		"if-none-match": {http.Header{"If-None-Match": {tag}}, 304, ""},
		"if-match":      {http.Header{"If-Match": {`"old"`}}, 412, ""},
	} {
		got, err := serve(t, s, http.MethodGet, "/a.txt", c.header)
		if err != nil || got.Code != c.status || got.Body.String() != c.body {
			t.Errorf("%s: %d %q, %v", name, got.Code, got.Body, err)
		}
	}
	if head, err := serve(t, s, http.MethodHead, "/a.txt", nil); err != nil || head.Body.Len() != 0 || head.Header().Get("Content-Length") != "10" {
		t.Errorf("HEAD: %v %v", head.Header(), err)
	}
	if whole.Header().Get("Cache-Control") != "no-cache" {
		t.Errorf("without max_age: %v", whole.Header())
	}
}

func TestFoldersHaveASlash(t *testing.T) {
	t.Parallel()
	s := files.New(files.Settings{Index: index, Root: folder(t)})
	got, err := serve(t, s, http.MethodGet, "/site", nil)
	if err != nil || got.Code != http.StatusPermanentRedirect || got.Header().Get("Location") != "/static/site/" {
		t.Errorf("%d %v, %v", got.Code, got.Header(), err)
	}
	// A route at the root, asked in a way that would make the redirect name a host.
	recorder := httptest.NewRecorder()
	if err := s.Serve(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/?q", nil), "//sub", "//sub"); err != nil || recorder.Header().Get("Location") != "/sub/?q" {
		t.Errorf("%v, %v", recorder.Header(), err)
	}
	if _, err := serve(t, s, http.MethodGet, "/sub/", nil); !errors.Is(err, files.ErrNotFound) {
		t.Errorf("a folder is listed unasked: %v", err)
	}
}

func TestListingsShowNamesAndNothingHidden(t *testing.T) {
	t.Parallel()
	s := files.New(files.Settings{Index: index, Root: folder(t), Browse: true})
	got, err := serve(t, s, http.MethodGet, "/", nil)
	if err != nil || got.Code != http.StatusOK {
		t.Fatal(got.Code, err)
	}
	page := got.Body.String()
	for _, want := range []string{
		`<a href="./a.txt">a.txt</a>`, `<a href="./sub/">sub/</a>`, `<a href="./q%3Fa:b.txt">q?a:b.txt</a>`,
		`<a href="./%ED%95%9C%EA%B5%AD%20&amp;%20%3Cb%3E/">한국 &amp; &lt;b&gt;/</a>`, "<h1>/static/</h1>", "10 B",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in\n%s", want, page)
		}
	}
	for _, hidden := range []string{".env", ".git", "SECRET", `"../"`} {
		if strings.Contains(page, hidden) {
			t.Errorf("%s in\n%s", hidden, page)
		}
	}
	if got, err := serve(t, s, http.MethodGet, "/empty/", nil); err != nil || !strings.Contains(got.Body.String(), `"../"`) {
		t.Errorf("an empty folder: %v\n%s", err, got.Body)
	}
}

func TestAFolderMayBeReplacedUnderTheServer(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	for _, version := range []string{"v1", "v2"} {
		if err := os.MkdirAll(filepath.Join(outside, version), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(outside, version, "x"), []byte(version), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	current := filepath.Join(outside, "current")
	s := files.New(files.Settings{Index: index, Root: current})
	for _, version := range []string{"v1", "v2"} {
		_ = os.Remove(current)
		if err := os.Symlink(version, current); err != nil {
			t.Fatal(err)
		}
		if got, err := serve(t, s, http.MethodGet, "/x", nil); err != nil || got.Body.String() != version {
			t.Errorf("%q, %v", got.Body, err)
		}
	}
	if err := os.Remove(current); err != nil {
		t.Fatal(err)
	}
	if _, err := serve(t, s, http.MethodGet, "/x", nil); err == nil || errors.Is(err, files.ErrNotFound) {
		t.Errorf("a folder that is gone: %v", err)
	}
}
