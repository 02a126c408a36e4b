package control

import (
	"net"

	"golang.org/x/sys/unix"
)

// peerUID is the user at the other end of a Unix socket.
func peerUID(connection net.Conn) (uid uint32, ok bool) {
	socket, ok := connection.(*net.UnixConn)
	if !ok {
		return 0, false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, false
	}
	var credentials *unix.Ucred
	if err := raw.Control(func(fd uintptr) {
		credentials, _ = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) // a descriptor fits
	}); err != nil || credentials == nil {
		return 0, false
	}
	return credentials.Uid, true
}
