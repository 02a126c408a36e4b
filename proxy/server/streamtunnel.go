package server

import (
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// streamTunnel is a stream of HTTP/3 that carries another protocol.
type streamTunnel struct {
	stream *http3.Stream
	stall  time.Duration

	mu     sync.Mutex
	ended  bool // nothing will be written any more
	closed bool
}

func (t *streamTunnel) Read(p []byte) (int, error) { return t.stream.Read(p) }

func (t *streamTunnel) Write(p []byte) (int, error) {
	_ = t.stream.SetWriteDeadline(time.Now().Add(t.stall))
	return t.stream.Write(p)
}

func (t *streamTunnel) CloseWrite() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return nil
	}
	t.ended = true
	return t.stream.Close()
}

func (t *streamTunnel) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	t.closed = true
	t.stream.CancelRead(quic.StreamErrorCode(http3.ErrCodeNoError))
	if !t.ended {
		t.ended = true
		t.stream.CancelWrite(quic.StreamErrorCode(http3.ErrCodeRequestCanceled))
	}
	return nil
}
