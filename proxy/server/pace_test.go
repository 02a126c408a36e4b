package server_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/pace"
	"github.com/portico-web/portico/proxy/server"
)

// impatient are settings under which a slow client is found out soon.
func impatient() server.Settings {
	return server.Settings{
		HTTP: "127.0.0.1:0", HTTPS: "127.0.0.1:0", HTTP3: true,
		ReadHeaderTimeout: 300 * time.Millisecond, IdleTimeout: 300 * time.Millisecond, Pace: pace.Pace{StallTimeout: 300 * time.Millisecond},
	}
}

func TestAHeadThatComesTooSlowlyIsAnswered408(t *testing.T) {
	t.Parallel()
	e := start(t, options{settings: impatient(), handler: text("ok"), refused: func(stream message.Stream, refusal *http1.Error) {
		reply(stream, refusal.Status, refusal.Reason)
	}})
	for _, secure := range []bool{false, true} {
		c := e.dial(secure)
		response, _ := c.send("GET / HTTP/1.1\r\nHo").answer("GET")
		if response.StatusCode != 408 || !response.Close {
			t.Errorf("TLS %v: %v", secure, response)
		}
		c.ended()
		// The next request of a connection has no more time than the first.
		c = e.dial(secure)
		c.send(get).expect(200, "ok")
		if response, _ := c.send("GET / HTTP/1.1\r\nHo").answer("GET"); response.StatusCode != 408 {
			t.Errorf("TLS %v, second request: %v", secure, response)
		}
	}
}

func TestADribblingHeadIsAnswered408(t *testing.T) {
	t.Parallel()
	e := start(t, options{settings: impatient(), handler: text("ok")})
	c := e.dial(false).send("GET / HTTP/1.1\r\n")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			if _, err := io.WriteString(c, "X: x\r\n"); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond) // what a slow client is
		}
	}()
	if response, _ := c.answer("GET"); response.StatusCode != 408 {
		t.Errorf("%v", response)
	}
	_ = c.Close()
	<-done
}

func TestAHeadMayTakeItsTime(t *testing.T) {
	t.Parallel()
	e := start(t, options{handler: text("ok")})
	c := e.dial(true)
	for range 2 {
		for piece := range strings.SplitAfterSeq(get, "\r") {
			c.send(piece)
			time.Sleep(150 * time.Millisecond)
		}
		c.expect(200, "ok")
	}
}

func TestASilentConnectionIsClosedWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	e := start(t, options{settings: impatient(), handler: text("ok")})
	for _, secure := range []bool{false, true} {
		e.dial(secure).ended()
		c := e.dial(secure)
		c.send(get).expect(200, "ok")
		c.ended()
	}
}

func TestAnIdleConnectionGoesOnAfterAWhile(t *testing.T) {
	t.Parallel()
	e := start(t, options{handler: echo})
	for _, secure := range []bool{false, true} {
		c := e.dial(secure)
		c.send(get).expect(200, "GET /a?b ")
		time.Sleep(2500 * time.Millisecond) // past the ticks at which it gives back what it holds
		c.send(get).expect(200, "GET /a?b ")
		c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").expect(200, "POST / hi")
	}
}

func TestATLSHandshakeThatStallsIsEnded(t *testing.T) {
	t.Parallel()
	e := start(t, options{settings: impatient(), handler: text("ok")})
	for _, sent := range []string{"", "\x16\x03\x01", "\x16\x03\x01\x40\x00" + strings.Repeat("x", 100)} {
		conn, err := net.Dial("tcp", e.secure)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(soon))
		_, _ = io.WriteString(conn, sent)
		if _, err := io.ReadAll(conn); errors.Is(err, errTimeout) {
			t.Errorf("%q: %v", sent, err)
		}
	}
}

func TestWhatIsNoTLSIsEnded(t *testing.T) {
	t.Parallel()
	e := start(t, options{handler: text("ok")})
	for sent, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n": "HTTP/1.1 400 Bad Request\r\n",
		strings.Repeat("garbage", 100):      "",
	} {
		conn, err := net.Dial("tcp", e.secure)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(soon))
		_, _ = io.WriteString(conn, sent)
		got, err := io.ReadAll(conn)
		if errors.Is(err, errTimeout) || !strings.HasPrefix(string(got), want) {
			t.Errorf("%.10q: %q, %v", sent, got, err)
		}
	}
}

