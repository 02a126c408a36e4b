package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// backendCommand is the server behind all proxies.
type backendCommand struct {
	Listen string `required:""`
}

// Run serves until ctx ends.
func (c backendCommand) Run(ctx context.Context) error {
	server := &http.Server{Addr: c.Listen, Handler: newBackend(), IdleTimeout: 10 * time.Minute}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// pieceSize is how much of a large body the backend reads and writes at once.
const pieceSize = 256 << 10

// newBackend answers 0.9 KB under every path, 64 KB under /64k, and /bytes?n= with as many bytes, or with 200 if as many were sent.
func newBackend() http.Handler {
	piece := bytes.Repeat([]byte("abcdefghijklmnopqrstuvwxyz"), pieceSize/26)
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { answer(w, piece, 900) })
	mux.HandleFunc("/64k", func(w http.ResponseWriter, _ *http.Request) { answer(w, piece, 64<<10) })
	mux.HandleFunc("/bytes", func(w http.ResponseWriter, r *http.Request) {
		size, err := strconv.ParseInt(r.URL.Query().Get("n"), 10, 64)
		if err != nil || size < 0 {
			http.Error(w, "?n= wants a number of bytes", http.StatusBadRequest)
			return
		}
		if r.Method == http.MethodGet {
			answer(w, piece, size)
		} else if came, err := count(r.Body); err != nil || came != size {
			http.Error(w, "fewer or more bytes came", http.StatusBadRequest)
		}
	})
	return mux
}

func answer(w http.ResponseWriter, piece []byte, size int64) {
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	for size > 0 {
		n, err := w.Write(piece[:min(size, int64(len(piece)))])
		if size -= int64(n); err != nil {
			return
		}
	}
}

// count reads content to its end in large pieces.
func count(content io.Reader) (size int64, err error) {
	buffer := make([]byte, pieceSize)
	for err == nil {
		var n int
		n, err = content.Read(buffer)
		size += int64(n)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return size, err
}
