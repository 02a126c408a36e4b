package control_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portico-web/portico/proxy/control"
)

type edge struct {
	control.Deploys
	refuses error
}

func (e edge) Reload(context.Context) error { return e.refuses }
func (e edge) Upgrade(context.Context) (control.Upgraded, error) {
	return control.Upgraded{PID: 7, Version: "2"}, e.refuses
}
func (e edge) Status() control.Status { return control.Status{Hosts: []string{"example.com"}} }

func listen(t *testing.T, e edge) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "run", "admin.sock")
	listener := open(t, socket, false)
	if err := listener.Publish(); err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: control.Handler(e)}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	return socket
}

func open(t *testing.T, path string, predecessor bool) *control.Socket {
	t.Helper()
	socket, err := control.Open(t.Context(), "listen.admin", path, predecessor)
	if err != nil {
		t.Fatal(err)
	}
	return socket
}

func TestCommandsReachTheEdge(t *testing.T) {
	t.Parallel()
	socket := listen(t, edge{})
	var status control.Status
	if err := control.Call(t.Context(), socket, http.MethodPost, "/reload", &status); err != nil || len(status.Hosts) != 1 {
		t.Errorf("%+v, %v", status, err)
	}
	var upgraded control.Upgraded
	if err := control.Call(t.Context(), socket, http.MethodPost, "/upgrade", &upgraded); err != nil || upgraded != (control.Upgraded{PID: 7, Version: "2"}) {
		t.Errorf("%+v, %v", upgraded, err)
	}
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := control.Call(t.Context(), socket, http.MethodGet, "/reload", &status); err == nil {
		t.Error("GET reloads")
	}
}

func TestARefusalComesBack(t *testing.T) {
	t.Parallel()
	socket := listen(t, edge{refuses: errors.New("proxy.yaml:1:1: no")})
	for _, command := range []string{"/reload", "/upgrade"} {
		err := control.Call(t.Context(), socket, http.MethodPost, command, &control.Status{})
		if err == nil || err.Error() != "proxy.yaml:1:1: no" {
			t.Error(err)
		}
	}
}

func TestASocketInUseIsKeptAndADeadOneReplaced(t *testing.T) {
	t.Parallel()
	socket := listen(t, edge{})
	if _, err := control.Open(t.Context(), "listen.admin", socket, false); err == nil || !strings.Contains(err.Error(), "another process answers") {
		t.Errorf("in use: %v", err)
	}
	for _, published := range []bool{false, true} { // as after kill -9
		dead := filepath.Join(t.TempDir(), "dead.sock")
		first := open(t, dead, false)
		if published {
			if err := first.Publish(); err != nil {
				t.Fatal(err)
			}
		}
		_ = first.UnixListener.Close()
		again := open(t, dead, false)
		if err := errors.Join(again.Publish(), again.Close()); err != nil {
			t.Errorf("left behind: %v", err)
		}
		left, err := os.ReadDir(filepath.Dir(dead))
		if err != nil || len(left) > 0 {
			t.Errorf("there remain %v, %v", left, err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Open(t.Context(), "listen.admin", file, true); err == nil {
		t.Error("a file is replaced")
	}
}

func TestASocketTakesAPredecessorsPlaceWhenItIsPublished(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "admin.sock")
	calls := func(socket *control.Socket) bool {
		t.Helper()
		connection, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		if err := socket.SetDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		accepted, err := socket.Accept()
		if err != nil {
			return false
		}
		_ = accepted.Close()
		return true
	}
	old := open(t, path, false)
	if err := old.Publish(); err != nil {
		t.Fatal(err)
	}
	gaveUp := open(t, path, true)
	if err := gaveUp.Close(); err != nil {
		t.Fatal(err)
	}
	next := open(t, path, true)
	if !calls(old) {
		t.Error("the predecessor is not called before its place is taken")
	}
	if err := next.Publish(); err != nil {
		t.Fatal(err)
	}
	if err := old.Close(); err != nil { // which leaves the file alone
		t.Fatal(err)
	}
	if !calls(next) {
		t.Error("the one that took the place is not called")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := next.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) > 0 {
		t.Errorf("there remain %v, %v", left, err)
	}
}

func TestNobodyListeningIsExplained(t *testing.T) {
	t.Parallel()
	err := control.Call(t.Context(), filepath.Join(t.TempDir(), "none.sock"), http.MethodGet, "/status", &control.Status{})
	if err == nil || !strings.Contains(err.Error(), "listen.admin") {
		t.Error(err)
	}
}
