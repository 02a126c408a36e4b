package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// upstream is a target for the load: /echo answers with what it gets, /slow after a while, /gate when it is opened, /events
// sends a line for each request to /next, and an upgraded connection is echoed.
type upstream struct {
	address string
	gate    chan struct{} // closed, it lets requests through
}

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	gate, next := make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/gate", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-gate:
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, r.Method+string(content))
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(300 * time.Millisecond): // it is the load that is slow
			_, _ = io.WriteString(w, r.Method)
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/next", func(w http.ResponseWriter, r *http.Request) {
		select {
		case next <- struct{}{}:
		case <-time.After(soon / 8): // nobody listens to events
			w.WriteHeader(http.StatusGone)
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			_ = http.NewResponseController(w).Flush()
			select {
			case <-next:
				_, _ = io.WriteString(w, "data: x\n\n")
			case <-r.Context().Done():
				return
			}
		}
	})
	mux.HandleFunc("/socket", func(w http.ResponseWriter, _ *http.Request) {
		connection, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer connection.Close()
		_, _ = io.WriteString(connection, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(connection, buffered)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return &upstream{strings.TrimPrefix(server.URL, "http://"), gate}
}

// load is clients that ask all the time, and count what fails. None of them tries twice.
type load struct {
	t     *testing.T
	at    listens
	tls   *tls.Config
	stop  chan struct{}
	tasks sync.WaitGroup

	mu     sync.Mutex
	more   *sync.Cond
	kinds  []string // that ask now
	counts map[string]int
	failed map[string][]error
}

func newLoad(t *testing.T, at listens, data string) *load {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(data, "ca", "root.pem"))
	roots := x509.NewCertPool()
	if err != nil || !roots.AppendCertsFromPEM(pem) {
		t.Fatalf("root certificate: %v", err)
	}
	l := &load{t: t, at: at, tls: &tls.Config{RootCAs: roots, ServerName: "localhost"}, stop: make(chan struct{}), counts: map[string]int{}, failed: map[string][]error{}}
	l.more = sync.NewCond(&l.mu)
	return l
}

// start lets clients ask until stop is called.
func (l *load) start() (stop func()) {
	for kind, client := range map[string]func(kind string){
		"kept connection": l.keeping, "kept connection of a client that pauses": l.pausing, "new connection": l.dialling,
		"plain connection": l.plain, "HTTP/2": l.http2, "HTTP/2, slow": l.http2Slow, "HTTP/3": l.http3, "HTTP/3, slow": l.http3Slow,
		"slow request": l.slow, "slow upload": l.uploading,
	} {
		l.began(kind)
		for range 2 {
			l.tasks.Go(func() { client(kind) })
		}
	}
	end := sync.OnceFunc(func() {
		close(l.stop)
		l.tasks.Wait()
	})
	l.t.Cleanup(end)
	return end
}

func (l *load) began(kind string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kinds = append(l.kinds, kind)
}

func (l *load) stopped() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

// note counts a request that was answered, or failed.
func (l *load) note(kind string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failed[kind] = append(l.failed[kind], err)
	} else {
		l.counts[kind]++
	}
	l.more.Broadcast()
}

func (l *load) failures() map[string][]error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

func (l *load) answered() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts
}

// goesOn waits until every kind of client got more answers, or failed.
func (l *load) goesOn() {
	l.wait(func(before map[string]int) bool {
		for _, kind := range l.kinds {
			if l.counts[kind] < before[kind]+2 {
				return len(l.failed) > 0
			}
		}
		return true
	})
}

func (l *load) failsSomewhere() { l.wait(func(map[string]int) bool { return len(l.failed) > 0 }) }

func (l *load) wait(done func(before map[string]int) bool) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	before := map[string]int{}
	for kind, count := range l.counts {
		before[kind] = count
	}
	late := false
	timer := time.AfterFunc(soon, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		late = true
		l.more.Broadcast()
	})
	defer timer.Stop()
	for !done(before) {
		if late {
			l.t.Fatalf("the load gets no further than %v", l.counts)
		}
		l.more.Wait()
	}
}

// connection is one of HTTP/1.1, which tries nothing twice.
type connection struct {
	net.Conn
	reader *bufio.Reader
}

func (l *load) dial() (*connection, error) {
	dialer := &net.Dialer{Timeout: soon}
	dialled, err := tls.DialWithDialer(dialer, "tcp", l.at.HTTPS, l.tls)
	if err != nil {
		return nil, err
	}
	return &connection{dialled, bufio.NewReader(dialled)}, nil
}

