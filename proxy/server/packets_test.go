package server_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/server"
)

// succeed starts a server that takes the place of another, which ends gently.
func succeed(t *testing.T, old *edge, o options) *edge {
	t.Helper()
	from, to := socketpair(t)
	if err := old.listeners.HandOver(from); err != nil {
		t.Fatal(err)
	}
	inherited, err := server.Inherit(to)
	if err != nil {
		t.Fatal(err)
	}
	o.inherited, o.gently = inherited, make(chan struct{})
	old.listeners.Yield()
	next := start(t, o)
	old.cancel()
	return next
}

// piecewise answers with its name and what it gets, piece by piece.
func piecewise(name string) message.Handler {
	return func(stream message.Stream) {
		var head message.Head
		head.Status, head.Length = 200, message.Unknown
		if stream.Answer(&head) != nil {
			return
		}
		if _, err := stream.Write([]byte(name)); err != nil {
			return
		}
		for {
			if stream.Flush() != nil {
				return
			}
			piece, err := stream.Body().Next()
			if err != nil {
				_ = stream.End(nil)
				return
			}
			if _, err := stream.Write(piece); err != nil {
				return
			}
		}
	}
}

// conversation is a request whose content goes on while its answer comes.
type conversation struct {
	t        *testing.T
	to       *io.PipeWriter
	response *http.Response
}

func converse(t *testing.T, client *http.Client, name string) *conversation {
	t.Helper()
	content, to := io.Pipe()
	t.Cleanup(func() { _ = to.Close() })
	response, err := client.Do(newRequest("POST", "/", content))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	c := &conversation{t, to, response}
	c.expect(name)
	return c
}

func (c *conversation) expect(want string) {
	c.t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c.response.Body, got); err != nil || string(got) != want {
		c.t.Fatalf("%q, %v, want %q", got, err, want)
	}
}

func (c *conversation) says(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.to, text); err != nil {
		c.t.Fatal(err)
	}
	c.expect(text)
}

func (c *conversation) ends() {
	c.t.Helper()
	_ = c.to.Close()
	if rest, err := io.ReadAll(c.response.Body); err != nil || len(rest) > 0 {
		c.t.Errorf("at the end: %q, %v", rest, err)
	}
}

func TestConnectionsOfHTTP3GoOnInTheProcessThatHasThem(t *testing.T) {
	t.Parallel()
	edges := []*edge{start(t, options{settings: both(), handler: piecewise("0"), gently: make(chan struct{})})}
	var conversations []*conversation
	large := strings.Repeat("x", 100<<10)
	for i := range 4 {
		if i > 0 {
			edges = append(edges, succeed(t, edges[i-1], options{settings: both(), handler: piecewise(fmt.Sprint(i))}))
		}
		client := edges[i].codecs()["HTTP/3.0"]
		conversations = append(conversations, converse(t, client, fmt.Sprint(i)))
		for _, c := range conversations {
			c.says("small")
			go func() { _, _ = io.WriteString(c.to, large) }()
			c.expect(large)
		}
	}
	for i, c := range conversations {
		c.ends()
		if i < 3 {
			edges[i].stop()
		}
	}
	if _, got := fetch(t, edges[3].codecs()["HTTP/3.0"], newRequest("GET", "/", nil)); got != "3" {
		t.Errorf("in the end: %q", got)
	}
}

// On such a socket the codec also needs to know where a packet went to.
func TestPacketsOfASocketOnAnyAddressAreForwarded(t *testing.T) {
	t.Parallel()
	settings := server.Settings{HTTPS: ":0", HTTP3: true}
	old := start(t, options{settings: settings, handler: piecewise("0"), gently: make(chan struct{})})
	_, port, err := net.SplitHostPort(old.secure)
	if err != nil {
		t.Fatal(err)
	}
	old.secure = net.JoinHostPort("127.0.0.1", port)
	conversation := converse(t, old.codecs()["HTTP/3.0"], "0")
	succeed(t, old, options{settings: settings, handler: piecewise("1")})
	conversation.says("hello")
	conversation.ends()
	old.stop()
}

