package proxy_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// goneWithin is how long the edge may take to tell an upstream that the client has left: a second, with threefold slack.
const goneWithin = 3 * time.Second

func TestClientsThatLeaveEndTheUpstreamsWork(t *testing.T) {
	t.Parallel()
	type leaving struct {
		name, version string
		method        string
		endless       bool // the request has content that never ends
		begins        bool // the answer has begun when the client leaves
		began         chan struct{}
		cut           atomic.Bool // the upstream saw that the request was not whole
		ended         chan struct{}
		app           *stage
	}
	var list []*leaving
	var targets []string
	for _, version := range []string{"1.1", "2", "3"} {
		for _, l := range []*leaving{
			{name: "while it waits for the answer", method: "GET"},
			{name: "while it waits for the answer to content", method: "POST"},
			{name: "within its content", method: "POST", endless: true},
			{name: "within the answer", method: "GET", begins: true},
			{name: "within both", method: "POST", endless: true, begins: true},
		} {
			l.version, l.began, l.ended = version, make(chan struct{}), make(chan struct{})
			l.app = act(t, func(number int, a *actor) {
				if number > 0 {
					return
				}
				defer close(l.ended)
				request := a.head()
				if request == nil {
					return
				}
				piece := make([]byte, 100)
				if _, err := io.ReadFull(request.Body, piece); err != nil && l.endless {
					return
				}
				if l.begins {
					_ = a.say(okLine + "Content-Length: 1000000\r\n\r\nhello")
				}
				close(l.began)
				if l.endless {
					_, err := io.Copy(io.Discard, request.Body)
					l.cut.Store(err != nil)
				}
				a.gone()
			})
			list, targets = append(list, l), append(targets, l.app.address)
		}
	}
	e := lanes(t, false, "", "", append(targets, goodActor(t).address)...)
	abreast(list, func(i int, l *leaving) {
		ctx, leave := context.WithTimeout(t.Context(), patience)
		defer leave()
		var body io.Reader = http.NoBody
		if l.endless {
			body = slowly(ctx, 1<<30, 100<<10)
		} else if l.method == "POST" {
			body = strings.NewReader("pay")
		}
		request, err := http.NewRequestWithContext(ctx, l.method, laneURL(i), body)
		if err != nil {
			t.Error(err)
			return
		}
		client, seen := e.clients()[l.version], make(chan error, 1)
		answered := make(chan struct{})
		go func() {
			response, err := client.Do(request)
			if err == nil {
				close(answered)
				_, err = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
			}
			seen <- err
		}()
		select {
		case <-l.began:
			if l.begins {
				<-answered
			}
		case <-l.ended:
			t.Errorf("HTTP/%s, %s: the upstream is not asked", l.version, l.name)
			return
		case <-ctx.Done():
		}
		e.servesOthers(t, len(list))
		leave()
		select {
		case <-l.ended:
		case <-time.After(goneWithin):
			t.Errorf("HTTP/%s, a client leaves %s: the upstream still works", l.version, l.name)
		}
		if err := <-seen; err == nil {
			t.Errorf("HTTP/%s, %s: the client saw a whole answer", l.version, l.name)
		}
		if l.endless && !l.cut.Load() {
			t.Errorf("HTTP/%s, a client leaves %s: its content looks whole", l.version, l.name)
		}
		if heard := l.app.heard.Load(); heard != 1 {
			t.Errorf("HTTP/%s, %s: the upstream was asked %d times", l.version, l.name, heard)
		}
	})
}

// content of a length comes at a rate of bytes a second.
type content struct {
	ctx        context.Context
	left, rate int
	sent       int
	began      time.Time
}

func slowly(ctx context.Context, length, rate int) io.Reader {
	return &content{ctx: ctx, left: length, rate: rate}
}

func (c *content) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	if c.began.IsZero() {
		c.began = time.Now()
	}
	for {
		if due := min(int(time.Since(c.began).Seconds()*float64(c.rate))-c.sent, c.left, len(p)); due > 0 {
			clear(p[:due])
			c.left -= due
			c.sent += due
			return due, nil
		}
		select {
		case <-time.After(pace):
		case <-c.ctx.Done():
			return 0, c.ctx.Err()
		}
	}
}

