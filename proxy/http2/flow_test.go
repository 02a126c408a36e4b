package http2_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/portico-web/portico/proxy/http2"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/pace"
)

func window(n uint32) xhttp2.Setting {
	return xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: n}
}

// sized answers with as much content as the path says, in one write.
func sized(stream message.Stream) {
	n, _ := strconv.Atoi(stream.Head().Path[1:])
	answer(stream, 200, strings.Repeat("s", n))
}

func TestContentKeepsWithinWindowsOfAnySize(t *testing.T) {
	t.Parallel()
	for _, first := range []uint32{0, 1, 7, 1000, 65535, 1<<31 - 1} {
		t.Run(strconv.Itoa(int(first)), func(t *testing.T) {
			t.Parallel()
			p := service{handler: sized}.dial(t, window(first))
			ids := []uint32{p.get("/0"), p.get("/1"), p.get("/5000"), p.get("/100000")}
			source := rand.New(rand.NewPCG(1, uint64(first)))
			for {
				p.settle()
				open := 0
				for _, id := range ids {
					if r := p.stream(id); !r.ended {
						open++
						if r.window <= 0 {
							p.widen(id, 1+uint32(source.IntN(20_000)))
						}
					}
				}
				if p.window <= 0 {
					p.widen(0, 1+uint32(source.IntN(30_000)))
				}
				if open == 0 {
					break
				}
			}
			for i, n := range []int{0, 1, 5000, 100_000} {
				if r := p.stream(ids[i]); len(r.content) != n || r.reset {
					t.Errorf("%d bytes of %d: %v", len(r.content), n, r.frames)
				}
			}
		})
	}
}

// As many bytes come as there is window for, and then no more until there is.
func TestAllTheWindowIsUsed(t *testing.T) {
	t.Parallel()
	p := service{handler: sized}.dial(t, window(10))
	r := p.stream(p.get("/30"))
	p.until("10 bytes", func() bool { return len(r.content) == 10 })
	p.widen(1, 1)
	p.until("the 11th", func() bool { return len(r.content) == 11 })
	p.set(window(15))
	p.until("the change", func() bool { return len(r.content) == 16 })
	p.set(window(0)) // it is now -15
	p.settle()
	p.widen(1, 15)
	p.settle()
	if r.window != 0 || len(r.content) != 16 {
		t.Fatalf("%d bytes came; window %d", len(r.content), r.window)
	}
	p.widen(1, 100)
	if p.answer(1); len(r.content) != 30 || r.frames[len(r.frames)-1] != "DATA END" {
		t.Errorf("%d bytes, %v", len(r.content), r.frames)
	}
	p.set(window(1 << 20))
	if r := p.answer(p.get("/65000")); len(r.content) != 65000 {
		t.Errorf("%d bytes", len(r.content))
	}
}

// Without a window for the connection, answers without content still come.
func TestAnEmptyWindowOfTheConnectionHoldsOnlyContent(t *testing.T) {
	t.Parallel()
	p := service{handler: sized}.dial(t, window(1<<20))
	large := p.stream(p.get("/100000"))
	p.until("all the window", func() bool { return p.window == 0 })
	if r := p.answer(p.get("/0")); r.status != 200 {
		t.Errorf("%v", r.frames)
	}
	small := p.stream(p.get("/3"))
	p.until("the head", func() bool { return small.status == 200 })
	p.widen(0, 1<<20)
	p.until("both", func() bool { return small.ended && large.ended })
	if len(large.content) != 100_000 || len(small.content) != 3 {
		t.Errorf("%d and %d bytes", len(large.content), len(small.content))
	}
}

