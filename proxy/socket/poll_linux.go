package socket

import (
	"golang.org/x/sys/unix"
)

// poll asks the system about one connection. What Control calls is made once, so that asking allocates nothing.
type poll struct {
	events  int16 // asked for
	found   int16
	failed  bool
	control func(fd uintptr)
}

func (p *poll) init() {
	p.control = func(fd uintptr) {
		for {
			fds := [1]unix.PollFd{{Fd: int32(fd), Events: p.events}}
			_, err := unix.Poll(fds[:], 0)
			if err == unix.EINTR {
				continue
			}
			p.failed, p.found = err != nil, fds[0].Revents
			return
		}
	}
}

// HungUp tells whether the other end has closed its direction, or the connection broke, whatever still waits to be read.
// It may not be called by two goroutines at once, nor together with Quiet.
func (c *Conn) HungUp() bool {
	return c.ask(unix.POLLRDHUP)&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0
}

// Quiet tells whether the connection stands and nothing waits to be read.
func (c *Conn) Quiet() bool { return c.ask(unix.POLLIN|unix.POLLRDHUP) == 0 }

func (c *Conn) ask(events int16) int16 {
	c.poll.events = events
	if err := c.raw.Control(c.poll.control); err != nil || c.poll.failed {
		return unix.POLLERR
	}
	return c.poll.found
}