func TestASlowBodyIsGivenUp(t *testing.T) {
	t.Parallel()
	failed := make(chan error, 1)
	settings := impatient()
	settings.StallTimeout, settings.BodyRate, settings.BodyGrace = soon, 10_000, 200*time.Millisecond
	e := start(t, options{settings: settings, handler: func(stream message.Stream) {
		_, err := content(stream)
		failed <- err
		reply(stream, 408, "too slow")
	}})
	for name, start := range map[string]string{
		"sized":   "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n",
		"chunked": "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		c := e.dial(true).send(start)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				// 1 byte of content, as one chunk in the other case: far below the rate, never at a stall
				piece := "x"
				if name == "chunked" {
					piece = "1\r\nx\r\n"
				}
				if _, err := io.WriteString(c, piece); err != nil {
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
		}()
		if err := within(t, failed, "the body's error"); !errors.Is(err, message.ErrTooSlow) {
			t.Errorf("%s: %v", name, err)
		}
		c.expect(408, "too slow")
		_ = c.Close()
		<-done
	}
}

func TestABodyAtTheRatePasses(t *testing.T) {
	t.Parallel()
	settings := impatient()
	settings.StallTimeout, settings.BodyRate, settings.BodyGrace = soon, 200, 400*time.Millisecond
	e := start(t, options{settings: settings, handler: echo})
	c := e.dial(false).send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\n")
	for range 30 { // up to 2,000 bytes a second, for much longer than the grace
		c.send(strings.Repeat("x", 100))
		time.Sleep(50 * time.Millisecond)
	}
	c.expect(200, "POST / "+strings.Repeat("x", 3000))
}

func TestOnlyWaitingForTheClientCounts(t *testing.T) {
	t.Parallel()
	settings := impatient()
	settings.StallTimeout, settings.BodyRate, settings.BodyGrace = soon, 1000, 200*time.Millisecond
	read := make(chan struct{})
	e := start(t, options{settings: settings, handler: func(stream message.Stream) {
		for range 5 {
			_, _ = stream.Body().Next()
			read <- struct{}{}
			time.Sleep(200 * time.Millisecond) // a slow upstream
		}
		reply(stream, 200, "ok")
	}})
	c := e.dial(false).send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
	for range 5 {
		c.send("x")
		within(t, read, "the handler to read")
	}
	c.expect(200, "ok")
}

// Content that slow handlers leave unread takes all the room that a connection of these versions has. So a client cannot send
// the content of its other requests.
func TestAClientIsNotSlowWhileItsConnectionHasNoRoom(t *testing.T) {
	t.Parallel()
	settings := both()
	settings.StallTimeout, settings.BodyRate, settings.BodyGrace = soon, 100_000, 200*time.Millisecond
	begun, filled, release := make(chan struct{}), make(chan struct{}), make(chan struct{})
	onCodecs(t, options{settings: settings, handler: func(stream message.Stream) {
		_, _ = stream.Body().Next() // what fails here fails below
		begun <- struct{}{}
		if stream.Head().Path == "/slow" {
			<-release
		} else {
			<-filled
		}
		if _, err := content(stream); err != nil {
			reply(stream, 408, err.Error())
			return
		}
		reply(stream, 200, "ok")
	}}, func(t *testing.T, _ *edge, client *http.Client, _ string) {
		filled, release = make(chan struct{}), make(chan struct{})
		var uploads sync.WaitGroup
		upload := func(path string, content io.Reader) {
			uploads.Go(func() {
				response, err := client.Do(newRequest("POST", path, content))
				if err != nil {
					t.Errorf("%s: %v", path, err)
					return
				}
				defer response.Body.Close()
				if got, err := io.ReadAll(response.Body); response.StatusCode != 200 {
					t.Errorf("%s: %d %q, %v", path, response.StatusCode, got, err)
				}
			})
			within(t, begun, "the handler to read")
		}
		content, more := io.Pipe()
		go func() { _, _ = more.Write([]byte("x")) }()
		upload("/", content)
		for range 2 {
			upload("/slow", bytes.NewReader(make([]byte, 1<<20)))
		}
		close(filled)
		go func() {
			_, _ = more.Write(make([]byte, 1<<20))
			_ = more.Close()
		}()
		time.Sleep(600 * time.Millisecond) // slow upstreams, for longer than the grace
		close(release)
		uploads.Wait()
	})
}

// In HTTP/3 heads need room of the connection, too.
func TestUploadsThatNobodyReadsLeaveRoomForOtherRequests(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}), make(chan struct{})
	onCodecs(t, options{settings: both(), handler: func(stream message.Stream) {
		if stream.Head().Path == "/slow" {
			begun <- struct{}{}
			<-release
		}
		echo(stream)
	}}, func(t *testing.T, _ *edge, client *http.Client, _ string) {
		release = make(chan struct{})
		var uploads sync.WaitGroup
		defer uploads.Wait()
		defer func() { close(release) }()
		for range 6 {
			uploads.Go(func() {
				if response, err := client.Do(newRequest("POST", "/slow", bytes.NewReader(make([]byte, 1<<20)))); err == nil {
					_ = response.Body.Close()
				}
			})
			within(t, begun, "the handler to begin")
		}
		for range 3 {
			if response, got := fetch(t, client, newRequest("GET", "/", nil)); response.StatusCode != 200 {
				t.Errorf("%d %q", response.StatusCode, got)
			}
		}
	})
}

