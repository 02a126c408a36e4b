package files_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portico-web/portico/proxy/files"
)

// assets makes a folder with files beside which encoded ones lie. Their content is no real code, so that it can be told.
func assets(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	now := time.Now()
	for name, age := range map[string]time.Duration{
		"app.js": 0, "app.js.br": 50 * time.Second, "app.js.zst": 0, "app.js.gz": 0, // all of them
		"old.css": 0, "old.css.gz": time.Hour, // encoded before it was changed
		"lone.txt.gz": 0, "page.html": 0, "index.html": 0, "index.html.gz": 0, "unknown": 0, "unknown.gz": 0,
	} {
		path := filepath.Join(root, name)
		if err := os.WriteFile(path, []byte("content of "+name), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(root, "page.html.br")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "page.html.gz"), 0o750); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestFilesThatWereCompressedBeforehandAreServedToWhoTakesThem(t *testing.T) {
	t.Parallel()
	s := files.New(files.Settings{Root: assets(t), Index: index, Precompressed: true})
	for _, c := range []struct{ path, accept, served, coding, kind string }{
		{"/app.js", "gzip, deflate, br, zstd", "app.js.br", "br", "text/javascript; charset=utf-8"},
		{"/app.js", "gzip, zstd", "app.js.zst", "zstd", "text/javascript; charset=utf-8"},
		{"/app.js", "gzip", "app.js.gz", "gzip", "text/javascript; charset=utf-8"},
		{"/app.js", "br;q=0.1, gzip", "app.js.gz", "gzip", "text/javascript; charset=utf-8"},
		{"/app.js", "br;q=0, *", "app.js.zst", "zstd", "text/javascript; charset=utf-8"},
		{"/app.js", "", "app.js", "", "text/javascript; charset=utf-8"},
		{"/app.js", "identity", "app.js", "", "text/javascript; charset=utf-8"},
		{"/old.css", "gzip", "old.css", "", "text/css; charset=utf-8"},
		{"/page.html", "gzip, br", "page.html", "", "text/html; charset=utf-8"},
		{"/", "gzip", "index.html.gz", "gzip", "text/html; charset=utf-8"},
		{"/unknown", "gzip", "unknown.gz", "gzip", "application/octet-stream"},
	} {
		got, err := serve(t, s, http.MethodGet, c.path, http.Header{"Accept-Encoding": {c.accept}})
		header := got.Header()
		if err != nil || got.Code != http.StatusOK || got.Body.String() != "content of "+c.served || header.Get("Content-Encoding") != c.coding ||
			header.Get("Content-Type") != c.kind || header.Get("Vary") != "Accept-Encoding" || header.Get("Content-Length") != fmt.Sprint(got.Body.Len()) {
			t.Errorf("%s for %q: %d %v %q, %v", c.path, c.accept, got.Code, header, got.Body, err)
		}
	}
	if _, err := serve(t, s, http.MethodGet, "/lone.txt", http.Header{"Accept-Encoding": {"gzip"}}); !errors.Is(err, files.ErrNotFound) {
		t.Errorf("an encoded file alone is served: %v", err)
	}
	plain := files.New(files.Settings{Root: assets(t), Index: index})
	if got, err := serve(t, plain, http.MethodGet, "/app.js", http.Header{"Accept-Encoding": {"br"}}); err != nil || got.Header().Get("Vary") != "" || got.Body.String() != "content of app.js" {
		t.Errorf("unasked: %v, %v", got.Header(), err)
	}
}

func TestEachEncodingHasValidatorsAndRangesOfItsOwn(t *testing.T) {
	t.Parallel()
	s := files.New(files.Settings{Root: assets(t), Index: index, Precompressed: true})
	tags := map[string]string{}
	for _, coding := range []string{"", "br", "zstd", "gzip"} {
		got, err := serve(t, s, http.MethodGet, "/app.js", http.Header{"Accept-Encoding": {coding}})
		if err != nil {
			t.Fatal(err)
		}
		tag := got.Header().Get("Etag")
		if earlier, double := tags[tag]; double {
			t.Errorf("%q and %q share %s", coding, earlier, tag)
		}
		tags[tag] = coding
		for name, c := range map[string]struct {
			fields http.Header
			status int
			body   string
		}{
			"known":        {http.Header{"If-None-Match": {tag}}, 304, ""},
			"part":         {http.Header{"Range": {"bytes=0-6"}, "If-Range": {tag}}, 206, "content"},
			"other's part": {http.Header{"Range": {"bytes=0-6"}, "If-Range": {`"other"`}}, 200, got.Body.String()},
			"weak":         {http.Header{"Range": {"bytes=0-6"}, "If-Range": {"W/" + tag}}, 200, got.Body.String()},
			"changed":      {http.Header{"If-Match": {`"other"`}}, 412, ""},
		} {
			c.fields.Set("Accept-Encoding", coding)
			got, err := serve(t, s, http.MethodGet, "/app.js", c.fields)
			if err != nil || got.Code != c.status || got.Body.String() != c.body || c.status == 412 && got.Header().Get("Content-Length") != "" {
				t.Errorf("%q, %s: %d %v %q, %v", coding, name, got.Code, got.Header(), got.Body, err)
			}
		}
	}
}

func TestPagesThatAreNoneFallBack(t *testing.T) {
	t.Parallel()
	s := files.New(files.Settings{Root: assets(t), Index: index, Fallback: "index.html", MaxAge: time.Hour})
	page := http.Header{"Accept": {"text/html,*/*;q=0.8"}}
	for _, c := range []struct {
		path   string
		header http.Header
		found  bool
	}{
		{"/user/7", nil, true}, {"/user/7", page, true}, {"/user/john.doe", page, true}, {"/user/john.doe", nil, false}, {"/missing.js", nil, false},
		{"/missing.js", http.Header{"Accept": {"*/*"}}, false}, {"/.env", page, false}, {"/.git/config", page, false}, {"/a%2Fb", page, false}, {"/a/../../x", page, true},
	} {
		got, err := serve(t, s, http.MethodGet, c.path, c.header)
		if !c.found {
			if !errors.Is(err, files.ErrNotFound) {
				t.Errorf("%s %v: %d %v", c.path, c.header, got.Code, err)
			}
			continue
		}
		if err != nil || got.Code != http.StatusOK || got.Body.String() != "content of index.html" || got.Header().Get("Cache-Control") != "no-cache" ||
			got.Header().Get("Vary") != "Accept" || got.Header().Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: %d %v %q, %v", c.path, got.Code, got.Header(), got.Body, err)
		}
	}
	if got, err := serve(t, s, http.MethodGet, "/app.js", page); err != nil || got.Header().Get("Cache-Control") != "public, max-age=3600" || got.Header().Get("Vary") != "" {
		t.Errorf("a file that is there: %v, %v", got.Header(), err)
	}
	gone := files.New(files.Settings{Root: assets(t), Index: index, Fallback: "gone.html"})
	if _, err := serve(t, gone, http.MethodGet, "/user/7", nil); !errors.Is(err, files.ErrNotFound) {
		t.Errorf("a fallback that is not there: %v", err)
	}
}

