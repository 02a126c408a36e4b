package http2

import (
	"errors"
	"io"
	"time"

	"github.com/portico-web/portico/proxy/message"
)

// tunnel is a stream after an extended CONNECT (RFC 8441 section 5).
type tunnel struct {
	stream *ServerStream
	rest   []byte // of the content that was read
	closed bool
}

// Tunnel answers 200.
func (st *ServerStream) Tunnel(head *message.Head) (message.Tunnel, error) {
	if err := st.progress.Switch(head, &st.head); err != nil {
		return nil, err
	}
	switched := *head
	switched.Status = 200
	if err := st.sendHead(&switched, message.Unknown, true); err != nil {
		return nil, err
	}
	st.tunnel = &tunnel{stream: st}
	return st.tunnel, nil
}

// Read waits until something comes.
func (t *tunnel) Read(p []byte) (int, error) {
	st := t.stream
	if len(t.rest) == 0 {
		st.conn.mu.Lock()
		defer st.conn.mu.Unlock()
		for {
			content, expired, err := st.next(time.Now().Add(time.Hour))
			if err != nil {
				return 0, tunnelError(err)
			}
			if !expired {
				t.rest = content
				break
			}
		}
	}
	n := copy(p, t.rest)
	t.rest = t.rest[n:]
	return n, nil
}

func tunnelError(err error) error {
	if errors.Is(err, message.ErrInterrupted) {
		return errClosed
	}
	return err
}

func (t *tunnel) Write(p []byte) (int, error) {
	st := t.stream
	st.conn.mu.Lock()
	defer st.conn.mu.Unlock()
	switch {
	case t.closed:
		return 0, errClosed
	case st.sent:
		return 0, io.ErrClosedPipe
	}
	if err := st.write(p, st.server.server.Pace().StallTimeout); err != nil {
		return 0, err
	}
	st.conn.flush()
	return len(p), nil
}

// CloseWrite says that nothing more will be written.
func (t *tunnel) CloseWrite() error {
	st := t.stream
	st.conn.mu.Lock()
	defer st.conn.mu.Unlock()
	if err := st.failure(); err != nil || st.sent || t.closed {
		return err
	}
	st.finish()
	st.settle()
	st.conn.flush()
	return nil
}

// Close ends both directions.
func (t *tunnel) Close() error {
	st := t.stream
	st.conn.mu.Lock()
	defer st.conn.mu.Unlock()
	if t.closed {
		return nil
	}
	t.closed = true
	if st.sent && st.received {
		st.quit = true
		st.readable.wake()
		return nil
	}
	st.giveUp(Cancel)
	return nil
}
