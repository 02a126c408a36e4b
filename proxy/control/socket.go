package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
)

// Socket is a Unix socket that only this process's user may open. It listens from the start, but under its path it is found
// only once it is published, so that it takes the place of a predecessor's at one stroke.
type Socket struct {
	*net.UnixListener
	path   string
	hidden string      // in a folder that only this user may enter, so that nobody comes in before the socket's own rights are set
	file   fs.FileInfo // to know it again
	close  func() error
}

// Open makes the socket that key of the configuration wants at path. What a killed process left behind there is replaced; a
// socket that answers is not, unless it is a predecessor's that is going to leave.
func Open(ctx context.Context, key, path string, predecessor bool) (*Socket, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != fs.ModeSocket {
			return nil, fmt.Errorf("%s: %s exists and is not a socket: choose another path", key, path)
		}
		if !predecessor && answers(ctx, path) {
			return nil, fmt.Errorf("%s: another process answers on %s: stop it or choose another path", key, path)
		}
	}
	s := &Socket{path: path, hidden: filepath.Join(path+".new", "s")}
	s.unhide() // what a killed process left
	err := os.Mkdir(filepath.Dir(s.hidden), 0o700)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot make %s (%w): correct the folder's rights or choose another path", key, filepath.Dir(s.hidden), errors.Unwrap(err))
	}
	if s.UnixListener, err = net.ListenUnix("unix", &net.UnixAddr{Name: s.hidden, Net: "unix"}); err != nil {
		s.unhide()
		return nil, fmt.Errorf("%s: cannot listen on %s (%w): correct the folder's rights or choose another path", key, s.hidden, errors.Unwrap(err))
	}
	s.SetUnlinkOnClose(false) // the path may be another's by then
	s.close = sync.OnceValue(s.closeOnce)
	if err = os.Chmod(s.hidden, 0o600); err == nil {
		s.file, err = os.Lstat(s.hidden)
	}
	if err != nil {
		s.unhide()
		return nil, errors.Join(fmt.Errorf("%s: %w", key, err), s.UnixListener.Close())
	}
	return s, nil
}

func answers(ctx context.Context, path string) bool {
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return false
	}
	_ = connection.Close()
	return true
}

// Publish puts the socket under its path, whatever socket is there.
func (s *Socket) Publish() error {
	defer s.unhide()
	return os.Rename(s.hidden, s.path)
}

// unhide removes the hidden socket, if there is one, and its folder.
func (s *Socket) unhide() {
	_ = os.Remove(s.hidden)
	_ = os.Remove(filepath.Dir(s.hidden))
}

// Close closes the socket, and removes its file unless another has taken its place.
func (s *Socket) Close() error { return s.close() }

func (s *Socket) closeOnce() error {
	for _, path := range []string{s.path, s.hidden} {
		if info, err := os.Lstat(path); err == nil && os.SameFile(info, s.file) {
			_ = os.Remove(path)
		}
	}
	_ = os.Remove(filepath.Dir(s.hidden)) // a successor's that is not empty stays
	return s.UnixListener.Close()
}