func TestWindowsBeyondTheirLimitAreErrors(t *testing.T) {
	t.Parallel()
	blocked := service{handler: func(stream message.Stream) { _, _ = content(stream.Body()) }}
	t.Run("stream", func(t *testing.T) {
		t.Parallel()
		p := blocked.dial(t)
		id := p.post("/")
		p.widen(id, 1<<31-1-65535)
		p.settle()
		p.widen(id, 1)
		if r := p.answer(id); r.code != xhttp2.ErrCodeFlowControl {
			t.Errorf("%v", r.code)
		}
		p.settle()
	})
	t.Run("connection", func(t *testing.T) {
		t.Parallel()
		p := blocked.dial(t)
		p.widen(0, 1<<31-1-65535)
		p.settle()
		p.widen(0, 1)
		if g := p.over(); g.code != xhttp2.ErrCodeFlowControl {
			t.Errorf("%v", g)
		}
	})
	t.Run("settings", func(t *testing.T) {
		t.Parallel()
		p := blocked.dial(t)
		id := p.post("/")
		p.widen(id, 1<<31-1-65535)
		p.settle()
		p.set(window(65536))
		if g := p.over(); g.code != xhttp2.ErrCodeFlowControl {
			t.Errorf("%v", g)
		}
	})
}

// upload sends content as the server's windows allow, from where it stands.
func (p *peer) upload(id uint32, content []byte, frame, padding int) {
	p.t.Helper()
	r := p.stream(id)
	for rest := content; len(rest) > 0; {
		n := min(frame, len(rest))
		cost := int64(n)
		if padding > 0 {
			cost += int64(padding) + 1
		}
		p.until("window for more", func() bool {
			return r.reset || r.sent+cost <= 65535+r.credit && p.sent+cost <= 65535+p.credit
		})
		if r.reset {
			return
		}
		if padding > 0 {
			_ = p.WriteDataPadded(id, n == len(rest), rest[:n], make([]byte, padding))
		} else {
			_ = p.WriteData(id, n == len(rest), rest[:n])
		}
		r.sent, p.sent = r.sent+cost, p.sent+cost
		rest = rest[n:]
	}
}

func TestContentOfAnySizeIsTakenIn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ size, frame, padding int }{
		"small":   {100, 1, 0},
		"padded":  {200_000, 100, 255},
		"frames":  {3_000_000, 16384, 0},
		"uneven":  {1_000_000, 9_999, 3},
		"crumbs":  {70_000, 13, 0},
		"at once": {65_535, 16384, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent := make([]byte, c.size)
			for i := range sent {
				sent[i] = byte(i*7 ^ i>>8)
			}
			received := make(chan string, 1)
			p := service{handler: func(stream message.Stream) {
				all, err := content(stream.Body())
				if err != nil {
					t.Error(err)
				}
				received <- all
				answer(stream, 200, "")
			}}.dial(t)
			id := p.post("/", field("content-length", strconv.Itoa(c.size)))
			p.upload(id, sent, c.frame, c.padding)
			p.answer(id)
			if all := <-received; !bytes.Equal([]byte(all), sent) {
				t.Errorf("%d bytes came, or others than were sent", len(all))
			}
		})
	}
}

// The window of a stream grows while its content is used at once, up to its bound.
func TestTheWindowGrowsWithUse(t *testing.T) {
	t.Parallel()
	p := service{bounds: http2.Bounds{StreamWindow: 200_000}, handler: func(stream message.Stream) {
		_, _ = content(stream.Body())
		answer(stream, 200, "")
	}}.dial(t)
	id := p.post("/")
	r := p.stream(id)
	sent := int64(0)
	var ahead int64
	for range 60 {
		p.data(id, false, strings.Repeat("x", 16384))
		sent += 16384
		p.settle()
		p.until("window", func() bool { return 65535+r.credit-sent >= 16384 })
		ahead = max(ahead, 65535+r.credit-sent)
	}
	if ahead > 200_000 || ahead < 120_000 {
		t.Errorf("it became %d", ahead)
	}
	p.data(id, true, "")
	p.answer(id)
}

