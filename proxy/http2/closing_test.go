package http2_test

import (
	"testing"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/portico-web/portico/proxy/http2"
	"github.com/portico-web/portico/proxy/message"
)

// For the client, a stream is over with the last frame of the answer: it may open another at once, whatever the handler still
// has to do.
func TestAStreamWhoseAnswerIsWholeMakesRoom(t *testing.T) {
	t.Parallel()
	for name, ask := range map[string]func(*peer) uint32{
		"without content": func(p *peer) uint32 { return p.get("/") },
		"whose content ends after the answer": func(p *peer) uint32 {
			id := p.post("/")
			p.until("the answer", func() bool { return p.stream(id).status != 0 })
			p.data(id, true, "content")
			return id
		},
		"whose trailers come after the answer": func(p *peer) uint32 {
			id := p.post("/")
			p.until("the answer", func() bool { return p.stream(id).status != 0 })
			p.headers(id, true, []hpack.HeaderField{field("checksum", "1")})
			return id
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hold := make(chan struct{})
			defer close(hold)
			p := service{bounds: http2.Bounds{Streams: 1}, handler: func(stream message.Stream) {
				answer(stream, 200, "")
				if stream.Head().Path == "/" {
					<-hold
				}
			}}.dial(t)
			if r := p.answer(ask(p)); r.status != 200 || r.reset {
				t.Fatalf("%v", r.frames)
			}
			p.settle()
			next := p.stream(p.get("/next"))
			p.settle()
			if next.reset {
				t.Errorf("the next stream was refused: %v", next.code)
			}
		})
	}
}

// What was on its way when streams were answered early is ignored for as many streams as there may be.
func TestWhatWasOnItsWayForManyStreamsIsIgnored(t *testing.T) {
	t.Parallel()
	p := service{handler: func(stream message.Stream) { answer(stream, 413, "") }}.dial(t)
	const many = 100
	for range many {
		p.post("/")
	}
	for i := range many {
		p.answer(uint32(2*i + 1))
	}
	p.settle()
	for i := range many {
		id := uint32(2*i + 1)
		p.data(id, false, "content")
		p.headers(id, true, []hpack.HeaderField{field("checksum", "1")})
	}
	p.alive()
}

// A client that was told that none of its streams is looked at may send the request again elsewhere.
func TestNoStreamIsServedThatTheLastGoodbyeLeavesOut(t *testing.T) {
	t.Parallel()
	p := service{}.dial(t)
	p.served.Drain()
	p.until("the question whether the goodbye has come", func() bool { return len(p.questions) > 0 })
	p.corked = true
	_ = p.WritePing(true, p.questions[0])
	p.get("/")
	p.uncork()
	if last := p.over(); last.last != 0 {
		t.Errorf("%v", last)
	}
	_ = p.served.wait(t)
	if n := p.served.begun.Load(); n > 0 {
		t.Errorf("%d requests were served", n)
	}
}

// A server that stops may have taken a connection and not greeted its client yet.
func TestAConnectionThatLeavesBeforeItIsServedBeginsWithSettings(t *testing.T) {
	t.Parallel()
	p := service{leaving: true}.dial(t)
	if r := p.answer(p.get("/")); r.status != 200 {
		t.Errorf("what was on its way: %v", r.frames)
	}
	if last := p.over(); last.code != xhttp2.ErrCodeNo || last.last != 1 {
		t.Errorf("%+v", last)
	}
	if err := p.served.wait(t); err != nil {
		t.Error(err)
	}
}
