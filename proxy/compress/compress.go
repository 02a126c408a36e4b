// Package compress shrinks answers on their way to clients that accept gzip. What is streamed as events is never touched,
// and what an application flushes leaves at once.
package compress

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

const (
	// level trades a little size for much speed.
	level = 5
	// smallest is the length in bytes below which compression does not pay.
	smallest = 1024
)

// Compressor keeps encoders for reuse. It is safe for concurrent use.
type Compressor struct{ encoders sync.Pool }

// New returns a compressor.
func New() *Compressor {
	return &Compressor{encoders: sync.Pool{New: func() any {
		encoder, err := gzip.NewWriterLevel(nil, level)
		if err != nil {
			panic(err) // the level is a constant
		}
		return encoder
	}}}
}

// Wrap returns the writer through which to answer r, and the function to call after the answer is whole; it must not be
// called when the answer was broken off, so that the client notices.
func (c *Compressor) Wrap(w http.ResponseWriter, r *http.Request) (http.ResponseWriter, func()) {
	wrapped := &writer{
		ResponseWriter: w, compressor: c,
		held:     r.Header.Get("If-None-Match"),
		accepted: r.Method != http.MethodHead && accepts(r.Header.Values("Accept-Encoding")),
	}
	return wrapped, wrapped.finish
}

// accepts tells whether Accept-Encoding admits gzip (RFC 9110 section 12.5.3).
func accepts(values []string) bool {
	anything := false
	for _, value := range values {
		for member := range strings.SplitSeq(value, ",") {
			coding, parameter, _ := strings.Cut(member, ";")
			weight, weighted := strings.CutPrefix(strings.TrimSpace(parameter), "q=")
			number, err := strconv.ParseFloat(weight, 64)
			admitted := !weighted || err == nil && number > 0
			switch strings.ToLower(strings.TrimSpace(coding)) {
			case "gzip", "x-gzip":
				return admitted
			case "*":
				anything = admitted
			}
		}
	}
	return anything
}

type writer struct {
	http.ResponseWriter
	compressor *Compressor
	held       string // If-None-Match: what the client has
	accepted   bool
	begun      bool
	encoder    *gzip.Writer
}

func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *writer) WriteHeader(status int) {
	if !w.begun && status >= 200 {
		w.begin(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) begin(status int) {
	w.begun = true
	header := w.Header()
	if tag := header.Get("Etag"); status == http.StatusNotModified && strings.HasPrefix(tag, `"`) && strings.Contains(w.held, "W/"+tag) {
		header.Set("Etag", "W/"+tag) // what the client has was compressed; it must know it again (RFC 9111 section 4.3.4)
	}
	if status != http.StatusOK || !worthwhile(header) {
		return
	}
	header.Add("Vary", "Accept-Encoding")
	if !w.accepted {
		return
	}
	header.Set("Content-Encoding", "gzip")
	header.Del("Content-Length")
	header.Del("Accept-Ranges")
	if tag := header.Get("Etag"); strings.HasPrefix(tag, `"`) {
		header.Set("Etag", "W/"+tag) // other bytes, so not the same strong validator (RFC 9110 section 8.8.1)
	}
	w.encoder, _ = w.compressor.encoders.Get().(*gzip.Writer)
	w.encoder.Reset(w.ResponseWriter)
}

// worthwhile tells whether an answer is long enough, compressible, and its author's leave given.
func worthwhile(header http.Header) bool {
	if header.Get("Content-Encoding") != "" || strings.Contains(header.Get("Cache-Control"), "no-transform") {
		return false
	}
	if length, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64); err == nil && length < smallest {
		return false
	}
	kind, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil || kind == "text/event-stream" {
		return false
	}
	switch kind {
	case "application/json", "application/javascript", "application/xml", "application/wasm", "application/manifest+json",
		"application/vnd.ms-fontobject", "font/ttf", "font/otf", "image/svg+xml", "image/bmp", "image/x-icon":
		return true
	default:
		return strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "+json") || strings.HasSuffix(kind, "+xml")
	}
}

func (w *writer) Write(p []byte) (int, error) {
	if !w.begun {
		if w.Header().Get("Content-Type") == "" {
			w.Header().Set("Content-Type", http.DetectContentType(p))
		}
		w.WriteHeader(http.StatusOK)
	}
	if w.encoder == nil {
		return w.ResponseWriter.Write(p)
	}
	return w.encoder.Write(p)
}

// FlushError sends on what was written so far; http.ResponseController calls it.
func (w *writer) FlushError() error {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	if w.encoder != nil {
		if err := w.encoder.Flush(); err != nil {
			return err
		}
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *writer) finish() {
	if w.encoder != nil {
		_ = w.encoder.Close()
		w.compressor.encoders.Put(w.encoder)
		w.encoder = nil
	}
}
