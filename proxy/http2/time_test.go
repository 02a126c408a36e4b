package http2_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/pace"
)

// A field block may come in parts, with pauses in which an idle connection gives back what it holds.
func TestAFieldBlockSurvivesAPause(t *testing.T) {
	t.Parallel()
	p := service{handler: func(stream message.Stream) {
		answer(stream, 200, stream.Head().Path, "x-seen", string(stream.Head().Lookup("x-sent")))
	}}.dial(t)
	block := p.encode(head("GET", "/pause", field("x-sent", "whole")))
	p.lastID = 1
	_ = p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:7], EndStream: true})
	time.Sleep(250 * time.Millisecond) // it rests after 100 ms
	_ = p.WriteContinuation(1, true, block[7:])
	if r := p.answer(1); string(r.content) != "/pause" || r.field("x-seen") != "whole" {
		t.Errorf("%q, %v", r.content, r.fields)
	}
	p.alive()
}

// A connection that rested serves on, again and again.
func TestAConnectionThatRestedServesOn(t *testing.T) {
	t.Parallel()
	p := service{}.dial(t)
	for range 3 {
		p.alive()
		time.Sleep(150 * time.Millisecond)
	}
	p.settle()
	p.raw([]byte{0, 0, 8})
	time.Sleep(150 * time.Millisecond)
	p.raw([]byte{6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8})
	p.until("the answer to a PING in parts", func() bool { return slices.Contains(p.pings, [8]byte{1, 2, 3, 4, 5, 6, 7, 8}) })
	p.alive()
}

func TestWhatComesTooSlowlyEndsTheConnection(t *testing.T) {
	t.Parallel()
	slow := service{header: 100 * time.Millisecond}
	for name, say := range map[string]func(p *peer){
		"nothing":    func(*peer) {},
		"preface":    func(p *peer) { p.raw([]byte(xhttp2.ClientPreface[:10])) },
		"SETTINGS":   func(p *peer) { p.raw([]byte(xhttp2.ClientPreface)) },
		"half of it": func(p *peer) { p.raw([]byte(xhttp2.ClientPreface + "\x00\x00")) },
		"CONTINUATION": func(p *peer) {
			p.greet()
			_ = p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: p.encode(head("GET", "/")), EndStream: true})
		},
		"a frame": func(p *peer) {
			p.greet()
			p.raw([]byte{0, 0, 8, 6, 0})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := slow.connect(t)
			say(p)
			if g := p.over(); g.code != xhttp2.ErrCodeSettingsTimeout {
				t.Errorf("%v", g)
			}
		})
	}
}

// Bytes that drip do not make the time longer in which a field block has to come.
func TestADrippingFieldBlockEndsTheConnection(t *testing.T) {
	t.Parallel()
	p := service{header: 100 * time.Millisecond}.dial(t)
	_ = p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: p.encode(head("GET", "/")), EndStream: true})
	stop := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(30 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				_, _ = p.conn.Write([]byte{0, 0, 0, 9, 0, 0, 0, 0, 1})
			}
		}
	}()
	if g := p.over(); g.code != xhttp2.ErrCodeSettingsTimeout {
		t.Errorf("%v", g)
	}
	close(stop)
	<-stopped
}

func TestAnIdleConnectionIsSentAway(t *testing.T) {
	t.Parallel()
	p := service{idle: 150 * time.Millisecond}.dial(t)
	p.alive()
	if g := p.over(); g.code != 0 || g.last != 1 {
		t.Errorf("%v", g)
	}
	if err := p.served.wait(t); err != nil {
		t.Error(err)
	}
	p.served.mu.Lock()
	defer p.served.mu.Unlock()
	if p.served.busy != 1 || p.served.rests != 1 {
		t.Errorf("busy %d times, idle %d times", p.served.busy, p.served.rests)
	}
}

// A connection on which a stream is open is not idle.
func TestAConnectionThatServesIsNotIdle(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	p := service{idle: 50 * time.Millisecond, handler: func(stream message.Stream) {
		<-release
		answer(stream, 200, "")
	}}.dial(t)
	id := p.get("/")
	time.AfterFunc(200*time.Millisecond, func() { close(release) })
	if r := p.answer(id); r.status != 200 {
		t.Errorf("%v", r.frames)
	}
}

// Of a client that is silent while it is being served a sign of life is asked for.
func TestASilentClientIsAskedForASignOfLife(t *testing.T) {
	t.Parallel()
	silent := service{header: 150 * time.Millisecond, pace: pace.Pace{StallTimeout: 50 * time.Millisecond}, handler: func(stream message.Stream) {
		<-stream.Context().Done()
	}}
	t.Run("given", func(t *testing.T) {
		t.Parallel()
		p := silent.dial(t)
		p.get("/")
		for i := range 5 {
			p.until("a PING", func() bool { return len(p.questions) > i })
			_ = p.WritePing(true, p.questions[i])
		}
		p.settle()
	})
	t.Run("not given", func(t *testing.T) {
		t.Parallel()
		p := silent.dial(t)
		p.get("/")
		p.over()
		if len(p.questions) != 1 {
			t.Errorf("%d PINGs came", len(p.questions))
		}
		if err := p.served.wait(t); err == nil {
			t.Error("that is no good end")
		}
	})
}

