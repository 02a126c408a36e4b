package http2_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/portico-web/portico/proxy/message"
)

func websocket(path string) []hpack.HeaderField {
	return []hpack.HeaderField{field(":method", "CONNECT"), field(":protocol", "websocket"), field(":scheme", "https"), field(":authority", "localhost"),
		field(":path", path), field("sec-websocket-version", "13")}
}

func TestATunnelCarriesBothWays(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	p := service{handler: func(stream message.Stream) {
		defer close(over)
		if head := stream.Head(); head.Method != "GET" || head.Protocol != "websocket" || head.Path != "/talk" || head.Length != 0 {
			t.Errorf("%+v", head)
		}
		head := message.Head{Status: 101, Protocol: "websocket"}
		head.AddNamed("Sec-WebSocket-Protocol", "chat")
		tunnel, err := stream.Tunnel(&head)
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := io.Copy(tunnel, tunnel); err != nil {
			t.Error(err)
		}
		if err := errors.Join(tunnel.CloseWrite(), tunnel.CloseWrite()); err != nil {
			t.Error(err)
		}
		if _, err := tunnel.Write([]byte("x")); err == nil {
			t.Error("a write after CloseWrite succeeded")
		}
		if n, err := tunnel.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%d, %v", n, err)
		}
		if err := errors.Join(tunnel.Close(), tunnel.Close()); err != nil {
			t.Error(err)
		}
	}}.dial(t)
	if p.settings[xhttp2.SettingEnableConnectProtocol] != 1 {
		t.Errorf("announced: %v", p.settings)
	}
	p.returns = true
	id := p.open(false, websocket("/talk"))
	r := p.stream(id)
	p.until("the switch", func() bool { return r.status != 0 })
	if r.status != 200 || r.field("content-length") != "" || r.field("sec-websocket-protocol") != "chat" {
		t.Errorf("%d %v", r.status, r.fields)
	}
	p.data(id, false, "hello")
	p.until("the echo", func() bool { return string(r.content) == "hello" })
	p.upload(id, []byte(strings.Repeat("much ", 50_000)), 16384, 0)
	if p.answer(id); len(r.content) != 250_005 || r.reset {
		t.Errorf("%d bytes, %v", len(r.content), r.frames)
	}
	<-over // what it still asks for wants the connection
	p.settle()
	if r.reset {
		t.Errorf("after its good end: %v", r.frames)
	}
}

// The server's half may end first.
func TestATunnelMayBeHalfClosed(t *testing.T) {
	t.Parallel()
	heard := make(chan string, 1)
	p := service{handler: func(stream message.Stream) {
		tunnel, err := stream.Tunnel(&message.Head{Status: 101})
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = tunnel.Write([]byte("bye"))
		_ = tunnel.CloseWrite()
		all, _ := io.ReadAll(tunnel)
		heard <- string(all)
	}}.dial(t)
	id := p.open(false, websocket("/"))
	if r := p.answer(id); string(r.content) != "bye" || !r.ended {
		t.Errorf("%v", r.frames)
	}
	p.data(id, false, "still ")
	p.data(id, true, "talking")
	if all := <-heard; all != "still talking" {
		t.Errorf("%q", all)
	}
	p.settle()
	if r := p.stream(id); !slices.Equal(r.frames, []string{"HEADERS", "DATA END"}) && !slices.Equal(r.frames, []string{"HEADERS", "DATA", "DATA END"}) {
		t.Errorf("%v", r.frames)
	}
}

func TestATunnelEndsWithItsConnectionsOrByClose(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(p *peer, id uint32, tunnel message.Tunnel){
		"reset":  func(p *peer, id uint32, _ message.Tunnel) { p.reset(id, xhttp2.ErrCodeCancel) },
		"broken": func(p *peer, _ uint32, _ message.Tunnel) { _ = p.conn.Close() },
		"closed": func(_ *peer, _ uint32, tunnel message.Tunnel) { _ = tunnel.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opened := make(chan message.Tunnel)
			failed := make(chan error, 2)
			p := service{handler: func(stream message.Stream) {
				if stream.Head().Protocol == "" {
					answer(stream, 200, "")
					return
				}
				tunnel, err := stream.Tunnel(&message.Head{Status: 101})
				if err != nil {
					t.Error(err)
					return
				}
				wrote := make(chan struct{})
				go func() {
					defer close(wrote)
					_, err := tunnel.Write(make([]byte, 1<<20))
					failed <- err
				}()
				opened <- tunnel
				_, err = tunnel.Read(make([]byte, 10))
				failed <- err
				<-wrote
			}}.dial(t, window(10))
			id := p.open(false, websocket("/"))
			tunnel := <-opened
			end(p, id, tunnel)
			for range 2 {
				if err := <-failed; err == nil || errors.Is(err, io.EOF) {
					t.Errorf("what waited ended with %v", err)
				}
			}
			if name != "broken" {
				p.alive()
			}
			if r := p.stream(id); name == "closed" && (!r.reset || r.code != xhttp2.ErrCodeCancel) {
				t.Errorf("%v", r.frames)
			}
		})
	}
}

func TestASwitchMayBeDeclined(t *testing.T) {
	t.Parallel()
	p := service{handler: func(stream message.Stream) {
		if stream.Head().Protocol == "" {
			if _, err := stream.Tunnel(&message.Head{Status: 101}); err == nil {
				t.Error("a request that asks for no switch became a tunnel")
			}
		}
		answer(stream, 403, "no")
	}}.dial(t)
	id := p.open(false, websocket("/"))
	r := p.stream(id)
	p.until("the reset", func() bool { return r.reset })
	if r.status != 403 || string(r.content) != "no" || r.code != 0 || !r.ended {
		t.Errorf("%d %v %v", r.status, r.frames, r.code)
	}
	if r := p.answer(p.get("/")); r.status != 403 {
		t.Errorf("%v", r.frames)
	}
}