// ask sends a request and reads the answer, whose content must be want; closes tells whether it was the connection's last.
func (c *connection) ask(want string, request ...string) (closes bool, err error) {
	_ = c.SetDeadline(time.Now().Add(soon))
	for i, part := range request {
		if i > 0 {
			time.Sleep(50 * time.Millisecond) // a slow client
		}
		if _, err := io.WriteString(c, part); err != nil {
			return true, err
		}
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return true, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err == nil && (response.StatusCode != http.StatusOK || string(content) != want) {
		err = fmt.Errorf("%s %q", response.Status, content)
	}
	return response.Close, err
}

const (
	getEcho  = "GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n"
	postEcho = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody"
	getSlow  = "GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n"
)

func (l *load) keeping(kind string) { l.kept(kind, 0) }
func (l *load) pausing(kind string) { l.kept(kind, 200*time.Millisecond) }

// kept asks over one connection for as long as the edge keeps it.
func (l *load) kept(kind string, pause time.Duration) {
	var c *connection
	defer func() {
		if c != nil {
			_ = c.Close()
		}
	}()
	for i := 0; !l.stopped(); i++ {
		var err error
		if c == nil {
			if c, err = l.dial(); err != nil {
				l.note(kind, err)
				c = nil
				continue
			}
		}
		request, want := getEcho, "GET"
		if i%2 == 0 {
			request, want = postEcho, "POSTbody"
		}
		closes, err := c.ask(want, request)
		l.note(kind, err)
		if closes || err != nil {
			_ = c.Close()
			c = nil
		}
		select {
		case <-time.After(pause + 5*time.Millisecond):
		case <-l.stop:
		}
	}
}

// each asks over a connection of its own.
func (l *load) each(kind, want string, request ...string) {
	for !l.stopped() {
		c, err := l.dial()
		if err == nil {
			_, err = c.ask(want, request...)
			_ = c.Close()
		}
		l.note(kind, err)
	}
}

func (l *load) dialling(kind string) { l.each(kind, "GET", getEcho) }
func (l *load) slow(kind string)     { l.each(kind, "GET", getSlow) }

func (l *load) uploading(kind string) {
	l.each(kind, "POSTabc", "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\na", "b", "c")
}

func (l *load) plain(kind string) {
	for !l.stopped() {
		l.note(kind, l.redirected())
		time.Sleep(5 * time.Millisecond)
	}
}

func (l *load) redirected() error {
	plain, err := net.DialTimeout("tcp", l.at.HTTP, soon)
	if err != nil {
		return err
	}
	defer plain.Close()
	_ = plain.SetDeadline(time.Now().Add(soon))
	if _, err := io.WriteString(plain, getEcho); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(plain), nil)
	if err != nil {
		return err
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusPermanentRedirect {
		return errors.New(response.Status)
	}
	return nil
}

func (l *load) http2(kind string)     { l.overHTTP2(kind, "/echo") }
func (l *load) http2Slow(kind string) { l.overHTTP2(kind, "/slow") }
func (l *load) http3(kind string)     { l.overHTTP3(kind, "/echo") }
func (l *load) http3Slow(kind string) { l.overHTTP3(kind, "/slow") }

func (l *load) overHTTP2(kind, path string) {
	transport := &http.Transport{TLSClientConfig: l.tls.Clone(), ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	l.multiplexed(kind, path, transport, 2)
}

func (l *load) overHTTP3(kind, path string) {
	transport := &http3.Transport{TLSClientConfig: l.tls.Clone()}
	defer transport.Close()
	l.multiplexed(kind, path, transport, 3)
}

// multiplexed asks over connections of HTTP/2 or 3, whose requests the client may try again when the edge did not begin with
// them.
func (l *load) multiplexed(kind, path string, transport http.RoundTripper, version int) {
	client := &http.Client{Transport: transport, Timeout: soon}
	for !l.stopped() {
		l.note(kind, post(client, "https://"+l.at.HTTPS+path, version))
		if version == 3 {
			time.Sleep(time.Millisecond) // its client takes much of the machine
		}
	}
}

func post(client *http.Client, url string, version int) error {
	request, err := http.NewRequest(http.MethodPost, url, strings.NewReader("body")) // the client has a timeout
	if err != nil {
		return err
	}
	request.Host = "localhost"
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err == nil && (response.ProtoMajor != version || response.StatusCode != http.StatusOK || !strings.HasPrefix(string(content), "POST")) {
		err = fmt.Errorf("%s %s %q", response.Proto, response.Status, content)
	}
	return err
}

// held are streams that last.
type held struct {
	stop  chan struct{}
	tasks sync.WaitGroup
}

func (h *held) close() {
	close(h.stop)
	h.tasks.Wait()
}

// hold opens a WebSocket and an event stream, and sees to it that they go on until they are closed.
func (l *load) hold() *held {
	l.t.Helper()
	h := &held{stop: make(chan struct{})}
	socket, err := l.dial()
	if err != nil {
		l.t.Fatal(err)
	}
	_, _ = io.WriteString(socket, "GET /socket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	events, err := l.dial()
	if err != nil {
		l.t.Fatal(err)
	}
	_, _ = io.WriteString(events, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
	for _, c := range []*connection{socket, events} {
		response, err := http.ReadResponse(c.reader, nil)
		if err != nil || response.StatusCode >= 300 {
			l.t.Fatalf("%v, %v", response, err)
		}
	}
	h.repeat(l, "WebSocket", socket, func() error {
		if _, err := io.WriteString(socket, "ping\n"); err != nil {
			return err
		}
		line, err := socket.reader.ReadString('\n')
		if err == nil && line != "ping\n" {
			err = errors.New(line)
		}
		return err
	})
	h.repeat(l, "event stream", events, func() error {
		next, err := l.dial()
		if err != nil {
			return err
		}
		defer next.Close()
		if _, err := next.ask("", "GET /next HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			return err
		}
		for {
			line, err := events.reader.ReadString('\n')
			if err != nil || strings.HasPrefix(line, "data: x") {
				return err
			}
		}
	})
	return h
}

// repeat does step again and again, which must work until the connection is closed.
func (h *held) repeat(l *load, kind string, c *connection, step func() error) {
	l.began(kind)
	h.tasks.Go(func() {
		defer c.Close()
		for {
			select {
			case <-h.stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			_ = c.SetDeadline(time.Now().Add(soon))
			err := step()
			l.note(kind, err)
			if err != nil {
				return
			}
		}
	})
}