func TestAnIdleClientOfHTTP3GoesOverToTheNextProcess(t *testing.T) {
	t.Parallel()
	old := start(t, options{settings: both(), handler: piecewise("0"), gently: make(chan struct{})})
	client := old.codecs()["HTTP/3.0"]
	if _, got := fetch(t, client, newRequest("GET", "/", nil)); got != "0" {
		t.Fatal(got)
	}
	succeed(t, old, options{settings: both(), handler: piecewise("1")})
	deadline := time.Now().Add(soon)
	for {
		_, got := fetch(t, client, newRequest("GET", "/", nil)) // none fails on the way
		if got == "1" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it stays")
		}
	}
	old.stop()
}

func TestASuccessorOfHTTP3ThatDiesChangesNothing(t *testing.T) {
	t.Parallel()
	old := start(t, options{settings: both(), handler: piecewise("0")})
	conversation := converse(t, old.codecs()["HTTP/3.0"], "0")
	for range 3 {
		from, to := socketpair(t)
		if err := old.listeners.HandOver(from); err != nil {
			t.Fatal(err)
		}
		inherited, err := server.Inherit(to)
		if err != nil {
			t.Fatal(err)
		}
		conversation.says("before")
		old.listeners.Yield()
		inherited.Close() // as when it is killed
		old.listeners.Resume()
		conversation.says("after")
		if _, got := fetch(t, old.codecs()["HTTP/3.0"], newRequest("GET", "/", nil)); got != "0" {
			t.Error(got)
		}
	}
	conversation.ends()
}

// The codec must not be the only one that holds the port: a process that begins anew needs it.
func TestThePortIsFreeWhenTheProcessThatTookItDies(t *testing.T) {
	t.Parallel()
	old := start(t, options{settings: both(), handler: piecewise("0"), gently: make(chan struct{})})
	conversation := converse(t, old.codecs()["HTTP/3.0"], "0")
	from, to := socketpair(t)
	if err := old.listeners.HandOver(from); err != nil {
		t.Fatal(err)
	}
	inherited, err := server.Inherit(to)
	if err != nil {
		t.Fatal(err)
	}
	conversation.says("before")
	old.cancel()
	inherited.Close() // as when it is killed
	settings := server.Settings{HTTPS: old.secure, HTTP3: true}
	deadline := time.Now().Add(soon)
	for {
		listeners, err := server.Listen(settings, nil)
		if err == nil {
			listeners.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	old.stop()
}

func TestSessionsAreResumedByTheNextProcess(t *testing.T) {
	t.Parallel()
	old := start(t, options{settings: both(), handler: piecewise("0"), gently: make(chan struct{})})
	cache := tls.NewLRUClientSessionCache(8)
	connect := func(e *edge, protocol string) (resumed bool) {
		t.Helper()
		config := clientTLS(protocol)
		config.ClientSessionCache, config.ServerName = cache, "edge.test"
		if protocol == "h3" {
			three := &http3.Transport{
				TLSClientConfig: config, Dial: func(ctx context.Context, _ string, _ *tls.Config, quicConfig *quic.Config) (*quic.Conn, error) {
					return quic.DialAddr(ctx, e.secure, config, quicConfig)
				},
			}
			defer three.Close()
			response, _ := fetch(t, &http.Client{Transport: three, Timeout: 10 * soon}, newRequest("GET", "/", nil))
			return response.TLS.DidResume
		}
		connection, err := tls.Dial("tcp", e.secure, config)
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		if _, err := io.WriteString(connection, get); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(newReader(connection), nil) // tickets come before
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return connection.ConnectionState().DidResume
	}
	for _, protocol := range []string{"http/1.1", "h3"} {
		cache = tls.NewLRUClientSessionCache(8)
		if connect(old, protocol) || !connect(old, protocol) {
			t.Fatalf("%s: sessions are not resumed at all", protocol)
		}
		next := succeed(t, old, options{settings: both(), handler: piecewise("1")})
		old.stop()
		if !connect(next, protocol) {
			t.Errorf("%s: a session is not resumed", protocol)
		}
		old = next
	}
}
