package proxy

import (
	"bufio"
	"cmp"
	"net"
	"net/http"
)

// recorder notes what was answered, and lets the edge finish the header at the last moment: what came before, such as a 103,
// may have cleared it.
type recorder struct {
	http.ResponseWriter
	finish func(http.Header)
	status int // 0: nothing final was sent
	bytes  int64
}

// Unwrap is for http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *recorder) statusOr(otherwise int) int { return cmp.Or(w.status, otherwise) }

func (w *recorder) WriteHeader(status int) {
	if status >= 200 && w.status == 0 {
		w.status = status
		w.finish(w.Header())
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// FlushError sends on what was written so far; http.ResponseController calls it.
func (w *recorder) FlushError() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack hands over the connection to another protocol.
func (w *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	connection, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.status = http.StatusSwitchingProtocols
		w.finish(w.Header())
	}
	return connection, buffered, err
}
