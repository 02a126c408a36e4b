package http2_test

import (
	"io"
	"strings"
	"testing"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/http2"
	"github.com/portico-web/portico/proxy/message"
)

// A rate of 1 a second lets 5 pass at once; as many more as this would take longer than any test does.
const beyond = 100

// Frames that bring neither a request nor content are counted: a rate of 2 lets 10 of them pass, of which SETTINGS and their
// acknowledgement are 2.
func TestFramesWithoutContentAreBounded(t *testing.T) {
	t.Parallel()
	for name, say := range map[string]func(p *peer){
		"PING":              func(p *peer) { _ = p.WritePing(true, [8]byte{}) },
		"SETTINGS":          func(p *peer) { p.set() },
		"acknowledgement":   func(p *peer) { _ = p.WriteSettingsAck() },
		"WINDOW_UPDATE":     func(p *peer) { p.widen(0, 1) },
		"stream's window":   func(p *peer) { p.widen(1, 1) },
		"PRIORITY":          func(p *peer) { _ = p.WritePriority(99, xhttp2.PriorityParam{}) },
		"PRIORITY_UPDATE":   func(p *peer) { p.frame(0x10, 0, 0, []byte("\x00\x00\x00\x63u=1")) },
		"empty DATA":        func(p *peer) { p.data(1, false, "") },
		"padding only":      func(p *peer) { _ = p.WriteDataPadded(1, false, nil, make([]byte, 200)) },
		"GOAWAY":            func(p *peer) { _ = p.WriteGoAway(0, 0, nil) },
		"something unknown": func(p *peer) { p.frame(0xfa, 0, 0, nil) },
		"late RST_STREAM":   func(p *peer) { p.reset(1, xhttp2.ErrCodeCancel) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := service{bounds: http2.Bounds{Frames: 2, Resets: 1}, handler: func(stream message.Stream) {
				if stream.Head().Method == "POST" {
					_, _ = content(stream.Body())
				}
				answer(stream, 200, "")
			}}.dial(t)
			p.post("/")
			p.corked = true
			for range 8 {
				say(p)
			}
			p.uncork()
			p.alive()
			p.corked = true
			for range beyond {
				say(p)
			}
			p.uncork()
			if g := p.over(); g.code != xhttp2.ErrCodeEnhanceYourCalm {
				t.Errorf("%v", g)
			}
		})
	}
}

// What is sent earns the WINDOW_UPDATE frames that answer it: here some 370 come, of 100 that may at once.
func TestWindowUpdatesForContentAreFree(t *testing.T) {
	t.Parallel()
	p := service{bounds: http2.Bounds{Frames: 20}, handler: sized}.dial(t)
	p.returns = true
	if r := p.answer(p.get("/3000000")); len(r.content) != 3_000_000 {
		t.Errorf("%d bytes: %v", len(r.content), p.goAways)
	}
}

func TestResetsAreBounded(t *testing.T) {
	t.Parallel()
	for name, provoke := range map[string]func(p *peer){
		"by the client":       func(p *peer) { p.reset(p.get("/wait"), xhttp2.ErrCodeCancel) },
		"malformed request":   func(p *peer) { p.get("/", field("connection", "close")) },
		"depends on itself":   func(p *peer) { _ = p.WritePriority(99, xhttp2.PriorityParam{StreamDep: 99}); p.stream(99).given = true },
		"content too long":    func(p *peer) { p.data(p.post("/wait", field("content-length", "1")), false, "22") },
		"window too large":    func(p *peer) { p.widen(p.post("/wait"), 1<<31-1) },
		"window of nothing":   func(p *peer) { _ = p.WriteWindowUpdate(p.post("/wait"), 0) },
		"behind the end":      func(p *peer) { p.data(p.get("/wait"), false, "") },
		"malformed trailers":  func(p *peer) { p.headers(p.post("/wait"), true, []hpack.HeaderField{field("X", "y")}) },
		"trailers, more come": func(p *peer) { p.headers(p.post("/wait"), false, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := service{bounds: http2.Bounds{Resets: 1}, handler: func(stream message.Stream) {
				if stream.Head().Path == "/wait" {
					<-stream.Context().Done()
				}
				answer(stream, 200, "")
			}}.dial(t)
			p.corked = true
			for range 5 {
				provoke(p)
			}
			p.uncork()
			p.alive()
			p.corked = true
			for range beyond {
				provoke(p)
			}
			p.uncork()
			if g := p.over(); g.code != xhttp2.ErrCodeEnhanceYourCalm {
				t.Errorf("%v", g)
			}
		})
	}
}

