//go:build !unix

package server

import (
	"errors"
	"net"
	"os"
)

var errNoHandover = errors.New("this system hands no sockets over")

func socketPair() (*net.UnixConn, *os.File, error) { return nil, nil, errNoHandover }

func sendNow(*net.UnixConn, []byte) error { return errNoHandover }

func hungUp(*net.UnixConn) bool { return true }

func sendFiles(*net.UnixConn, []byte, []*os.File) error { return errNoHandover }

func receiveFiles(*net.UnixConn, []byte, int) ([]*os.File, error) { return nil, errNoHandover }
