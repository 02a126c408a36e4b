package forward_test

import (
	"crypto/sha1"
	"encoding/base64"
	"io"
	"strings"
	"testing"

	"github.com/portico-web/portico/proxy/forward"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/upstream"
)

// upgrading is a request that wants to switch to WebSocket.
func upgrading(t testing.TB) *client {
	c := ask(t, "GET", "/ws").field("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	c.head.Protocol = "websocket"
	return c
}

const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Accept: x\r\n\r\n"

// echoing switches, says hello ahead, and then echoes in upper case until the end.
func echoing(p *peer) {
	if p.head() == "" {
		return
	}
	p.say(switching + "hello")
	for {
		b, err := p.ReadByte()
		if err != nil {
			p.say("bye")
			return
		}
		p.say(strings.ToUpper(string(b)))
	}
}

func (c *client) hears(n int) string {
	c.t.Helper()
	text := make([]byte, n)
	n, err := io.ReadFull(c.tunnel, text)
	if err != nil {
		c.t.Errorf("after %q: %v", text[:n], err)
	}
	return string(text[:n])
}

func TestATunnelCarriesBothDirectionsAndTheirEnds(t *testing.T) {
	t.Parallel()
	for kind, up := range map[string]*target{"plain": serve(t, echoing), "TLS": serveTLS(t, echoing, "h2", "http/1.1")} {
		c := upgrading(t)
		done := c.start(to(t, up))
		<-c.opened
		if got := c.hears(5); got != "hello" {
			t.Errorf("%s: %q", kind, got)
		}
		_, _ = io.WriteString(c.tunnel, "abc")
		if got := c.hears(3); got != "ABC" {
			t.Errorf("%s: %q", kind, got)
		}
		long := strings.Repeat("long ", 20_000)
		go func() { _, _ = io.WriteString(c.tunnel, long) }()
		if got := c.hears(len(long)); got != strings.ToUpper(long) {
			t.Errorf("%s: %d bytes", kind, len(got))
		}
		_ = c.tunnel.CloseWrite()
		if got, err := io.ReadAll(c.tunnel); string(got) != "bye" || err != nil {
			t.Errorf("%s: %q, %v", kind, got, err)
		}
		if err := within(t, done, patience); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		_ = c.tunnel.Close()
		head := up.seen("/ws")[0]
		if !strings.Contains(head, "Connection: Upgrade\r\nUpgrade: websocket\r\n") || c.answered.Status != 101 ||
			string(c.answered.Lookup("Sec-WebSocket-Accept")) != "x" {
			t.Errorf("%s: %q, %q", kind, head, describe(&c.answered))
		}
	}
}

func TestATunnelEndsWithEitherSide(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(c *client, p *peer, streams *forward.Streams){
		"the client resets": func(c *client, _ *peer, _ *forward.Streams) { _ = c.tunnel.SetLinger(0); _ = c.tunnel.Close() },
		"the target resets": func(_ *client, p *peer, _ *forward.Streams) { p.reset() },
		"the process stops": func(_ *client, _ *peer, streams *forward.Streams) { streams.End() },
	} {
		peers, closed := make(chan *peer, 1), make(chan struct{})
		up := serve(t, func(p *peer) {
			p.head()
			p.say(switching)
			peers <- p
			p.untilClosed()
			close(closed)
		})
		var streams forward.Streams
		c := upgrading(t)
		done := c.start(forwarder(t, upstream.Settings{Targets: []string{up.address}}, &streams))
		<-c.opened
		end(c, <-peers, &streams)
		if err := within(t, done, patience); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		<-closed
		_, _ = io.Copy(io.Discard, c.tunnel)
		_ = c.tunnel.Close()
	}
}

func TestAnUpgradeThatIsDeclinedIsAnAnswer(t *testing.T) {
	t.Parallel()
	up := answering(t, ok)
	f := to(t, up)
	for range 2 {
		c := upgrading(t)
		if err := c.through(f); err != nil || c.answer.String() != "ok" {
			t.Errorf("%v, %q", err, c.saw())
		}
	}
	if n := up.connections.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestASwitchToAnotherProtocolIsABadAnswer(t *testing.T) {
	t.Parallel()
	up := answering(t, strings.ReplaceAll(switching, "WebSocket", "h2c"))
	c := upgrading(t)
	if err := c.through(to(t, up)); failure(t, err) != forward.BadAnswer || len(c.saw()) > 0 {
		t.Errorf("%v, %q", err, c.saw())
	}
}

// A client of HTTP/2 sends no key, and wants no answer to one.
func TestAnExtendedConnectBecomesAnUpgradeWithAKey(t *testing.T) {
	t.Parallel()
	for _, honest := range []bool{true, false} {
		up := serve(t, func(p *peer) {
			head := p.head()
			_, after, _ := strings.Cut(head, "Sec-WebSocket-Key: ")
			key, _, _ := strings.Cut(after, "\r\n")
			if nonce, err := base64.StdEncoding.DecodeString(key); err != nil || len(nonce) != 16 || !strings.HasPrefix(head, "GET /ws HTTP/1.1\r\n") {
				t.Errorf("%q", head)
			}
			sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
			if !honest {
				sum[0]++
			}
			p.say(strings.ReplaceAll(switching, ": x", ": "+base64.StdEncoding.EncodeToString(sum[:])))
			p.untilClosed()
		})
		c := ask(t, "CONNECT", "/ws").uploading(-1)
		c.head.Protocol = "websocket"
		done := c.start(to(t, up))
		if !honest {
			if err := <-done; failure(t, err) != forward.BadAnswer {
				t.Error(err)
			}
			continue
		}
		<-c.opened
		_ = c.tunnel.Close()
		if err := within(t, done, patience); err != nil || describe(&c.answered) != "101" || c.body.wasRead() {
			t.Errorf("%v, %q", err, describe(&c.answered))
		}
	}
}

// To a client of HTTP/2 or 3 any 2xx says that the protocol was switched.
func TestAnExtendedConnectIsNotAnsweredWithSuccessWithoutASwitch(t *testing.T) {
	t.Parallel()
	for _, version := range []message.Version{message.HTTP2, message.HTTP3} {
		c := ask(t, "GET", "/ws")
		c.head.Protocol, c.head.Version = "websocket", version
		if err := c.through(to(t, answering(t, ok))); failure(t, err) != forward.BadAnswer || len(c.saw()) > 0 {
			t.Errorf("%v: %v, %q", version, err, c.saw())
		}
		c = ask(t, "GET", "/ws")
		c.head.Protocol, c.head.Version = "websocket", version
		declined := strings.Replace(ok, "200 OK", "403 Forbidden", 1)
		if err := c.through(to(t, answering(t, declined))); err != nil || c.answered.Status != 403 {
			t.Errorf("%v: %v, %q", version, err, c.saw())
		}
	}
}