// What nobody uses is held within the windows, and more is refused.
func TestContentThatNobodyUsesIsBounded(t *testing.T) {
	t.Parallel()
	t.Run("stream", func(t *testing.T) {
		t.Parallel()
		release := make(chan struct{})
		p := service{handler: func(stream message.Stream) { <-release; answer(stream, 200, "") }}.dial(t)
		defer close(release)
		id := p.post("/")
		for range 5 {
			p.data(id, false, strings.Repeat("x", 65535/5))
		}
		p.settle()
		if r := p.stream(id); r.reset || r.credit != 0 {
			t.Fatalf("just at the window: %v, and %d more", r.frames, r.credit)
		}
		p.data(id, false, "x")
		if r := p.answer(id); r.code != xhttp2.ErrCodeFlowControl {
			t.Errorf("%v", r.code)
		}
	})
	t.Run("connection", func(t *testing.T) {
		t.Parallel()
		p := service{bounds: http2.Bounds{ConnectionWindow: 100_000}, handler: func(stream message.Stream) { <-stream.Context().Done() }}.dial(t)
		p.until("the connection's window", func() bool { return p.credit == 100_000-65535 })
		for _, n := range []int{60_000, 40_000} {
			id := p.post("/")
			for ; n > 0; n -= 10_000 {
				p.data(id, false, strings.Repeat("x", 10_000))
			}
		}
		p.settle()
		if p.credit != 100_000-65535 {
			t.Fatalf("more window: %d", p.credit)
		}
		p.data(p.lastID, false, "x")
		if g := p.over(); g.code != xhttp2.ErrCodeFlowControl {
			t.Errorf("%v", g)
		}
	})
}

// The room of content that is dropped, because its stream ends, comes back to the connection.
func TestContentThatIsDroppedGivesItsRoomBack(t *testing.T) {
	t.Parallel()
	for name, drop := range map[string]func(p *peer, id uint32){
		"reset":       func(p *peer, id uint32) { p.reset(id, xhttp2.ErrCodeCancel) },
		"refused":     func(p *peer, id uint32) { p.headers(id, false, nil) },
		"unread":      func(p *peer, id uint32) { p.data(id, true, "") },
		"after reset": func(p *peer, id uint32) { p.reset(id, xhttp2.ErrCodeCancel); p.settle(); p.data(id, true, "x") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := service{bounds: http2.Bounds{ConnectionWindow: 2 * 65536}, handler: func(stream message.Stream) {
				if stream.Head().Method == "POST" {
					_, _ = stream.Body().Next()
					for !stream.Gone() && stream.Body().Buffered() < 40_000 {
						time.Sleep(time.Millisecond)
					}
				}
				answer(stream, 200, "")
			}}.dial(t)
			sent := int64(0)
			for range 20 {
				// Updates may lag behind by a quarter of the window.
				p.until("the connection's window", func() bool { return 65535+p.credit-sent >= 60_001 })
				id := p.post("/")
				for range 6 {
					p.data(id, false, strings.Repeat("x", 10_000))
				}
				sent += 60_001
				drop(p, id)
				p.settle()
				if p.streams[id].reset && p.streams[id].code == xhttp2.ErrCodeFlowControl {
					t.Fatal("there was no window")
				}
			}
			p.alive()
		})
	}
}

// A client that leaves no window for an answer loses that stream, and no other.
func TestAnAnswerThatTheClientLeavesNoWindowForIsGivenUp(t *testing.T) {
	t.Parallel()
	failed := make(chan error, 1)
	p := service{pace: pace.Pace{StallTimeout: 50 * time.Millisecond}, handler: func(stream message.Stream) {
		if stream.Head().Method == "HEAD" {
			answer(stream, 200, "")
			return
		}
		_ = stream.Answer(&message.Head{Status: 200, Length: message.Unknown})
		_, err := stream.Write(make([]byte, 100))
		failed <- err
	}}.dial(t, window(99))
	r := p.answer(p.get("/"))
	if r.code != xhttp2.ErrCodeCancel || len(r.content) != 99 {
		t.Errorf("%v, %d bytes", r.code, len(r.content))
	}
	if err := <-failed; err == nil {
		t.Error("the write succeeded")
	}
	p.alive()
}

func TestARequestWhoseContentStopsIsTooSlow(t *testing.T) {
	t.Parallel()
	failed := make(chan error, 1)
	p := service{pace: pace.Pace{StallTimeout: 50 * time.Millisecond}, handler: func(stream message.Stream) {
		if stream.Head().Method == "POST" {
			_, err := content(stream.Body())
			failed <- err
		}
		answer(stream, 408, "")
	}}.dial(t)
	id := p.post("/")
	p.data(id, false, "part")
	if r := p.answer(id); r.status != 408 {
		t.Errorf("%d", r.status)
	}
	if err := <-failed; !errors.Is(err, message.ErrTooSlow) {
		t.Error(err)
	}
	p.alive()
}
