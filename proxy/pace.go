package proxy

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// pacedBody gives each read of a request's body a deadline of its own, until somebody answers. There is none for the whole: a
// slow link may take as long as it takes. It is used by one reader at a time; answered may be called meanwhile.
type pacedBody struct {
	io.ReadCloser
	controller *http.ResponseController
	patience   time.Duration
	stalled    atomic.Bool // the client paused for too long

	mu   sync.Mutex
	free bool // nothing is awaited any more, or both sides talk at once, as in a call that streams both ways
}

// pace takes the body's time from now on. Connections that know no deadlines have none.
func pace(w http.ResponseWriter, body io.ReadCloser, patience time.Duration) *pacedBody {
	paced := &pacedBody{ReadCloser: body, controller: http.NewResponseController(w), patience: patience}
	paced.await()
	return paced
}

func (b *pacedBody) Read(p []byte) (int, error) {
	b.await()
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == io.EOF: // a body ends with io.EOF itself
		b.answered()
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.stalled.Store(true)
	}
	return n, err
}

func (b *pacedBody) await() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.free {
		_ = b.controller.SetReadDeadline(time.Now().Add(b.patience))
	}
}

// answered lets the client take its time from now on.
func (b *pacedBody) answered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.free {
		b.free = true
		_ = b.controller.SetReadDeadline(time.Time{})
	}
}
