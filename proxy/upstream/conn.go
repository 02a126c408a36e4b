package upstream

import (
	"crypto/tls"
	"errors"
	"io"
	"time"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/socket"
)

// bufferSize is how much of an answer is read at once.
const bufferSize = 32 << 10

// Conn is an HTTP/1.1 connection to a target. It carries one exchange at a time, ended by Keep or Close. One goroutine may
// read while another writes; Interrupt and Close may come from any.
type Conn struct {
	Reader *http1.Reader // of what the target sends

	target *Target
	socket *socket.Conn
	secure *tls.Conn // over wire, over socket; nil without TLS
	wire   *wire
	reused bool
	since  time.Time // it is idle
	one    [1]byte
}

// wire is what TLS runs over.
type wire struct {
	*socket.Conn
	ended bool // the other end closed the connection, not only TLS
	still bool // nothing is read: only what TLS has buffered counts
}

func (w *wire) Read(p []byte) (int, error) {
	if w.still {
		return 0, socket.ErrTimeout
	}
	n, err := w.Conn.Read(p)
	if errors.Is(err, io.EOF) {
		w.ended = true
	}
	return n, err
}

func newConn(target *Target, over *wire, secure *tls.Conn) *Conn {
	c := &Conn{target: target, socket: over.Conn, secure: secure, wire: over}
	c.Reader = http1.NewReader(c, bufferSize)
	c.socket.WriteWithin(target.writeTimeout)
	return c
}

// Reused tells whether the connection carried an exchange before: then the target may close it just when it is used again.
func (c *Conn) Reused() bool { return c.reused }

// ReadWithin bounds the reads from now on; see socket.Conn.
func (c *Conn) ReadWithin(now time.Time, d time.Duration) { c.socket.ReadWithin(now, d) }

// ReadForever takes the bound away.
func (c *Conn) ReadForever() { c.socket.ReadBy(time.Time{}) }

// Interrupt ends a read that waits, and all later ones. The connection can then only be closed.
func (c *Conn) Interrupt() { c.socket.Interrupt() }

// Read reads past the Reader, whose source it is. With TLS, an end that close_notify does not announce is an
// io.ErrUnexpectedEOF: it may be a cut (RFC 9112 section 9.8).
func (c *Conn) Read(p []byte) (int, error) {
	if c.secure == nil {
		return c.socket.Read(p)
	}
	n, err := c.secure.Read(p)
	if err == io.EOF && c.wire.ended { //nolint:errorlint // TLS returns it as it is
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Write writes all of p, or fails. After a failure that took 0 bytes the target can have understood nothing of p.
func (c *Conn) Write(p []byte) (int, error) {
	if c.secure == nil {
		return c.socket.Write(p)
	}
	return c.secure.Write(p)
}

// CloseWrite says that nothing more will be written.
func (c *Conn) CloseWrite() error {
	if c.secure == nil {
		return c.socket.CloseWrite()
	}
	return c.secure.CloseWrite()
}

// Close breaks the connection off, also what waits in it. It may be called at any time, and twice.
func (c *Conn) Close() { _ = c.socket.Close() }

// Keep hands the connection back for another exchange. The one before must have come to its exact end.
func (c *Conn) Keep() {
	whole := c.Reader.Buffered() == 0
	c.Reader.Release()
	if !whole || !c.target.idle.put(c) {
		c.end()
	}
}

// end closes a connection on which nothing is under way.
func (c *Conn) end() {
	if c.secure != nil {
		_ = c.secure.Close()
		return
	}
	c.Close()
}

// ask writes p if the connection is quiet. Without TLS it also waits for the answer to begin, which saves doing so later.
func (c *Conn) ask(p []byte) (written int, quiet bool, err error) {
	if c.secure == nil {
		return c.socket.Ask(p)
	}
	if !c.quiet() {
		return 0, false, nil
	}
	written, err = c.secure.Write(p)
	return written, true, err
}

// quiet tells whether an idle connection can take another request: it stands, and nothing came unasked.
func (c *Conn) quiet() bool {
	if !c.socket.Quiet() {
		return false
	}
	if c.secure == nil {
		return true
	}
	c.wire.still = true
	_, err := c.secure.Read(c.one[:])
	c.wire.still = false
	return errors.Is(err, socket.ErrTimeout)
}
