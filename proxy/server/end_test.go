package server_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/portico-web/portico/proxy/message"
)

var errTimeout = os.ErrDeadlineExceeded

// faulty answers wrongly, as the path says: "what/how it is framed".
func faulty(stream message.Stream) {
	what, framing, _ := strings.Cut(strings.TrimPrefix(stream.Head().Path, "/"), "/")
	var head message.Head
	head.Status, head.Length = 200, message.Unknown
	if framing == "sized" {
		head.Length = 10
	}
	if what == "nothing" {
		return
	}
	_ = stream.Answer(&head)
	_, _ = stream.Write([]byte("hello"))
	switch what {
	case "flushed":
		_ = stream.Flush()
	case "abort":
		stream.Abort()
		stream.Abort()
		_ = stream.End(nil)
	case "panic":
		panic("a secret of the handler's")
	case "quiet-panic":
		panic(http.ErrAbortHandler)
	case "short":
		if stream.End(nil) == nil {
			panic("an answer without all its content passed")
		}
	case "long":
		if _, err := stream.Write([]byte("world, and more")); err == nil {
			panic("more content than announced passed")
		}
		_ = stream.End(nil)
	}
}

func TestWhatIsGivenUpNeverLooksWhole(t *testing.T) {
	t.Parallel()
	e := start(t, options{handler: faulty})
	for _, path := range []string{
		"/nothing", "/return/chunked", "/return/sized", "/flushed/chunked", "/flushed/sized", "/abort/chunked", "/abort/sized",
		"/panic/chunked", "/panic/sized", "/quiet-panic/chunked", "/short/sized", "/long/sized",
	} {
		for _, secure := range []bool{false, true} {
			for _, version := range []string{"HTTP/1.1", "HTTP/1.0"} {
				c := e.dial(secure).send("GET " + path + " " + version + "\r\nHost: a\r\n\r\n")
				response, err := http.ReadResponse(c.reader, nil)
				if path == "/nothing" {
					if err == nil || errors.Is(err, errTimeout) {
						t.Errorf("%s: %v", path, err)
					}
					continue
				}
				if err != nil {
					// A reset may overtake what was sent, where only a reset tells of the end.
					if version != "HTTP/1.0" || !strings.HasSuffix(path, "chunked") {
						t.Errorf("%s %s, TLS %v: nothing shows that an answer began: %v", path, version, secure, err)
					}
					continue
				}
				got, err := io.ReadAll(response.Body)
				if err == nil || errors.Is(err, errTimeout) {
					t.Errorf("%s %s, TLS %v: %q looks whole (%v)", path, version, secure, got, err)
				}
			}
		}
	}
	if !strings.Contains(e.log.String(), "a secret of the handler's") || !strings.Contains(e.log.String(), "faulty") {
		t.Errorf("the log does not tell of the panic and where it was: %s", e.log)
	}
	if strings.Contains(e.log.String(), "abort Handler") {
		t.Errorf("the log tells of an abort that was meant: %s", e.log)
	}
}

// left waits until the handler sees that its client has left.
func left(stream message.Stream) bool {
	for deadline := time.Now().Add(soon); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if stream.Gone() {
			return true
		}
	}
	return false
}

func TestAClientThatLeftIsKnownToBeGone(t *testing.T) {
	t.Parallel()
	arrived, result := make(chan bool, 1), make(chan bool, 1)
	e := start(t, options{handler: func(stream message.Stream) {
		if stream.Gone() {
			t.Error("a client that waits passes for gone")
		}
		arrived <- true
		result <- left(stream)
	}})
	for name, request := range map[string]string{
		"plain":                  get,
		"with bytes that wait":   get + get,
		"with content that does": "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 50000),
	} {
		for _, secure := range []bool{false, true} {
			c := e.dial(secure).send(request)
			within(t, arrived, "the request")
			if name == "with bytes that wait" {
				c.send(strings.Repeat(get, 100)) // beyond what the server has read
			}
			_ = c.Close()
			if !within(t, result, "the handler") {
				t.Errorf("%s, TLS %v: nobody noticed", name, secure)
			}
		}
	}
}