func TestFilesThatNeverChangeAreKept(t *testing.T) {
	t.Parallel()
	root := assets(t)
	for _, name := range []string{"assets", "assets/deep", "other"} {
		if err := os.MkdirAll(filepath.Join(root, name), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name, "a.css"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := files.New(files.Settings{Root: root, Index: index, Immutable: []string{"*.js", "assets/*"}})
	for path, kept := range map[string]bool{"/app.js": true, "/assets/a.css": true, "/assets/deep/a.css": false, "/other/a.css": false, "/page.html": false} {
		got, err := serve(t, s, http.MethodGet, path, nil)
		if err != nil || (got.Header().Get("Cache-Control") == "public, max-age=31536000, immutable") != kept {
			t.Errorf("%s: %v, %v", path, got.Header(), err)
		}
	}
}

func TestManyRangesAreNoAnswerOfManyParts(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "a"), []byte(strings.Repeat("x", 100_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	s := files.New(files.Settings{Root: root, Index: index})
	ranges := func(n int) http.Header {
		return http.Header{"Range": {"bytes=0-0" + strings.Repeat(",2-2", n-1)}}
	}
	got, err := serve(t, s, http.MethodGet, "/a", ranges(16))
	if err != nil || got.Code != http.StatusPartialContent || !strings.HasPrefix(got.Header().Get("Content-Type"), "multipart/byteranges; boundary=") ||
		strings.Count(got.Body.String(), "Content-Range: bytes 2-2/100000") != 15 {
		t.Errorf("%d %v, %v", got.Code, got.Header(), err)
	}
	if got, err := serve(t, s, http.MethodGet, "/a", ranges(17)); err != nil || got.Code != http.StatusOK || got.Body.Len() != 100_000 {
		t.Errorf("more than 16: %d, %d bytes, %v", got.Code, got.Body.Len(), err)
	}
}

func TestAListingShowsOnlyWhatIsServed(t *testing.T) {
	t.Parallel()
	s := files.New(files.Settings{Root: folder(t), Index: index, Browse: true})
	got, err := serve(t, s, http.MethodGet, "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	for link, shown := range map[string]bool{"in": true, "out": false, "outdir": false, "abs": false, "loop": false, "gone": false, "fifo": false} {
		if strings.Contains(got.Body.String(), `<a href="./`+link) != shown {
			t.Errorf("%s: shown is not %v", link, shown)
		}
	}
}