func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	p := service{bounds: http2.Bounds{Streams: 3}, handler: func(stream message.Stream) {
		<-release
		answer(stream, 200, "")
	}}.dial(t)
	if p.settings[xhttp2.SettingMaxConcurrentStreams] != 3 {
		t.Errorf("announced: %v", p.settings)
	}
	ids := []uint32{p.get("/"), p.get("/"), p.get("/")}
	p.settle()
	for _, id := range ids {
		if p.stream(id).reset {
			t.Fatal("a stream within the bound is refused")
		}
	}
	if r := p.answer(p.get("/")); r.code != xhttp2.ErrCodeRefusedStream {
		t.Errorf("%v %v", r.frames, r.code)
	}
	close(release)
	for _, id := range ids {
		p.answer(id)
	}
	p.alive()
}

// Streams that the client resets make room for others only when their handlers have returned, or are few.
func TestStreamsThatAreResetStillCount(t *testing.T) {
	t.Parallel()
	release, begun := make(chan struct{}), make(chan struct{}, 100)
	p := service{bounds: http2.Bounds{Streams: 3}, handler: func(stream message.Stream) {
		begun <- struct{}{}
		<-release
		answer(stream, 200, "")
	}}.dial(t)
	for i := range 20 {
		id := p.get("/")
		if i < 3 {
			<-begun
		}
		p.reset(id, xhttp2.ErrCodeCancel)
	}
	p.settle()
	if n := p.served.begun.Load(); n > 3 {
		t.Errorf("%d handlers run", n)
	}
	if r := p.answer(p.get("/")); r.code != xhttp2.ErrCodeRefusedStream {
		t.Errorf("%v", r.frames)
	}
	close(release)
	for {
		id := p.get("/")
		if p.answer(id).status == 200 {
			break
		}
	}
}

func TestContinuationsAreBounded(t *testing.T) {
	t.Parallel()
	p := service{bounds: http2.Bounds{Continuations: 3}}.dial(t)
	block := p.encode(head("HEAD", "/"))
	parts := func(id uint32, n int) {
		_ = p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndStream: true})
		for i := range n {
			_ = p.WriteContinuation(id, i == n-1, nil)
		}
	}
	parts(1, 3)
	p.lastID = 1
	if r := p.answer(1); r.status != 200 {
		t.Errorf("%v", r.frames)
	}
	parts(3, 4)
	if g := p.over(); g.code != xhttp2.ErrCodeEnhanceYourCalm || g.last != 1 {
		t.Errorf("%v", g)
	}
}