func tunnelled(t *testing.T, serve func(message.Tunnel)) message.Handler {
	return func(stream message.Stream) {
		if stream.Head().Protocol != "websocket" {
			t.Errorf("the client asks for %q", stream.Head().Protocol)
		}
		var head message.Head
		head.Status, head.Protocol = 101, stream.Head().Protocol
		head.AddNamed("X-Made-By", "test")
		tunnel, err := stream.Tunnel(&head)
		if err != nil {
			t.Errorf("Tunnel: %v", err)
			return
		}
		serve(tunnel)
	}
}

const upgrade = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"

func TestATunnelCarriesBytesBothWays(t *testing.T) {
	t.Parallel()
	e := start(t, options{settings: impatient(), handler: tunnelled(t, func(tunnel message.Tunnel) {
		if _, err := io.Copy(tunnel, struct{ io.Reader }{tunnel}); err != nil {
			t.Errorf("echoing: %v", err)
		}
		if err := tunnel.CloseWrite(); err != nil {
			t.Errorf("CloseWrite: %v", err)
		}
	})})
	for _, secure := range []bool{false, true} {
		c := e.dial(secure).send(upgrade + "sent ahead")
		response, err := http.ReadResponse(c.reader, nil)
		if err != nil || response.StatusCode != 101 || response.Header.Get("Upgrade") != "websocket" || response.Header.Get("X-Made-By") != "test" {
			t.Fatalf("%v, %v", response, err)
		}
		got := make([]byte, len("sent ahead"))
		if _, err := io.ReadFull(c.reader, got); err != nil || string(got) != "sent ahead" {
			t.Errorf("%q, %v came back for what was sent ahead", got, err)
		}
		time.Sleep(700 * time.Millisecond) // longer than any timeout of requests
		c.send("and later")
		if _, err := io.ReadFull(c.reader, got[:9]); err != nil || string(got[:9]) != "and later" {
			t.Errorf("%q, %v came back", got[:9], err)
		}
		if half, able := c.Conn.(interface{ CloseWrite() error }); able {
			_ = half.CloseWrite()
		}
		c.ended()
	}
}

func TestATunnelCanBeClosedFromAnywhere(t *testing.T) {
	t.Parallel()
	e := start(t, options{handler: tunnelled(t, func(tunnel message.Tunnel) {
		waiting := make(chan error, 2)
		go func() {
			_, err := tunnel.Read(make([]byte, 1))
			waiting <- err
		}()
		go func() {
			for {
				if _, err := tunnel.Write(make([]byte, 64<<10)); err != nil { // until nobody takes any more
					waiting <- err
					return
				}
			}
		}()
		time.Sleep(50 * time.Millisecond)
		_ = tunnel.Close()
		_ = tunnel.Close()
		for range 2 {
			if err := <-waiting; err == nil {
				t.Error("a wait ended without an error")
			}
		}
	})})
	for _, secure := range []bool{false, true} {
		c := e.dial(secure).send(upgrade)
		_, _ = io.Copy(io.Discard, c.Conn)
		if _, err := c.Read(make([]byte, 1)); errors.Is(err, errTimeout) {
			t.Error("the connection stands")
		}
	}
}

func TestAGentleEndLeavesIdleConnectionsOneRequest(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		stopping, gently := make(chan struct{}), make(chan struct{})
		e := start(t, options{stopping: func() { close(stopping) }, gently: gently, handler: text("done")})
		used, left, fresh := e.dial(secure), e.dial(secure), e.dial(secure)
		used.send(get).expect(200, "done")
		left.send(get).expect(200, "done")
		e.cancel()
		within(t, stopping, "stopping to be called")
		address := e.plain
		if secure {
			address = e.secure
		}
		for { // it is closed soon after
			conn, err := net.Dial("tcp", address)
			if err != nil {
				break
			}
			_ = conn.Close()
		}
		for _, c := range []*client{used, fresh} {
			if response := c.send(get).expect(200, "done"); !response.Close {
				t.Error("the answer does not announce the connection's end")
			}
			c.ended()
		}
		close(gently)
		left.ended()
		e.stop()
	}
}

