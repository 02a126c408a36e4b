package forward

import "sync"

// Streams is the set of exchanges that may last for ever: event streams and tunnels. When the process stops, or the targets
// of one of its forwarders are to leave, it ends them, since nobody would otherwise. The zero value is ready to use; methods
// may be called concurrently.
type Streams struct {
	mu     sync.Mutex
	open   map[*stream]struct{}
	closed bool
}

type stream struct {
	forwarder *Forwarder

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

// add registers an exchange of a forwarder that end, which may be called from any goroutine, ends.
func (s *Streams) add(forwarder *Forwarder, end func()) *stream {
	added := &stream{forwarder: forwarder, end: end}
	s.mu.Lock()
	closed := s.closed || forwarder.streamsEnded
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

// endOf ends the streams of one forwarder, those to come too.
func (s *Streams) endOf(forwarder *Forwarder) {
	var ending []*stream
	s.mu.Lock()
	forwarder.streamsEnded = true
	for one := range s.open {
		if one.forwarder == forwarder {
			ending = append(ending, one)
			delete(s.open, one)
		}
	}
	s.mu.Unlock()
	for _, one := range ending {
		one.finish()
	}
}

// countOf is how many streams of one forwarder are open.
func (s *Streams) countOf(forwarder *Forwarder) (count int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for one := range s.open {
		if one.forwarder == forwarder {
			count++
		}
	}
	return count
}

// ended tells whether a forwarder's streams are to end.
func (s *Streams) ended(forwarder *Forwarder) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed || forwarder.streamsEnded
}