// A head that is too large is answered with 431, and one that is far too large ends the connection.
func TestHeadsAreBounded(t *testing.T) {
	t.Parallel()
	limits := http1.Limits{HeadBytes: 4096, TargetBytes: 1000, Fields: 100}
	used := 0
	for _, f := range head("GET", "/", field("x-fill", "")) {
		used += len(f.Name) + len(f.Value) + 32
	}
	p := service{limits: limits}.dial(t)
	if p.settings[xhttp2.SettingMaxHeaderListSize] != 4096 {
		t.Errorf("announced: %v", p.settings)
	}
	if r := p.answer(p.get("/", field("x-fill", strings.Repeat("\x7e", 4096-used)))); r.status != 200 {
		t.Errorf("at the bound: %d", r.status)
	}
	if r := p.answer(p.get("/", field("x-fill", strings.Repeat("\x7e", 4096-used+1)))); r.status != 431 {
		t.Errorf("beyond: %d", r.status)
	}
	t.Run("bytes", func(t *testing.T) {
		t.Parallel()
		p := service{limits: limits}.dial(t)
		_ = p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: make([]byte, 8192), EndStream: true})
		_ = p.WriteContinuation(1, false, []byte{0})
		if g := p.over(); g.code != xhttp2.ErrCodeEnhanceYourCalm {
			t.Errorf("%v", g)
		}
	})
	t.Run("bomb", func(t *testing.T) {
		t.Parallel()
		p := service{limits: limits}.dial(t)
		bomb := p.encode(head("GET", "/", field("x-bomb", strings.Repeat("b", 3000))))
		for len(bomb) < 4000 {
			bomb = append(bomb, 0x80|62) // the newest entry of the table
		}
		_ = p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: bomb, EndStream: true, EndHeaders: true})
		if g := p.over(); g.code != xhttp2.ErrCodeEnhanceYourCalm {
			t.Errorf("%v", g)
		}
	})
	t.Run("a small bomb", func(t *testing.T) {
		t.Parallel()
		p := service{limits: limits}.dial(t)
		bomb := p.encode(head("GET", "/", field("x-bomb", strings.Repeat("b", 3000))))
		for range 10 {
			bomb = append(bomb, 0x80|62)
		}
		p.lastID = 1
		_ = p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: bomb, EndStream: true, EndHeaders: true})
		if r := p.answer(1); r.status != 431 {
			t.Errorf("%v", r.frames)
		}
		p.alive()
	})
}

// Answers that were asked for and are not read may be so many.
func TestRepliesThatAreNotReadAreBounded(t *testing.T) {
	t.Parallel()
	var door *gate
	begun := make(chan struct{}, 1)
	p := service{
		bounds:  http2.Bounds{Replies: 10},
		wire:    func(wire io.ReadWriter) io.ReadWriter { door = newGate(wire); return door },
		handler: func(stream message.Stream) { begun <- struct{}{}; answer(stream, 200, "") },
	}.dial(t)
	ping := func(n int) {
		p.corked = true
		for range n {
			_ = p.WritePing(false, [8]byte{'p'})
		}
		p.uncork()
	}
	p.settle()
	for range 2 {
		before := len(p.pings)
		door.shut()
		ping(1)
		door.held() // that one is on its way; what comes now gathers
		ping(10)
		p.open(true, head("HEAD", "/")) // is dealt with after them
		<-begun
		door.open(false)
		p.until("all answers", func() bool { return len(p.pings) == before+11 })
	}
	door.shut()
	ping(1)
	door.held()
	ping(11)
	door.open(false)
	if g := p.over(); g.code != xhttp2.ErrCodeEnhanceYourCalm {
		t.Errorf("%v", g)
	}
}

// The table of heads is as large as both ends want, and may change.
func TestTheTableOfHeadsIsBounded(t *testing.T) {
	t.Parallel()
	p := service{bounds: http2.Bounds{HeaderTable: 8192}}.dial(t)
	if p.settings[xhttp2.SettingHeaderTableSize] != 8192 {
		t.Errorf("announced: %v", p.settings)
	}
	p.encoder.SetMaxDynamicTableSizeLimit(8192)
	for _, size := range []uint32{8192, 0, 100, 8192} {
		p.encoder.SetMaxDynamicTableSize(size)
		for range 10 {
			if r := p.answer(p.get("/", field("x-a", strings.Repeat("a", 900)), field("x-b", strings.Repeat("b", 900)))); r.status != 200 {
				t.Fatalf("%d: %v", size, r.frames)
			}
		}
	}
	p.encoder.SetMaxDynamicTableSizeLimit(8193)
	p.encoder.SetMaxDynamicTableSize(8193)
	p.get("/")
	if g := p.over(); g.code != xhttp2.ErrCodeCompression {
		t.Errorf("%v", g)
	}
}
