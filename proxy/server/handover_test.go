package server_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portico-web/portico/proxy/server"
)

// socketpair is two unix sockets that are connected.
func socketpair(t *testing.T) (a, b *net.UnixConn) {
	t.Helper()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, descriptor := range pair {
		file := os.NewFile(uintptr(descriptor), "pair")
		conn, err := net.FileConn(file)
		_ = file.Close()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		ends[i] = conn.(*net.UnixConn)
		_ = ends[i].SetDeadline(time.Now().Add(soon))
	}
	return ends[0], ends[1]
}

func TestHandedOverSocketsServeOnWithoutLosingWhoWaits(t *testing.T) {
	t.Parallel()
	settings := both()
	old, err := server.Listen(settings, nil)
	if err != nil {
		t.Fatal(err)
	}
	plain, secure := old.HTTP().String(), old.HTTPS().String()
	waiting, err := net.Dial("tcp", plain) // nobody accepts it yet
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	if _, err := io.WriteString(waiting, get); err != nil {
		t.Fatal(err)
	}
	from, to := socketpair(t)
	if err := old.HandOver(from); err != nil {
		t.Fatal(err)
	}
	inherited, err := server.Inherit(to)
	if err != nil {
		t.Fatal(err)
	}
	old.Close()
	e := start(t, options{settings: settings, inherited: inherited, handler: echo})
	if e.plain != plain || e.secure != secure {
		t.Errorf("it listens on %s and %s, not on %s and %s", e.plain, e.secure, plain, secure)
	}
	c := &client{Conn: waiting, t: t, reader: newReader(waiting)}
	c.expect(200, "GET /a?b ")
	e.dial(true).send(get).expect(200, "GET /a?b ")
	for version, client := range e.codecs() {
		if _, content := fetch(t, client, newRequest("GET", "/"+version, nil)); content != "GET /"+version+" " {
			t.Errorf("%s: %q", version, content)
		}
	}
}

func TestBothProcessesAcceptDuringAHandover(t *testing.T) {
	t.Parallel()
	first := start(t, options{settings: server.Settings{HTTP: "127.0.0.1:0"}, handler: text("old")})
	from, to := socketpair(t)
	if err := first.listeners.HandOver(from); err != nil {
		t.Fatal(err)
	}
	inherited, err := server.Inherit(to)
	if err != nil {
		t.Fatal(err)
	}
	second := start(t, options{settings: server.Settings{HTTP: "127.0.0.1:0"}, inherited: inherited, handler: text("new")})
	asked := 0
	ask := func() string {
		asked++
		_, got := first.dial(false).send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").answer("GET")
		return got
	}
	for range 20 {
		if got := ask(); got != "old" && got != "new" {
			t.Fatalf("%q", got)
		}
	}
	first.stop()
	for range 20 {
		if got := ask(); got != "new" {
			t.Fatalf("after the old one's end: %q", got)
		}
	}
	second.stop()
}