func TestDrainingClosesIdleConnectionsAndLetsOthersFinish(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		arrived, stopping, proceed := make(chan bool), make(chan struct{}), make(chan struct{})
		e := start(t, options{stopping: func() { close(stopping) }, handler: func(stream message.Stream) {
			if stream.Head().Path == "/slow" {
				arrived <- true
				<-proceed
			}
			if stream.Context().Err() != nil {
				t.Error("the context ended before its time")
			}
			reply(stream, 200, "done")
		}})
		idle, active := e.dial(secure), e.dial(secure)
		idle.send(get).expect(200, "done")
		active.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
		within(t, arrived, "the slow request")
		e.cancel()
		within(t, stopping, "stopping to be called")
		idle.ended()
		address := e.plain
		if secure {
			address = e.secure
		}
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			t.Error("connections are still accepted")
		}
		select {
		case err := <-e.stopped:
			t.Fatalf("Serve returned with a request in flight: %v", err)
		default:
		}
		close(proceed)
		if response := active.expect(200, "done"); !response.Close {
			t.Error("the answer does not announce the connection's end")
		}
		active.ended()
		e.stop()
		if strings.Contains(e.log.String(), "cut off") {
			t.Errorf("something was cut off: %s", e.log)
		}
	}
}

func TestDrainingServesConnectionsThatAreNew(t *testing.T) {
	t.Parallel()
	e := start(t, options{handler: text("ok")})
	fresh, idle := e.dial(true), e.dial(true)
	idle.send(get).expect(200, "ok")
	e.cancel()
	idle.ended()                      // so that the drain is on
	time.Sleep(50 * time.Millisecond) // and has come to all connections
	if response := fresh.send(get).expect(200, "ok"); !response.Close {
		t.Error("the answer does not announce the connection's end")
	}
	fresh.ended()
	e.stop()
}

func TestDrainingDoesNotWaitForHandshakesThatDoNotComeToTheirEnd(t *testing.T) {
	t.Parallel()
	e := start(t, options{handler: text("ok")})
	for _, sent := range []string{"", "\x16\x03\x01\x40\x00"} {
		conn, err := net.Dial("tcp", e.secure)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, sent)
	}
	e.dial(true).send(get).expect(200, "ok") // so that those are taken in
	stopped := time.Now()
	e.stop()
	if took := time.Since(stopped); took > 8*time.Second { // they would have ten
		t.Errorf("it took %s", took)
	}
}

func TestTheDrainDeadlineCutsOff(t *testing.T) {
	t.Parallel()
	arrived := make(chan bool, 2)
	e := start(t, options{drain: 100 * time.Millisecond, handler: func(stream message.Stream) {
		arrived <- true
		<-stream.Context().Done()
		if !left(stream) {
			t.Error("the client is not gone for the handler")
		}
	}})
	plain, secure := e.dial(false).send(get), e.dial(true).send(get)
	within(t, arrived, "a request")
	within(t, arrived, "a request")
	e.stop()
	for _, c := range []*client{plain, secure} {
		if _, err := http.ReadResponse(c.reader, nil); err == nil || errors.Is(err, errTimeout) {
			t.Errorf("a request that was cut off: %v", err)
		}
	}
	for _, want := range []string{"requests still in flight were cut off", "protocol=http ", "protocol=https ", "after=100ms"} {
		if !strings.Contains(e.log.String(), want) {
			t.Errorf("the log lacks %q: %s", want, e.log)
		}
	}
}

func TestAListenerThatFailsIsAnError(t *testing.T) {
	t.Parallel()
	e := start(t, options{handler: text("ok")})
	e.dial(false).send(get).expect(200, "ok")
	e.listeners.Close()
	if err := within(t, e.stopped, "Serve to return"); err == nil {
		t.Error("no error")
	}
	e.stopped <- nil // for the end of the test
}
