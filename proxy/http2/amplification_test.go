package http2_test

import (
	"encoding/binary"
	"strings"
	"testing"

	xhttp2 "golang.org/x/net/http2"

	"github.com/portico-web/portico/proxy/http2"
	"github.com/portico-web/portico/proxy/message"
)

// Where nearly all of the connection's window is held by content that nobody takes, what is used of the rest is given back in
// steps: not with a frame for each byte, which would gather without bound for a client that reads none.
func TestALittleContentIsNotAnsweredByWindowUpdates(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	defer close(hold)
	p := service{
		bounds:  http2.Bounds{StreamWindow: 64 << 10, ConnectionWindow: 64 << 10, Frames: 100_000},
		handler: func(message.Stream) { <-hold },
	}.dial(t)
	p.open(true, append(head("GET", "/"), field("bad name", "x"))) // refused: what comes for it is ignored
	p.answer(1)
	held := p.post("/")
	for left := 64<<10 - 2; left > 0; {
		n := min(left, 16<<10)
		p.data(held, false, strings.Repeat("h", n)[:n])
		left -= n
	}
	p.settle()
	before := p.credit
	for sent := int64(0); sent < 100 && sent < 2+p.credit-before; sent++ {
		p.data(1, false, "x")
		p.settle()
	}
	if p.credit > before {
		t.Errorf("%d bytes are given back one by one", p.credit-before)
	}
}

// Each setting may cost as much as there are streams.
func TestManySettingsInAFrameAreAFlood(t *testing.T) {
	t.Parallel()
	p := service{}.dial(t)
	var many []byte
	for i := range 33 {
		many = binary.BigEndian.AppendUint16(many, uint16(xhttp2.SettingInitialWindowSize))
		many = binary.BigEndian.AppendUint32(many, uint32(i))
	}
	p.frame(xhttp2.FrameSettings, 0, 0, many)
	if last := p.over(); last.code != xhttp2.ErrCodeEnhanceYourCalm {
		t.Errorf("%v", last)
	}
}

// A client that takes an answer byte by byte is asked for the same moderation as one that asks for nothing.
func TestWindowsOfAByteAreAFlood(t *testing.T) {
	t.Parallel()
	p := service{bounds: http2.Bounds{Frames: 20}, handler: sized}.dial(t, window(0))
	r := p.stream(p.get("/65000"))
	for i := range 1000 {
		p.widen(1, 1)
		for len(r.content) <= i {
			if p.read() != nil {
				break
			}
		}
		if len(p.goAways) > 0 {
			break
		}
	}
	if last := p.over(); last.code != xhttp2.ErrCodeEnhanceYourCalm {
		t.Errorf("%d bytes came: %v", len(r.content), last)
	}
}

// Frames for a stream that is over bring nothing, even if they have nothing to bring.
func TestFramesForAStreamThatIsOverAreAFlood(t *testing.T) {
	t.Parallel()
	for name, send := range map[string]func(*peer){
		"DATA":    func(p *peer) { p.data(1, true, "") },
		"HEADERS": func(p *peer) { p.headers(1, true, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := service{bounds: http2.Bounds{Frames: 20}}.dial(t)
			p.open(true, append(head("GET", "/"), field("bad name", "x")))
			p.answer(1)
			p.corked = true
			for range 1000 {
				send(p)
			}
			p.uncork()
			if last := p.over(); last.code != xhttp2.ErrCodeEnhanceYourCalm {
				t.Errorf("%v", last)
			}
		})
	}
}
