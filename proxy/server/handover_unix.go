//go:build unix

package server

import (
	"errors"
	"io"
	"net"
	"os"

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
