package http2_test

import (
	"errors"
	"io"
	"testing"

	"github.com/portico-web/portico/proxy/message"
)

// Half a request must not be taken for a whole one.
func TestContentThatEndsWithTheConnectionHasNoEnd(t *testing.T) {
	t.Parallel()
	began, ends := make(chan struct{}), make(chan error, 1)
	s := service{handler: func(stream message.Stream) {
		_, err := stream.Body().Next()
		close(began)
		for err == nil {
			_, err = stream.Body().Next()
		}
		ends <- err
	}}
	p := s.dial(t)
	p.data(p.post("/"), false, "part")
	<-began
	_ = p.conn.Close()
	if err := <-ends; errors.Is(err, io.EOF) || !errors.Is(err, message.ErrGone) {
		t.Error(err)
	}
}
