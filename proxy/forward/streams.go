package forward

import "sync"

// Streams is the set of exchanges that may last for ever: event streams and tunnels. When the process stops it ends them,
// since nobody would otherwise. The zero value is ready to use; methods may be called concurrently.
type Streams struct {
	mu     sync.Mutex
	open   map[*stream]struct{}
	closed bool
}

type stream struct{ end func() }

// add registers an exchange that end, which may be called from any goroutine, ends.
func (s *Streams) add(end func()) *stream {
	added := &stream{end}
	s.mu.Lock()
	closed := s.closed
	if !closed {
		if s.open == nil {
			s.open = map[*stream]struct{}{}
		}
		s.open[added] = struct{}{}
	}
	s.mu.Unlock()
	if closed {
		end()
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
		ending.end()
	}
}

func (s *Streams) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}
