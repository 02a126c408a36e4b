package server_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// soon bounds what happens at once on a machine that is not overloaded.
const soon = 20 * time.Second

// edge is a server under test.
type edge struct {
	t         testing.TB
	listeners *server.Listeners
	plain     string
	secure    string
	http3     bool
	stop      func() // ends it, and waits
	cancel    context.CancelFunc
	stopped   chan error
	log       *logs
}

type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// options change how the server under test is started.
type options struct {
	settings  server.Settings
	handler   message.Handler
	refused   func(message.Stream, *http1.Error)
	drain     time.Duration
	stopping  func()
	gently    chan struct{}
	inherited *server.Inherited
	tls       *tls.Config
}

func start(t testing.TB, o options) *edge {
	t.Helper()
	if o.settings.HTTP == "" && o.settings.HTTPS == "" {
		o.settings.HTTP, o.settings.HTTPS = "127.0.0.1:0", "127.0.0.1:0"
	}
	if o.drain == 0 {
		o.drain = soon
	}
	if o.tls == nil {
		o.tls = serverTLS()
	}
	if o.stopping == nil {
		o.stopping = func() {}
	}
	listeners, err := server.Listen(o.settings, o.inherited)
	if err != nil {
		t.Fatal(err)
	}
	e := &edge{t: t, listeners: listeners, http3: o.settings.HTTP3, stopped: make(chan error, 1), log: &logs{}}
	if addr := listeners.HTTP(); addr != nil {
		e.plain = addr.String()
	}
	if addr := listeners.HTTPS(); addr != nil {
		e.secure = addr.String()
	}
	ctx, cancel := context.WithCancel(context.Background())
	e.cancel = cancel
	handlers := server.Handlers{Plain: o.handler, Secure: o.handler, Refused: o.refused, TLS: o.tls}
	log := slog.New(slog.NewTextHandler(e.log, nil))
	go func() {
		e.stopped <- listeners.Serve(ctx, handlers, func() server.Ending {
			o.stopping()
			return server.Ending{Gently: o.gently, Drain: func() time.Duration { return o.drain }}
		}, log)
	}()
	e.stop = sync.OnceFunc(func() {
		cancel()
		if err := within(t, e.stopped, "Serve to return"); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(e.stop)
	return e
}

// within takes what comes from a channel, which must be soon.
func within[T any](t testing.TB, from <-chan T, what string) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(3 * soon):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"edge.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

func serverTLS() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{certificate()}} }

func clientTLS(protocols ...string) *tls.Config {
	pool := x509.NewCertPool()
	leaf, err := x509.ParseCertificate(certificate().Certificate[0])
	if err != nil {
		panic(err)
	}
	pool.AddCert(leaf)
	return &tls.Config{RootCAs: pool, ServerName: "edge.test", NextProtos: protocols}
}

// client is one HTTP/1.1 connection to the server under test.
type client struct {
	net.Conn
	t      testing.TB
	reader *bufio.Reader
}

// dial connects; over TLS without ALPN when secure.
func (e *edge) dial(secure bool) *client {
	e.t.Helper()
	var conn net.Conn
	var err error
	if secure {
		conn, err = tls.Dial("tcp", e.secure, clientTLS())
	} else {
		conn, err = net.Dial("tcp", e.plain)
	}
	if err != nil {
		e.t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(3 * soon))
	e.t.Cleanup(func() { _ = conn.Close() })
	return &client{Conn: conn, t: e.t, reader: bufio.NewReader(conn)}
}

func (c *client) send(text string) *client {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatalf("sending: %v", err)
	}
	return c
}

// answer reads the next answer with its content.
func (c *client) answer(method string) (*http.Response, string) {
	c.t.Helper()
	response, err := http.ReadResponse(c.reader, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("reading an answer: %v", err)
	}
	content, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatalf("reading an answer's content: %v", err)
	}
	return response, string(content)
}

// expect reads an answer of this status and content.
func (c *client) expect(status int, content string) *http.Response {
	c.t.Helper()
	response, got := c.answer("GET")
	if response.StatusCode != status || got != content {
		c.t.Fatalf("the answer is %d %q, want %d %q", response.StatusCode, got, status, content)
	}
	return response
}

// ended fails unless the server ends the connection without another byte.
func (c *client) ended() {
	c.t.Helper()
	rest, err := io.ReadAll(c.reader)
	if len(rest) > 0 || err != nil {
		c.t.Fatalf("instead of the connection's end came %q, %v", rest, err)
	}
}

// evicted is ended for a connection of which the server may have read nothing: then it is reset.
func (c *client) evicted() {
	c.t.Helper()
	rest, err := io.ReadAll(c.reader)
	if len(rest) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
		c.t.Fatalf("instead of the connection's end came %q, %v", rest, err)
	}
}

// The tiny handlers.

// reply answers with text.
func reply(stream message.Stream, status int, text string) {
	var head message.Head
	head.Status, head.Length = status, int64(len(text))
	if stream.Answer(&head) != nil {
		return
	}
	if _, err := io.WriteString(writer{stream}, text); err != nil {
		return
	}
	_ = stream.End(nil)
}

type writer struct{ message.Responder }

// text answers every request with the same text.
func text(text string) message.Handler {
	return func(stream message.Stream) { reply(stream, 200, text) }
}

// content reads a request's content to its end.
func content(stream message.Stream) (string, error) {
	var all []byte
	for {
		piece, err := stream.Body().Next()
		all = append(all, piece...)
		if errors.Is(err, io.EOF) {
			return string(all), nil
		}
		if err != nil {
			return string(all), err
		}
	}
}

// echo answers with the method, the target and the content of the request.
func echo(stream message.Stream) {
	got, err := content(stream)
	if err != nil {
		reply(stream, 400, err.Error())
		return
	}
	reply(stream, 200, stream.Head().Method+" "+stream.Head().Target()+" "+got)
}

func newReader(conn net.Conn) *bufio.Reader { return bufio.NewReader(conn) }