func TestContentMustKeepAMinimumRate(t *testing.T) {
	t.Parallel()
	const minimum = 20 << 10
	app := act(t, func(_ int, a *actor) {
		for request := a.head(); request != nil; request = a.head() {
			n, err := io.Copy(io.Discard, request.Body)
			if err != nil || a.say(okLine+sized(fmt.Sprint(n))) != nil {
				return
			}
		}
	})
	e := lanes(t, false, fmt.Sprintf("limits: {body_rate: %d, body_rate_grace: 1s}\n", minimum), "", app.address, goodActor(t).address)
	type pace struct {
		version      string
		length, rate int
		wants        string
	}
	var list []pace
	for _, version := range []string{"1.1", "2", "3"} {
		list = append(list,
			pace{version, 40 * minimum, minimum / 20, "408|broken"},                  // but no longer than this test
			pace{version, 15 * minimum, minimum * 5, fmt.Sprint("200 ", 15*minimum)}, // also when a busy machine delays it
			pace{version, 1000, 10000, "200 1000"},                                   // it is over within the grace
		)
	}
	abreast(list, func(_ int, c pace) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, "POST", laneURL(0), slowly(ctx, c.length, c.rate))
		if err != nil {
			t.Error(err)
			return
		}
		got := "broken"
		if response, err := e.clients()[c.version].Do(request); err == nil {
			body, err := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if got = fmt.Sprint(response.StatusCode); response.StatusCode == http.StatusOK && err == nil {
				got += " " + string(body)
			}
		} else if ctx.Err() != nil {
			got = "nothing"
		}
		if !oneOf(got, c.wants) {
			t.Errorf("HTTP/%s, %d bytes at %d a second where %d are asked for: the client sees %q, want %q", c.version, c.length, c.rate, minimum, got, c.wants)
		}
		e.servesOthers(t, 1)
	})
}

func TestContentBelowTheRateIsToldSo(t *testing.T) {
	t.Parallel()
	app := act(t, func(_ int, a *actor) { a.good() })
	e := lanes(t, false, "limits: {body_rate: 100000, body_rate_grace: 200ms}\n", "", app.address)
	for _, framing := range []string{"Content-Length: 1000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"} {
		connection := e.connect()
		_, _ = io.WriteString(connection, "POST /000/ HTTP/1.1\r\nHost: localhost\r\n"+framing)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for {
				piece := "x"
				if strings.HasPrefix(framing, "Transfer") {
					piece = chunk(piece)
				}
				if _, err := io.WriteString(connection, piece); err != nil {
					return
				}
				<-time.After(pace)
			}
		}()
		answer := make([]byte, 13)
		if _, err := io.ReadFull(connection, answer); err != nil || string(answer) != "HTTP/1.1 408 " {
			t.Errorf("%.20s: the client sees %q, %v", framing, answer, err)
		}
		_ = connection.Close()
		<-sent
	}
	if heard := app.heard.Load(); heard > 2 {
		t.Errorf("the upstream was asked %d times", heard)
	}
}

func TestClientsThatDoNotFinishAHeadAreCut(t *testing.T) {
	t.Parallel()
	e := lanes(t, false, "limits: {read_header_timeout: 500ms, idle_timeout: 500ms}\n", "", goodActor(t).address)
	tcp := func() net.Conn {
		connection, err := net.Dial("tcp", e.Addrs().HTTPS.String())
		if err != nil {
			t.Fatal(err)
		}
		return connection
	}
	plain := func() net.Conn {
		connection, err := net.Dial("tcp", e.Addrs().HTTP.String())
		if err != nil {
			t.Fatal(err)
		}
		return connection
	}
	secure := func() net.Conn { return e.connect() }
	const whole = "GET /000/ HTTP/1.1\r\nHost: localhost\r\n\r\n"
	type slow struct {
		name   string
		dial   func() net.Conn
		says   string
		repeat string // and then this, slowly, again and again
		wants  string // what the answer begins with, if any comes
	}
	abreast([]slow{
		{"nothing instead of TLS", tcp, "", "", ""},
		{"half of a ClientHello", tcp, "\x16\x03\x01\x02\x00\x01\x00\x01", "", ""},
		{"a ClientHello byte by byte", tcp, "\x16\x03\x01\x02\x00\x01\x00\x01", "\x00", ""},
		{"nothing", secure, "", "", ""},
		{"nothing in the clear", plain, "", "", ""},
		{"half of a line", secure, "GET /", "", "HTTP/1.1 408 "},
		{"half of a head", secure, whole[:len(whole)-2], "", "HTTP/1.1 408 "},
		{"half of a head in the clear", plain, whole[:len(whole)-2], "", "HTTP/1.1 408 "},
		{"a line byte by byte", secure, "GET /", "x", "HTTP/1.1 408 "},
		{"a head byte by byte", secure, whole[:len(whole)-2] + "X: ", "y", "HTTP/1.1 408 "},
		{"a head field by field", secure, whole[:len(whole)-2], "X: y\r\n", "HTTP/1.1 408 "},
		{"empty lines", secure, "", "\r\n", "HTTP/1.1 400 "},
		{"nothing more", secure, whole, "", "HTTP/1.1 200 "},
		{"half of a second head", secure, whole + "GET /", "", "HTTP/1.1 200 "},
		{"a second head byte by byte", secure, whole + "GET /", "x", "HTTP/1.1 200 "},
	}, func(_ int, c slow) {
		connection := c.dial()
		defer connection.Close()
		_ = connection.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(connection, c.says)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for c.repeat != "" {
				if _, err := io.WriteString(connection, c.repeat); err != nil {
					return
				}
				<-time.After(5 * pace)
			}
		}()
		began := time.Now()
		answer, err := io.ReadAll(connection)
		if took := time.Since(began); took >= patience {
			t.Errorf("%s: the connection is open after %v, %v", c.name, took, err)
		}
		if len(answer) > 0 && c.wants != "" && !strings.HasPrefix(string(answer), c.wants) {
			t.Errorf("%s: the client sees %.100q", c.name, answer)
		}
		_ = connection.Close()
		<-sent
	})
	e.servesOthers(t, 0)
}

