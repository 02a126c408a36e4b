package forward

import "sync"

// Streams is the set of exchanges that may last for ever: event streams and tunnels. When the process stops it ends them,
// since nobody would otherwise. The zero value is ready to use; methods may be called concurrently.
type Streams struct {
	mu     sync.Mutex
	open   map[*stream]struct{}
	closed bool
}

type stream struct {
	mu  sync.Mutex
	end func() // nil once there is nothing left to end
}

func (s *stream) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		s.end()
	}
}

// add registers an exchange that end, which may be called from any goroutine, ends.
func (s *Streams) add(end func()) *stream {
	added := &stream{end: end}
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

// remove takes an exchange out that is over. Its end will not be called any more, nor is it being called.
func (s *Streams) remove(over *stream) {
	s.mu.Lock()
	delete(s.open, over)
	s.mu.Unlock()
	over.mu.Lock()
	defer over.mu.Unlock()
	over.end = nil
}

// End ends every stream, those to come too.
func (s *Streams) End() {
	s.mu.Lock()
	s.closed = true
	open := s.open
	s.open = nil
	s.mu.Unlock()
	for ending := range open {
		ending.finish()
	}
}

func (s *Streams) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}
