//go:build unix

package server

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// sendFiles sends data with the descriptors of files (SCM_RIGHTS).
func sendFiles(connection *net.UnixConn, data []byte, files []*os.File) error {
	descriptors := make([]int, len(files))
	for i, file := range files {
		raw, err := file.SyscallConn()
		if err != nil {
			return err
		}
		// File.Fd would make the socket a blocking one, for every process that has it.
		if err := raw.Control(func(fd uintptr) { descriptors[i] = int(fd) }); err != nil {
			return err
		}
	}
	n, _, err := connection.WriteMsgUnix(data, unix.UnixRights(descriptors...), nil)
	if err == nil && n < len(data) {
		err = io.ErrShortWrite
	}
	return err
}

// socketPair makes two sockets, each of which gets whole messages from the other.
func socketPair() (near *net.UnixConn, far *os.File, err error) {
	kind := unix.SOCK_SEQPACKET // holds more messages than SOCK_DGRAM, and tells when the other end is closed
	if runtime.GOOS == "darwin" {
		kind = unix.SOCK_DGRAM
	}
	syscall.ForkLock.RLock() // a process that is started in between gets neither
	pair, err := unix.Socketpair(unix.AF_UNIX, kind, 0)
	if err == nil {
		unix.CloseOnExec(pair[0])
		unix.CloseOnExec(pair[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, err
	}
	one := os.NewFile(uintptr(pair[0]), "packets")
	defer one.Close()
	far = os.NewFile(uintptr(pair[1]), "packets")
	connection, err := net.FileConn(one)
	if err != nil {
		_ = far.Close()
		return nil, nil, err
	}
	return connection.(*net.UnixConn), far, nil
}

// sendNow sends a message, unless that would have to wait.
func sendNow(to *net.UnixConn, message []byte) error {
	raw, err := to.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	if err := raw.Write(func(fd uintptr) bool {
		_, sent = unix.Write(int(fd), message)
		return true
	}); err != nil {
		return err
	}
	return sent
}

// hungUp tells whether the other end is closed.
func hungUp(connection *net.UnixConn) (hungUp bool) {
	raw, err := connection.SyscallConn()
	if err != nil {
		return true
	}
	if err := raw.Control(func(fd uintptr) {
		asked := []unix.PollFd{{Fd: int32(fd)}}
		_, _ = unix.Poll(asked, 0)
		hungUp = asked[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
	}); err != nil {
		return true
	}
	return hungUp
}

// receiveFiles fills data, and returns the descriptors that came with it, at most so many. The files are the caller's also
// when there is an error.
func receiveFiles(connection *net.UnixConn, data []byte, most int) (files []*os.File, err error) {
	control := make([]byte, unix.CmsgSpace(most*4))
	n, controlled, flags, _, err := connection.ReadMsgUnix(data, control)
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:controlled])
	if err != nil {
		return nil, err
	}
	for i := range messages {
		descriptors, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue // not of this kind
		}
		for _, descriptor := range descriptors {
			unix.CloseOnExec(descriptor)
			files = append(files, os.NewFile(uintptr(descriptor), "inherited"))
		}
	}
	if flags&unix.MSG_CTRUNC != 0 {
		return files, errors.New("more descriptors came than a handover has")
	}
	if n == 0 {
		return files, io.ErrUnexpectedEOF
	}
	_, err = io.ReadFull(connection, data[n:])
	return files, err
}
