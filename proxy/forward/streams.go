package forward

import (
	"errors"
	"io"
	"sync"
)

// Streams is the set of exchanges that may last for ever: event streams and upgraded connections. When the process stops it
// ends them, since nobody would otherwise. The zero value is ready to use; methods may be called concurrently.
type Streams struct {
	mu     sync.Mutex
	open   map[*stream]struct{}
	closed bool
}

type stream struct{ body io.Closer }

func (s *Streams) add(body io.Closer) *stream {
	s.mu.Lock()
	added := &stream{body: body}
	closed := s.closed
	if !closed {
		if s.open == nil {
			s.open = map[*stream]struct{}{}
		}
		s.open[added] = struct{}{}
	}
	s.mu.Unlock()
	if closed {
		_ = body.Close()
	}
	return added
}

func (s *Streams) remove(ended *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, ended)
}

// End ends every stream, those to come too.
func (s *Streams) End() {
	s.mu.Lock()
	s.closed = true
	open := s.open
	s.open = nil
	s.mu.Unlock()
	for ending := range open {
		_ = ending.body.Close()
	}
}

func (s *Streams) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// streamBody is an event stream's body; that the process stops is its regular end, after which clients connect anew.
type streamBody struct {
	io.ReadCloser
	streams *Streams
}

func (b *streamBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && b.streams.ended() {
		err = io.EOF
	}
	return n, err
}
