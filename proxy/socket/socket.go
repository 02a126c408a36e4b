// Package socket is a connection, TCP or of a Unix socket, as the edge wants it, on the side of clients and of upstreams alike: with deadlines
// that cost nothing while data flows, with reads that another goroutine can interrupt, and with questions about the other
// end that do not wait.
package socket

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// ErrInterrupted says that Interrupt ended a read. It is a net.Error that is temporary, so that TLS above it stays usable.
var ErrInterrupted error = interrupted{}

type interrupted struct{}

func (interrupted) Error() string   { return "interrupted" }
func (interrupted) Timeout() bool   { return false }
func (interrupted) Temporary() bool { return true }

// ErrTimeout says that a deadline of ReadBy or WriteWithin passed. It is a net.Error whose Timeout is true.
var ErrTimeout = os.ErrDeadlineExceeded

// Setting a deadline costs a timer. So one is set for at most this long ahead, and while it is still to come serves for all
// reads that may take longer; a read that it ends too early goes on with its own.
const ahead = time.Second

// Stream is a connection of the system's: a *net.TCPConn or a *net.UnixConn.
type Stream interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
}

// Conn is a Stream. One goroutine reads, one writes; Interrupt, Close and the questions may come from any.
type Conn struct {
	Stream
	raw syscall.RawConn

	readBy    time.Time // when a read must have brought something; zero for never
	readArmed time.Time // the deadline that is set; zero for none

	writeWithin time.Duration // how long a write may stand still; zero for ever
	writeArmed  time.Time

	interrupted atomic.Bool
	poll        poll
	question    question
}

// New wraps a connection, which belongs to the Conn from now on.
func New(connection Stream) (*Conn, error) {
	raw, err := connection.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &Conn{Stream: connection, raw: raw}
	c.poll.init()
	c.question.init()
	return c, nil
}

// ReadBy sets the time by which reads from now on must have brought something. The zero time takes it away; deadlines set by
// SetReadDeadline then hold as net.Conn has them.
func (c *Conn) ReadBy(deadline time.Time) {
	if deadline.IsZero() {
		c.readBy, c.readArmed = deadline, deadline
		_ = c.SetReadDeadline(deadline)
		return
	}
	c.readUntil(time.Now(), deadline)
}

// ReadWithin is ReadBy, counted from now.
func (c *Conn) ReadWithin(now time.Time, d time.Duration) { c.readUntil(now, now.Add(d)) }

func (c *Conn) readUntil(now, deadline time.Time) {
	c.readBy = deadline
	if c.readArmed.After(now) && !c.readArmed.After(deadline) {
		return
	}
	c.armRead(earlier(deadline, now.Add(ahead)))
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func (c *Conn) armRead(at time.Time) {
	c.readArmed = at
	_ = c.SetReadDeadline(at)
}

// Read reads what there is, or waits for some. Its errors are ErrTimeout, ErrInterrupted, io.EOF and the connection's.
func (c *Conn) Read(p []byte) (int, error) {
	for {
		if c.interrupted.Load() {
			return 0, ErrInterrupted
		}
		n, err := c.Stream.Read(p)
		if n > 0 || err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if c.interrupted.Load() {
			return 0, ErrInterrupted
		}
		if c.readBy.IsZero() || !time.Now().Before(c.readBy) {
			c.readArmed = time.Time{}
			return 0, ErrTimeout
		}
		// It woke too early. That Interrupt comes just now is seen at the top.
		c.armRead(c.readBy)
	}
}

// WriteWithin bounds how long a write may go without getting on; zero takes the bound away. It is a quarter more at times,
// so that not each write needs a timer.
func (c *Conn) WriteWithin(d time.Duration) {
	if d < c.writeWithin { // what is set would hold for longer
		c.writeArmed = time.Time{}
	}
	if c.writeWithin = d; d == 0 {
		_ = c.SetWriteDeadline(time.Time{})
	}
}

// Write writes all of p, or fails. It may take as long as it takes while the other end reads on.
func (c *Conn) Write(p []byte) (written int, err error) {
	if c.writeWithin == 0 {
		return c.Stream.Write(p)
	}
	for {
		if now := time.Now(); c.writeArmed.Before(now.Add(c.writeWithin)) {
			c.writeArmed = now.Add(c.writeWithin + c.writeWithin/4)
			_ = c.SetWriteDeadline(c.writeArmed)
		}
		n, err := c.Stream.Write(p[written:])
		written += n
		if n == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return written, err
		}
	}
}

// Interrupt ends a read that waits, and all later ones, until Resume.
func (c *Conn) Interrupt() {
	c.interrupted.Store(true)
	_ = c.SetReadDeadline(time.Unix(1, 0))
}

// Resume lets reads wait again, without a deadline. The reading goroutine calls it.
func (c *Conn) Resume() {
	c.interrupted.Store(false)
	c.ReadBy(time.Time{})
}

// Reset closes the connection so that the other end sees it broken, not ended; a Unix socket knows no such difference.
func (c *Conn) Reset() {
	if lingering, ok := c.Stream.(*net.TCPConn); ok {
		_ = lingering.SetLinger(0)
	}
	_ = c.Close()
}
