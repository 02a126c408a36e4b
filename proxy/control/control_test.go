package control_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portico-web/portico/proxy/control"
)

type edge struct{ refuses error }

func (e edge) Reload(context.Context) error { return e.refuses }
func (e edge) Status() control.Status       { return control.Status{Hosts: []string{"example.com"}} }

func listen(t *testing.T, e edge) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "run", "admin.sock")
	listener, err := control.Listen(t.Context(), socket)
	if err != nil {
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

func TestCommandsReachTheEdge(t *testing.T) {
	t.Parallel()
	socket := listen(t, edge{})
	var status control.Status
	if err := control.Call(t.Context(), socket, http.MethodPost, "/reload", &status); err != nil || len(status.Hosts) != 1 {
		t.Errorf("%+v, %v", status, err)
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
	err := control.Call(t.Context(), socket, http.MethodPost, "/reload", &control.Status{})
	if err == nil || err.Error() != "proxy.yaml:1:1: no" {
		t.Error(err)
	}
}

func TestASocketInUseIsKeptAndADeadOneReplaced(t *testing.T) {
	t.Parallel()
	socket := listen(t, edge{})
	if _, err := control.Listen(t.Context(), socket); err == nil || !strings.Contains(err.Error(), "another process answers") {
		t.Errorf("in use: %v", err)
	}
	dead := filepath.Join(t.TempDir(), "dead.sock")
	first, err := control.Listen(t.Context(), dead)
	if err != nil {
		t.Fatal(err)
	}
	first.(interface{ SetUnlinkOnClose(bool) }).SetUnlinkOnClose(false) // as after kill -9
	_ = first.Close()
	again, err := control.Listen(t.Context(), dead)
	if err != nil {
		t.Fatalf("left behind: %v", err)
	}
	_ = again.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Listen(t.Context(), file); err == nil {
		t.Error("a file is replaced")
	}
}

func TestNobodyListeningIsExplained(t *testing.T) {
	t.Parallel()
	err := control.Call(t.Context(), filepath.Join(t.TempDir(), "none.sock"), http.MethodGet, "/status", &control.Status{})
	if err == nil || !strings.Contains(err.Error(), "listen.admin") {
		t.Error(err)
	}
}
