//go:build unix

package socket

import "syscall"

// question is what Ask has under way. What the system calls back is made once, so that asking allocates nothing.
type question struct {
	text    []byte
	written int
	err     error // of writing
	begun   bool
	quiet   bool
	step    func(fd uintptr) bool
	unasked [1]byte
}

func (q *question) init() {
	q.step = func(fd uintptr) bool {
		if q.begun {
			return true // something has come
		}
		q.begun = true
		q.quiet = nothingToRead(int(fd), q.unasked[:])
		if q.quiet {
			q.written, q.err = write(int(fd), q.text)
		}
		return q.written < len(q.text)
	}
}

func nothingToRead(fd int, p []byte) bool {
	for {
		_, err := syscall.Read(fd, p)
		if err != syscall.EINTR {
			return err == syscall.EAGAIN
		}
	}
}

func write(fd int, p []byte) (int, error) {
	for {
		n, err := syscall.Write(fd, p)
		if err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}

// Ask writes p, all of it or not at all without an error, on a connection that is Quiet, and waits until something comes or
// the deadline of reads passes, which is for Read to tell. When the connection is not quiet, nothing is written, and it can
// only be closed. Looking, writing and waiting in one go saves a system call.
func (c *Conn) Ask(p []byte) (written int, quiet bool, err error) {
	q := &c.question
	q.text, q.written, q.err, q.begun, q.quiet = p, 0, nil, false, false
	_ = c.raw.Read(q.step) // a deadline that passed, or what Read meets again
	q.text = nil
	switch {
	case !q.begun: // a deadline had passed
		if !c.Quiet() {
			return 0, false, nil
		}
		written, err = c.Write(p)
		return written, true, err
	case q.quiet && q.written < len(p) && (q.err == nil || q.err == syscall.EAGAIN): //nolint:errorlint // an Errno as the system gives it
		written, err = c.Write(p[q.written:])
		return q.written + written, true, err
	default:
		return q.written, q.quiet, q.err
	}
}