func TestADrainGoesInTwoSteps(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	p := service{handler: func(stream message.Stream) {
		<-release
		answer(stream, 200, stream.Head().Path)
	}}.dial(t)
	before := p.get("/before")
	p.settle()
	p.served.Drain()
	p.served.Drain() // once is enough
	p.until("the first word", func() bool { return len(p.goAways) == 1 && len(p.questions) == 1 })
	if g := p.goAways[0]; g.last != 1<<31-1 || g.code != 0 {
		t.Fatalf("%v", g)
	}
	between := p.get("/between") // it crossed the first word
	_ = p.WritePing(true, p.questions[0])
	p.until("the last word", func() bool { return len(p.goAways) == 2 })
	if g := p.goAways[1]; g.last != between || g.code != 0 {
		t.Fatalf("%v", g)
	}
	// What crosses the last word is not taken in, which is told by it; the state of compression goes on.
	beyond := p.post("/beyond", field("x-new", "remembered"))
	p.data(beyond, true, "content")
	p.settle()
	close(release)
	if r := p.answer(before); string(r.content) != "/before" {
		t.Errorf("%v", r.frames)
	}
	if r := p.answer(between); string(r.content) != "/between" {
		t.Errorf("%v", r.frames)
	}
	p.over()
	if err := p.served.wait(t); err != nil {
		t.Error(err)
	}
	if len(p.goAways) != 2 || len(p.streams[beyond].frames) != 0 || p.served.begun.Load() != 2 {
		t.Errorf("%v, %v, %d requests", p.goAways, p.streams[beyond].frames, p.served.begun.Load())
	}
}

// A client that does not answer is sent away all the same, after a second.
func TestADrainOfAnIdleConnectionEndsIt(t *testing.T) {
	t.Parallel()
	p := service{}.dial(t)
	p.served.Drain()
	p.over()
	if len(p.goAways) != 2 {
		t.Errorf("%v", p.goAways)
	}
	if err := p.served.wait(t); err != nil {
		t.Error(err)
	}
}

// What waits on a connection that broke finds out.
func TestAnEndOfTheConnectionEndsWhatWaitsOnIt(t *testing.T) {
	t.Parallel()
	for path, wait := range map[string]func(message.Stream) error{
		"read": func(stream message.Stream) error { _, err := content(stream.Body()); return err },
		"write": func(stream message.Stream) error {
			_ = stream.Answer(&message.Head{Status: 200, Length: message.Unknown})
			_, err := stream.Write(make([]byte, 1<<20))
			return err
		},
		"context": func(stream message.Stream) error { <-stream.Context().Done(); return stream.Context().Err() },
	} {
		for name, end := range map[string]func(p *peer, id uint32){
			"reset":       func(p *peer, id uint32) { p.reset(id, xhttp2.ErrCodeCancel) },
			"end":         func(p *peer, id uint32) { _ = p.conn.Close() },
			"wrong frame": func(p *peer, id uint32) { p.data(0, false, "x") },
			"wrong data":  func(p *peer, id uint32) { p.headers(id, false, nil) },
		} {
			t.Run(path+" "+name, func(t *testing.T) {
				t.Parallel()
				begun := make(chan struct{})
				failed := make(chan error, 1)
				p := service{handler: func(stream message.Stream) {
					if stream.Head().Method == "HEAD" {
						answer(stream, 200, "")
						return
					}
					close(begun)
					err := wait(stream)
					if err == nil {
						err = errNothing
					}
					if !stream.Gone() {
						t.Error("the stream is not gone")
					}
					failed <- err
				}}.dial(t, window(0))
				id := p.post("/", field("content-length", "10"))
				p.data(id, false, "part")
				<-begun
				end(p, id)
				if err := <-failed; errors.Is(err, errNothing) {
					t.Error("it succeeded")
				}
				if name == "reset" {
					p.alive()
				}
			})
		}
	}
}

var errNothing = errors.New("nothing failed")

func TestAnInterruptedReadLetsTheAnswerGoOn(t *testing.T) {
	t.Parallel()
	p := service{handler: func(stream message.Stream) {
		body := stream.Body()
		if _, err := body.Next(); err != nil {
			t.Error(err)
		}
		interrupted := make(chan struct{})
		go func() {
			defer close(interrupted)
			body.Interrupt()
		}()
		for range 2 {
			if _, err := content(body); !errors.Is(err, message.ErrInterrupted) {
				t.Error(err)
			}
		}
		<-interrupted
		answer(stream, 504, "interrupted")
	}}.dial(t)
	id := p.post("/")
	p.data(id, false, "part")
	if r := p.answer(id); r.status != 504 || string(r.content) != "interrupted" {
		t.Errorf("%v", r.frames)
	}
}
