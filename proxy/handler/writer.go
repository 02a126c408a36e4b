package handler

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"github.com/portico-web/portico/proxy/message"
)

// small is how much content is held back, so that a short answer goes out with its length.
const small = 4 << 10

// Writer is an http.ResponseWriter that answers through a message.Responder. It is used by one goroutine; Finish must be
// called after the handler returned, unless the answer is to be given up.
type Writer struct {
	out    message.Responder
	header http.Header
	head   message.Head
	status int // 0: nothing final was said
	begun  bool
	held   []byte
	err    error // why the client cannot be reached
}

// NewWriter returns a writer for one answer.
func NewWriter(out message.Responder) *Writer { return &Writer{out: out, header: http.Header{}} }

// Header implements http.ResponseWriter.
func (w *Writer) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *Writer) WriteHeader(status int) {
	switch {
	case w.status != 0:
	case status < 200:
		w.fill(status, 0)
		w.err = w.out.Interim(&w.head)
	default:
		w.status = status
	}
}

// Write implements http.ResponseWriter.
func (w *Writer) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if !w.begun {
		if w.header.Get("Content-Length") == "" && len(w.held)+len(p) <= small {
			w.held = append(w.held, p...)
			return len(p), nil
		}
		w.begin()
	}
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.out.Write(p)
	w.err = err
	return n, err
}

var buffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// ReadFrom copies content through a pooled buffer.
func (w *Writer) ReadFrom(source io.Reader) (int64, error) {
	buffer, _ := buffers.Get().(*[32 << 10]byte)
	defer buffers.Put(buffer)
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{source}, buffer[:])
}

// FlushError sends on what was written so far; http.ResponseController calls it.
func (w *Writer) FlushError() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.begin()
	if w.err == nil {
		w.err = w.out.Flush()
	}
	return w.err
}

// Finish completes the answer.
func (w *Writer) Finish() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if !w.begun && w.header.Get("Content-Length") == "" && !message.Bodiless(w.status) {
		w.header.Set("Content-Length", strconv.Itoa(len(w.held)))
	}
	w.begin()
	if w.err != nil {
		return w.err
	}
	return w.out.End(nil)
}

func (w *Writer) begin() {
	if w.begun {
		return
	}
	w.begun = true
	length, err := strconv.ParseInt(w.header.Get("Content-Length"), 10, 64)
	if err != nil {
		length = message.Unknown
	}
	w.fill(w.status, length)
	if w.err = w.out.Answer(&w.head); w.err == nil && len(w.held) > 0 {
		_, w.err = w.out.Write(w.held)
	}
}

// fill makes the head of the header's fields.
func (w *Writer) fill(status int, length int64) {
	w.head.Reset()
	w.head.Status, w.head.Length = status, length
	for _, name := range slices.Sorted(maps.Keys(w.header)) {
		switch message.Known(name) {
		case message.ContentLength, message.TransferEncoding, message.Connection:
			continue
		}
		for _, value := range w.header[name] {
			w.head.AddNamed(name, value)
		}
	}
}
