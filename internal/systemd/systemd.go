// Package systemd tells the service manager what a process does, by the protocol of sd_notify(3). Without NOTIFY_SOCKET in
// the environment its functions do nothing.
package systemd

import (
	"fmt"
	"net"
	"os"
)

// Ready says that the process serves, for the first time or again after a reload.
func Ready() error { return notify("READY=1") }

// Reloading says that the process takes a configuration over; Ready says that it did, or kept the one before.
func Reloading() error {
	return notify(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", monotonic().Microseconds()))
}

// MainPID says that the service's main process is another from now on.
func MainPID(pid int) error { return notify(fmt.Sprintf("MAINPID=%d", pid)) }

func notify(state string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	socket, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer socket.Close()
	_, err = socket.Write([]byte(state))
	return err
}
