//go:build unix && !linux

package socket

import "syscall"

type poll struct {
	n       int
	err     error
	control func(fd uintptr)
}

func (p *poll) init() {
	p.control = func(fd uintptr) {
		var one [1]byte
		p.n, _, p.err = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	}
}

// HungUp tells whether the other end has closed its direction, or the connection broke, once what it sent was read.
// It may not be called by two goroutines at once, nor together with Quiet.
func (c *Conn) HungUp() bool {
	waits, closed := c.peek()
	return closed && !waits
}

// Quiet tells whether the connection stands and nothing waits to be read.
func (c *Conn) Quiet() bool {
	waits, closed := c.peek()
	return !waits && !closed
}

func (c *Conn) peek() (waits, closed bool) {
	if err := c.raw.Control(c.poll.control); err != nil {
		return false, true
	}
	switch {
	case c.poll.n > 0:
		return true, false
	case c.poll.err == syscall.EAGAIN || c.poll.err == syscall.EINTR: //nolint:errorlint // an Errno as the system gives it
		return false, false
	default:
		return false, true
	}
}
