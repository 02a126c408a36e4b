package handover

import (
	"context"
	"fmt"
	"net"
)

// Successor is the process that wants to take this one's place. Its methods are for one goroutine.
type Successor struct {
	peer
	other Process
}

// Greet hears who calls on connection. A process that cannot be understood is told so and is an error; otherwise Welcome or
// Refuse is next.
func Greet(ctx context.Context, connection *net.UnixConn, self Process) (*Successor, error) {
	s := &Successor{peer: peer{connection, self}}
	heard, err := s.expect(ctx, hello, answerWithin)
	if err != nil {
		return nil, err
	}
	if heard.Protocol != protocol {
		err := fmt.Errorf("version %q hands over by protocol %d, version %q by protocol %d: stop the one before starting the other",
			self.Version, protocol, heard.Version, heard.Protocol)
		s.Refuse(err.Error())
		return nil, err
	}
	s.other = heard.Process
	return s, nil
}

// Process is who the successor is.
func (s *Successor) Process() Process { return s.other }

// Refuse tells the successor why it cannot have the place.
func (s *Successor) Refuse(reason string) { _ = s.tell(refused, reason) }

// Welcome lets the successor prepare itself with this secret for sticky sessions; send gives it the sockets.
func (s *Successor) Welcome(sticky string, send func(*net.UnixConn) error) error {
	if err := s.send(message{Step: welcome, Sticky: sticky}); err != nil {
		return err
	}
	return send(s.conn)
}

// AwaitReady waits until the successor is prepared.
func (s *Successor) AwaitReady(ctx context.Context) error {
	_, err := s.expect(ctx, ready, ReadyWithin)
	return err
}

// GiveWay gives the place away, and waits until the successor serves, however long that takes: it will unless it dies, which
// is an error.
func (s *Successor) GiveWay(ctx context.Context) error {
	if err := s.tell(yours, ""); err != nil {
		return errDead
	}
	_, err := s.expect(ctx, serving, 0)
	return err
}
