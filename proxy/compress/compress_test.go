package compress_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/portico-web/portico/proxy/compress"
)

func TestOnlyWhatPaysAndMayIsCompressed(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 4096)
	compressor := compress.New()
	for name, c := range map[string]struct {
		accept     string
		status     int
		header     http.Header
		body       string
		compressed bool
	}{
		"text":              {"gzip", 200, http.Header{"Content-Type": {"text/html; charset=utf-8"}}, long, true},
		"any coding":        {"br, *;q=0.1", 200, http.Header{"Content-Type": {"text/html"}}, long, true},
		"JSON":              {"gzip", 200, http.Header{"Content-Type": {"application/problem+json"}}, long, true},
		"sniffed":           {"gzip", 200, nil, "<html>" + long, true},
		"known length":      {"gzip", 200, http.Header{"Content-Type": {"text/css"}, "Content-Length": {"4096"}}, long, true},
		"not accepted":      {"br", 200, http.Header{"Content-Type": {"text/html"}}, long, false},
		"refused":           {"gzip;q=0", 200, http.Header{"Content-Type": {"text/html"}}, long, false},
		"no field":          {"", 200, http.Header{"Content-Type": {"text/html"}}, long, false},
		"image":             {"gzip", 200, http.Header{"Content-Type": {"image/png"}}, long, false},
		"events":            {"gzip", 200, http.Header{"Content-Type": {"text/event-stream"}}, long, false},
		"coded already":     {"gzip", 200, http.Header{"Content-Type": {"text/html"}, "Content-Encoding": {"br"}}, long, false},
		"not to be changed": {"gzip", 200, http.Header{"Content-Type": {"text/html"}, "Cache-Control": {"no-transform"}}, long, false},
		"short":             {"gzip", 200, http.Header{"Content-Type": {"text/html"}, "Content-Length": {"3"}}, "abc", false},
		"partial":           {"gzip", 206, http.Header{"Content-Type": {"text/html"}}, long, false},
		"not found":         {"gzip", 404, http.Header{"Content-Type": {"text/html"}}, long, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			if c.accept != "" {
				request.Header.Set("Accept-Encoding", c.accept)
			}
			recorder := httptest.NewRecorder()
			recorder.Header().Set("Etag", `"tag"`)
			w, finish := compressor.Wrap(recorder, request)
			for name, values := range c.header {
				w.Header()[name] = values
			}
			if c.status != 200 {
				w.WriteHeader(c.status)
			}
			for chunk := range strings.SplitAfterSeq(c.body, "xxxxxxxx") {
				if _, err := io.WriteString(w, chunk); err != nil {
					t.Fatal(err)
				}
			}
			finish()
			got, header := recorder.Body.String(), recorder.Result().Header
			if (header.Get("Content-Encoding") == "gzip") != c.compressed {
				t.Fatalf("%v", header)
			}
			if c.compressed {
				if header.Get("Content-Length") != "" || header.Get("Etag") != `W/"tag"` || len(got) > len(c.body)/4 {
					t.Errorf("%d bytes, %v", len(got), header)
				}
				reader, err := gzip.NewReader(strings.NewReader(got))
				if err != nil {
					t.Fatal(err)
				}
				plain, err := io.ReadAll(reader)
				if err != nil {
					t.Fatal(err)
				}
				got = string(plain)
			} else if header.Get("Etag") != `"tag"` {
				t.Errorf("ETag %s", header.Get("Etag"))
			}
			if got != c.body || recorder.Code != c.status {
				t.Errorf("%d, %d bytes", recorder.Code, len(got))
			}
		})
	}
}

func TestWhatWouldBeCompressedForOthersVaries(t *testing.T) {
	t.Parallel()
	recorder := httptest.NewRecorder()
	w, finish := compress.New().Wrap(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	w.Header().Set("Content-Type", "text/html")
	w.Header().Set("Content-Length", strconv.Itoa(4096))
	_, _ = io.WriteString(w, strings.Repeat("x", 4096))
	finish()
	if recorder.Header().Get("Vary") != "Accept-Encoding" || recorder.Header().Get("Content-Length") != "4096" {
		t.Error(recorder.Header())
	}
}

func TestAFlushSendsWhatWasWritten(t *testing.T) {
	t.Parallel()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	request.Header.Set("Accept-Encoding", "gzip")
	recorder := httptest.NewRecorder()
	w, finish := compress.New().Wrap(recorder, request)
	w.Header().Set("Content-Type", "text/plain")
	_, _ = io.WriteString(w, "first")
	if err := http.NewResponseController(w).Flush(); err != nil {
		t.Fatal(err)
	}
	reader, err := gzip.NewReader(strings.NewReader(recorder.Body.String()))
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 5)
	if _, err := io.ReadFull(reader, first); err != nil || string(first) != "first" {
		t.Errorf("%q, %v", first, err)
	}
	finish()
}

func TestWhoHoldsACompressedAnswerIsToldThatItIsFresh(t *testing.T) {
	t.Parallel()
	for held, want := range map[string]string{`W/"v"`: `W/"v"`, `"v"`: `"v"`, `W/"x", W/"v"`: `W/"v"`} {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		request.Header.Set("Accept-Encoding", "gzip")
		request.Header.Set("If-None-Match", held)
		recorder := httptest.NewRecorder()
		w, finish := compress.New().Wrap(recorder, request)
		w.Header().Set("Etag", `"v"`)
		w.WriteHeader(http.StatusNotModified)
		finish()
		if got := recorder.Header().Get("Etag"); got != want {
			t.Errorf("%s is held: %s, want %s", held, got, want)
		}
	}
}

func TestEarlyHintsPassBeforeTheDecision(t *testing.T) {
	t.Parallel()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	request.Header.Set("Accept-Encoding", "gzip")
	var statuses []int
	w, finish := compress.New().Wrap(statusWriter{httptest.NewRecorder(), &statuses}, request)
	w.WriteHeader(http.StatusEarlyHints)
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(http.StatusOK)
	finish()
	if len(statuses) != 2 || statuses[0] != 103 || statuses[1] != 200 || w.Header().Get("Content-Encoding") != "gzip" {
		t.Errorf("%v %v", statuses, w.Header())
	}
}

type statusWriter struct {
	http.ResponseWriter
	statuses *[]int
}

func (w statusWriter) WriteHeader(status int) { *w.statuses = append(*w.statuses, status) }