func TestClientsThatTakeNothingAreCutAndHoldLittle(t *testing.T) {
	t.Parallel()
	// What may lie in the buffers of kernels, TLS and flow control on the whole way. The rest of what the upstream could
	// send must never have been taken from it.
	const most = 64 << 20
	for name, says := range map[string]string{"a length": "Content-Length: 10000000000\r\n\r\n", "to the end": "\r\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			type idle struct {
				version string
				taken   atomic.Int64
				ended   chan struct{}
				app     *stage
			}
			var list []*idle
			var targets []string
			piece := strings.Repeat("x", 64<<10)
			for _, version := range []string{"1.1", "2", "3"} {
				l := &idle{version: version, ended: make(chan struct{})}
				l.app = act(t, func(_ int, a *actor) {
					defer close(l.ended)
					a.request()
					_ = a.say(okLine + says)
					for a.say(piece) == nil && l.taken.Add(int64(len(piece))) <= 4*most {
					}
				})
				list, targets = append(list, l), append(targets, l.app.address)
			}
			e := lanes(t, false, "limits: {stall_timeout: 500ms}\n", "", append(targets, goodActor(t).address)...)
			abreast(list, func(i int, l *idle) {
				request, err := http.NewRequestWithContext(t.Context(), "GET", laneURL(i), nil)
				if err != nil {
					t.Error(err)
					return
				}
				response, err := e.clients()[l.version].Do(request)
				if err != nil {
					t.Errorf("HTTP/%s: %v", l.version, err)
					return
				}
				defer response.Body.Close()
				e.servesOthers(t, len(list))
				select {
				case <-l.ended:
				case <-time.After(patience):
					t.Errorf("HTTP/%s: a client that takes nothing is waited for", l.version)
				}
				if taken := l.taken.Load(); taken > most {
					t.Errorf("HTTP/%s: %d bytes were taken for a client that takes nothing", l.version, taken)
				}
				if _, err := io.Copy(io.Discard, response.Body); err == nil {
					t.Errorf("HTTP/%s: the answer looks whole", l.version)
				}
			})
		})
	}
}

func TestASlowReaderThatReadsGetsAll(t *testing.T) {
	t.Parallel()
	const length = 2 << 20
	app := act(t, func(_ int, a *actor) {
		if a.request() != nil {
			_ = a.say(okLine + sized(strings.Repeat("x", length)))
			a.gone()
		}
	})
	e := lanes(t, false, "limits: {stall_timeout: 2s}\n", "", app.address)
	connection := e.connect().(*tls.Conn)
	_ = connection.NetConn().(*net.TCPConn).SetReadBuffer(128 << 10)
	_, _ = io.WriteString(connection, "GET /000/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	total, piece := 0, make([]byte, 32<<10)
	for {
		<-ticker.C
		n, err := connection.Read(piece)
		if total += n; errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("after %d bytes: %v", total, err)
		}
	}
	if total < length {
		t.Errorf("%d bytes came", total)
	}
}
