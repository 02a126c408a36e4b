package systemd_test

import (
	"net"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/portico-web/portico/internal/systemd"
)

func TestTheServiceManagerIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	for want, say := range map[string]func() error{
		"READY=1":    systemd.Ready,
		"MAINPID=42": func() error { return systemd.MainPID(42) },
		"RELOADING=1\nMONOTONIC_USEC=[0-9]{4}[0-9]*": systemd.Reloading,
	} {
		if err := say(); err != nil {
			t.Fatal(err)
		}
		heard := make([]byte, 100)
		_ = socket.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := socket.Read(heard)
		if err != nil || !regexp.MustCompile("^"+want+"$").Match(heard[:n]) {
			t.Errorf("%q, %v, want %q", heard[:n], err, want)
		}
	}
}

func TestWithoutAServiceManagerNothingIsTold(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := systemd.Ready(); err != nil {
		t.Error(err)
	}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	if systemd.Ready() == nil {
		t.Error("nobody listens, and it is no error")
	}
}
