package forward_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-web/portico/internal/logging"
	"github.com/portico-web/portico/proxy/forward"
	"github.com/portico-web/portico/proxy/upstream"
)

// target is an upstream that says what the test makes it say.
type target struct {
	address     string // as in the settings
	connections atomic.Int64
	mu          sync.Mutex
	requests    []string // heads, and content, in the order in which they were read
}

// peer is one connection that a target took.
type peer struct {
	net.Conn
	*bufio.Reader
	raw    net.Conn // below TLS
	target *target
	number int64 // counted from 1
}

func (p *peer) Read(b []byte) (int, error) { return p.Reader.Read(b) }

// serve runs a target; serves has each connection, and what it returns closes it.
func serve(t testing.TB, serves func(*peer)) *target { return serveOver(t, "", nil, serves) }

// serveTLS is serve with TLS.
func serveTLS(t testing.TB, serves func(*peer), protocols ...string) *target {
	return serveOver(t, "https://", &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: protocols}, serves)
}

func serveOver(t testing.TB, scheme string, config *tls.Config, serves func(*peer)) *target {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	up := &target{address: scheme + listener.Addr().String()}
	var wait sync.WaitGroup
	var open sync.Map
	wait.Go(func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			open.Store(connection, nil)
			number := up.connections.Add(1)
			wait.Go(func() {
				defer connection.Close()
				over := connection
				if config != nil {
					over = tls.Server(connection, config)
				}
				serves(&peer{Conn: over, Reader: bufio.NewReader(over), raw: connection, target: up, number: number})
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		open.Range(func(connection, _ any) bool {
			_ = connection.(net.Conn).Close()
			return true
		})
		wait.Wait()
	})
	return up
}

// head reads a request's head; "" when there is none.
func (p *peer) head() string {
	var head strings.Builder
	for !strings.HasSuffix(head.String(), "\r\n\r\n") {
		line, err := p.ReadString('\n')
		if err != nil {
			return ""
		}
		head.WriteString(line)
	}
	p.note(head.String())
	return head.String()
}

// request reads a request with its content, which it returns.
func (p *peer) request() (head, content string) {
	head = p.head()
	switch {
	case strings.Contains(head, "Transfer-Encoding: chunked"):
		content = p.through("0\r\n")
		content += p.through("\r\n")
	case strings.Contains(head, "Content-Length: "):
		_, after, _ := strings.Cut(head, "Content-Length: ")
		digits, _, _ := strings.Cut(after, "\r\n")
		length, _ := strconv.Atoi(digits)
		content = p.bytes(length)
	}
	if content != "" {
		p.note(content)
	}
	return head, content
}

// through reads lines up to this one.
func (p *peer) through(last string) string {
	var text string
	for {
		line, err := p.ReadString('\n')
		text += line
		if err != nil || line == last {
			return text
		}
	}
}

func (p *peer) bytes(n int) string {
	text := make([]byte, n)
	n, _ = io.ReadFull(p.Reader, text)
	return string(text[:n])
}

func (p *peer) say(text string) { _, _ = io.WriteString(p.Conn, text) }

// reset breaks the connection.
func (p *peer) reset() {
	_ = p.raw.(*net.TCPConn).SetLinger(0)
	_ = p.raw.Close()
}

// untilClosed waits until the other end closes.
func (p *peer) untilClosed() { _, _ = io.Copy(io.Discard, p.Reader) }

func (p *peer) note(text string) {
	p.target.mu.Lock()
	defer p.target.mu.Unlock()
	p.target.requests = append(p.target.requests, text)
}

// seen is what the target was sent, or what of it contains text.
func (u *target) seen(text string) []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	var found []string
	for _, request := range u.requests {
		if strings.Contains(request, text) {
			found = append(found, request)
		}
	}
	return found
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// answering is a target that reads requests and gives each this answer.
func answering(t testing.TB, answer string) *target {
	return serve(t, func(p *peer) {
		for {
			if head, _ := p.request(); head == "" {
				return
			}
			p.say(answer)
		}
	})
}

// to makes a forwarder for targets.
func to(t testing.TB, targets ...*target) *forward.Forwarder {
	t.Helper()
	var settings upstream.Settings
	for _, up := range targets {
		settings.Targets = append(settings.Targets, up.address)
	}
	return forwarder(t, settings, &forward.Streams{})
}

func forwarder(t testing.TB, settings upstream.Settings, streams *forward.Streams) *forward.Forwarder {
	t.Helper()
	pool, err := upstream.New(settings, logging.Discard())
	if err != nil {
		t.Fatal(err)
	}
	f := forward.New(pool, streams, logging.Discard())
	t.Cleanup(func() {
		f.Close()
		for _, target := range pool.Targets() {
			if active := target.Active(); active != 0 {
				t.Errorf("%d requests are counted as under way after the end", active)
			}
		}
	})
	return f
}

// patience is what a deadline of a second is tested with.
const patience = 3 * time.Second

// within waits for Forward's return.
func within(t testing.TB, done <-chan error, limit time.Duration) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(limit):
		t.Fatal("Forward does not return")
		return nil
	}
}