func TestABodyThatStallsIsGivenUp(t *testing.T) {
	t.Parallel()
	failed := make(chan error, 1)
	e := start(t, options{settings: impatient(), handler: func(stream message.Stream) {
		got, err := content(stream)
		if got != "he" {
			t.Errorf("before the error came %q", got)
		}
		failed <- err
		if _, again := stream.Body().Next(); !errors.Is(again, message.ErrTooSlow) {
			t.Errorf("afterwards: %v", again)
		}
		reply(stream, 408, "too slow")
	}})
	c := e.dial(true).send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
	if err := within(t, failed, "the body's error"); !errors.Is(err, message.ErrTooSlow) {
		t.Error(err)
	}
	c.expect(408, "too slow")
	c.ended()
}

func TestBrokenContentSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	failed := make(chan error, 1)
	e := start(t, options{handler: func(stream message.Stream) {
		_, err := content(stream)
		failed <- err
		reply(stream, 400, "no")
	}})
	c := e.dial(false).send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")
	if err := within(t, failed, "the body's error"); !errors.Is(err, message.ErrMalformed) {
		t.Errorf("a malformed chunk: %v", err)
	}
	if response := c.expect(400, "no"); !response.Close {
		t.Error("the connection would go on")
	}
	for _, request := range []string{"Content-Length: 5\r\n\r\nhe", "Transfer-Encoding: chunked\r\n\r\n5\r\nhe"} {
		c = e.dial(true).send("POST / HTTP/1.1\r\nHost: a\r\n" + request)
		_ = c.Close()
		if err := within(t, failed, "the body's error"); !errors.Is(err, message.ErrGone) {
			t.Errorf("cut off: %v", err)
		}
	}
}

func TestAReaderThatStallsIsCutOff(t *testing.T) {
	t.Parallel()
	failed := make(chan error, 1)
	e := start(t, options{settings: impatient(), handler: func(stream message.Stream) {
		var head message.Head
		head.Status, head.Length = 200, message.Unknown
		_ = stream.Answer(&head)
		piece := make([]byte, 64<<10)
		for {
			if _, err := stream.Write(piece); err != nil {
				failed <- err
				return
			}
		}
	}})
	for _, secure := range []bool{false, true} {
		e.dial(secure).send(get)
		if err := within(t, failed, "the write to fail"); err == nil {
			t.Error("no error")
		}
	}
}

// The system would keep what somebody who stopped reading has not taken.
func TestWhatAReaderThatStallsHasNotTakenIsThrownAway(t *testing.T) {
	t.Parallel()
	failed := make(chan bool, 1)
	e := start(t, options{settings: impatient(), handler: func(stream message.Stream) {
		var head message.Head
		head.Status, head.Length = 200, 15<<10 // which leaves at the end
		_ = stream.Answer(&head)
		_, _ = stream.Write(make([]byte, head.Length))
		if stream.End(nil) != nil {
			failed <- true
		}
	}})
	for _, secure := range []bool{false, true} {
		c := e.dial(secure)
		socket := c.Conn
		if secure {
			socket = c.Conn.(*tls.Conn).NetConn()
		}
		_ = socket.(*net.TCPConn).SetReadBuffer(4 << 10)
		c.send(strings.Repeat(get, 16<<10/len(get))) // all of which the server takes in
		within(t, failed, "an answer to fail")
		if _, err := io.Copy(io.Discard, socket); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("TLS %v: the connection ended with %v", secure, err)
		}
	}
}

func TestAWaitForContentCanBeInterrupted(t *testing.T) {
	t.Parallel()
	failed := make(chan error, 1)
	settings := impatient()
	settings.StallTimeout = 10 * soon
	e := start(t, options{settings: settings, handler: func(stream message.Stream) {
		reading := make(chan error, 1)
		begun := make(chan struct{})
		go func() {
			_, _ = stream.Body().Next()
			close(begun)
			_, err := stream.Body().Next()
			reading <- err
		}()
		<-begun
		stream.Body().Interrupt()
		failed <- <-reading
		if _, err := stream.Body().Next(); !errors.Is(err, message.ErrInterrupted) {
			t.Errorf("afterwards: %v", err)
		}
		reply(stream, 200, "early")
	}})
	for _, secure := range []bool{false, true} {
		c := e.dial(secure).send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
		if err := within(t, failed, "the interrupted wait"); !errors.Is(err, message.ErrInterrupted) {
			t.Error(err)
		}
		c.expect(200, "early")
		c.ended()
	}
}

func TestAnInterruptAfterTheContentDoesNoHarm(t *testing.T) {
	t.Parallel()
	e := start(t, options{handler: func(stream message.Stream) {
		got, _ := content(stream)
		stream.Body().Interrupt()
		reply(stream, 200, got)
	}})
	c := e.dial(true)
	for range 3 {
		c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").expect(200, "hi")
	}
}
