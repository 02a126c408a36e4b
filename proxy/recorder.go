package proxy

import (
	"bufio"
	"cmp"
	"net"
	"net/http"
	"time"
)

// recorder notes what was answered, and lets the edge finish the header at the last moment: what came before, such as a 103,
// may have cleared it.
type recorder struct {
	http.ResponseWriter
	finish   func(http.Header)
	body     *pacedBody // the request's; nil without one
	patience time.Duration
	status   int // 0: nothing final was sent
	bytes    int64
}

// headOut is so much answer that its head has left net/http's buffers, and that a body left unread has been seen to.
const headOut = 16 << 10

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
	w.deadline(time.Now().Add(w.patience))
	n, err := w.ResponseWriter.Write(p)
	w.deadline(time.Time{})
	if w.bytes += int64(n); w.bytes > headOut && w.body != nil {
		w.body.answered()
	}
	return n, err
}

// deadline bounds how long the client may take to take in what is written; connections that know no deadlines have none.
func (w *recorder) deadline(at time.Time) {
	_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(at)
}

// FlushError sends on what was written so far; http.ResponseController calls it.
func (w *recorder) FlushError() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.deadline(time.Now().Add(w.patience))
	err := http.NewResponseController(w.ResponseWriter).Flush()
	w.deadline(time.Time{})
	if w.body != nil {
		w.body.answered()
	}
	return err
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