func TestSocketsOfAnotherAddressAreNotTaken(t *testing.T) {
	t.Parallel()
	old, err := server.Listen(server.Settings{HTTP: "127.0.0.1:0"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	address := old.HTTP().String()
	from, to := socketpair(t)
	if err := old.HandOver(from); err != nil {
		t.Fatal(err)
	}
	old.Close()
	inherited, err := server.Inherit(to)
	if err != nil {
		t.Fatal(err)
	}
	listeners, err := server.Listen(server.Settings{HTTP: "localhost:0"}, inherited)
	if err != nil {
		t.Fatal(err)
	}
	defer listeners.Close()
	if listeners.HTTP().String() == address {
		t.Error("the old socket serves")
	}
	if conn, err := net.Dial("tcp", address); err == nil {
		_ = conn.Close()
		t.Error("the socket that nobody took is still open")
	}
}

func TestABadHandoverLeavesNothingOpen(t *testing.T) {
	t.Parallel()
	header := func(text string) string {
		return string(binary.BigEndian.AppendUint32(nil, uint32(len(text)))) + text
	}
	for name, test := range map[string]struct {
		sent        string
		descriptors int
	}{
		"nothing":          {"", 0},
		"half a length":    {"\x00\x00", 1},
		"a huge header":    {"\xff\xff\xff\xff{}", 1},
		"a short header":   {"\x00\x00\x00\x10{}", 1},
		"no JSON":          {header("}"), 1},
		"too few":          {header(`{"sockets":[{"name":"http"},{"name":"https"}]}`), 1},
		"too many":         {header(`{"sockets":[{"name":"http"}]}`), 2},
		"far too many":     {header(`{"sockets":[{"name":"http"}]}`), 100},
		"a name twice":     {header(`{"sockets":[{"name":"http"},{"name":"http"}]}`), 2},
		"the wrong kind":   {header(`{"sockets":[{"name":"quic"}]}`), 1},
		"no pair":          {header(`{"sockets":[{"name":"before","address":"3"}]}`), 1},
		"no generation":    {header(`{"sockets":[{"name":"before","address":"256"}]}`), 1},
		"another's socket": {header(`{"sockets":[{"name":"http"},{"name":"quic"}]}`), 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			address := listener.Addr().String()
			file, err := listener.(*net.TCPListener).File()
			if err != nil {
				t.Fatal(err)
			}
			from, to := socketpair(t)
			var rights []byte
			if test.descriptors > 0 {
				descriptors := make([]int, test.descriptors)
				raw, _ := file.SyscallConn()
				_ = raw.Control(func(fd uintptr) {
					for i := range descriptors {
						descriptors[i] = int(fd)
					}
				})
				rights = syscall.UnixRights(descriptors...)
			}
			if test.sent != "" {
				if _, _, err := from.WriteMsgUnix([]byte(test.sent), rights, nil); err != nil {
					t.Fatal(err)
				}
			}
			_ = from.Close()
			_ = file.Close()
			_ = listener.Close()
			inherited, err := server.Inherit(to)
			if err == nil {
				inherited.Close()
				t.Error("no error")
			}
			// Every copy of the socket is closed, so nobody listens there any more.
			if conn, err := net.Dial("tcp", address); err == nil {
				_ = conn.Close()
				t.Error("a descriptor was left open")
			}
		})
	}
}

func TestASocketOfANewerVersionIsClosed(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	from, to := socketpair(t)
	text := `{"sockets":[{"name":"to come","more":[1]}],"more":{}}`
	raw, _ := file.SyscallConn()
	_ = raw.Control(func(fd uintptr) {
		_, _, err = from.WriteMsgUnix([]byte(string(binary.BigEndian.AppendUint32(nil, uint32(len(text))))+text), syscall.UnixRights(int(fd)), nil)
	})
	_, _ = file.Close(), listener.Close()
	if err != nil {
		t.Fatal(err)
	}
	inherited, err := server.Inherit(to)
	if err != nil {
		t.Fatal(err)
	}
	defer inherited.Close()
	if conn, err := net.Dial("tcp", address); err == nil {
		_ = conn.Close()
		t.Error("the descriptor was left open")
	}
}

func TestAnAddressInUseIsToldWithTheWayOut(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for setting, settings := range map[string]server.Settings{
		"listen.http: ":  {HTTP: taken.Addr().String()},
		"listen.https: ": {HTTP: "127.0.0.1:0", HTTPS: taken.Addr().String()},
	} {
		if text := listenError(t, settings); !strings.HasPrefix(text, setting) {
			t.Errorf("%q does not begin with %s", text, setting)
		}
	}
	for range 10 {
		packets, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		text := listenError(t, server.Settings{HTTPS: packets.LocalAddr().String(), HTTP3: true})
		_ = packets.Close()
		if strings.HasPrefix(text, "listen.http3: ") {
			return
		}
	}
	t.Error("a UDP port in use is not told of, or its number is in use by others all the time")
}

func listenError(t *testing.T, settings server.Settings) string {
	t.Helper()
	listeners, err := server.Listen(settings, nil)
	if err == nil {
		listeners.Close()
		return ""
	}
	return err.Error()
}

func TestHandOverToNobodyIsAnError(t *testing.T) {
	t.Parallel()
	listeners, err := server.Listen(server.Settings{HTTP: "127.0.0.1:0"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer listeners.Close()
	address := filepath.Join(t.TempDir(), "s")
	socket, err := net.Listen("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	var dialer net.Dialer
	conn, err := dialer.DialContext(context.Background(), "unix", address)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if listeners.HandOver(conn.(*net.UnixConn)) == nil {
		t.Error("no error")
	}
}
