package handover

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"
)

// Predecessor is the edge that serves, as the process that is to take its place sees it. Its methods are for one goroutine.
type Predecessor struct {
	peer
	other  Process
	sticky string
	over   bool // it needs to hear nothing more
}

// Ask asks the edge behind the socket at path for its sockets, which come next on Conn. nil when no edge is there. An edge
// that will not hand over is an error.
func Ask(ctx context.Context, path string, self Process) (*Predecessor, error) {
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "unix", path)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED):
		return nil, nil //nolint:nilnil // nobody is no failure
	case err != nil:
		return nil, fmt.Errorf("listen.handover: %s: %w", path, errors.Unwrap(err))
	}
	p := &Predecessor{peer: peer{connection.(*net.UnixConn), self}} //nolint:forcetypeassert // of a Unix socket
	err = p.tell(hello, "")
	if err == nil {
		var heard message
		heard, err = p.expect(ctx, welcome, answerWithin)
		p.other, p.sticky = heard.Process, heard.Sticky
	}
	if err != nil {
		_ = connection.Close()
		return nil, fmt.Errorf("listen.handover: the edge on %s does not hand over: %w", path, err)
	}
	return p, nil
}

// Process is who the predecessor is.
func (p *Predecessor) Process() Process { return p.other }

// Sticky is the secret of sticky sessions for which the configuration names none.
func (p *Predecessor) Sticky() string { return p.sticky }

// Conn is where the sockets come.
func (p *Predecessor) Conn() *net.UnixConn { return p.conn }

// TakeOver says that everything is prepared, and waits until the predecessor gives its place away. One that has died does so
// too. After an error it serves on, and the caller must not serve.
func (p *Predecessor) TakeOver(ctx context.Context) error {
	_ = p.tell(ready, "") // one that hears nothing may have said why
	_, err := p.expect(ctx, yours, answerWithin)
	switch {
	case errors.Is(err, errDead):
		p.over = true
		return nil
	case err != nil:
		return fmt.Errorf("the edge that serves keeps its place: %w", err)
	}
	return nil
}

// Serving says that the place is taken: the predecessor drains now.
func (p *Predecessor) Serving() {
	_ = p.tell(serving, "") // one that died in the meantime is out of the way too
	p.over = true
	_ = p.conn.Close()
}

// Close tells a predecessor whose place was not taken why, and lets it serve on. It may be called at any time.
func (p *Predecessor) Close(why error) {
	if !p.over && why != nil {
		_ = p.tell(failed, why.Error())
	}
	p.over = true
	_ = p.conn.Close()
}
