package forward_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/portico-web/portico/proxy/forward"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/upstream"
)

func TestContentThatHasArrivedGoesOutWithTheHead(t *testing.T) {
	t.Parallel()
	first := make(chan string, 1)
	up := serve(t, func(p *peer) {
		piece := make([]byte, 64<<10)
		n, _ := p.Conn.Read(piece)
		first <- string(piece[:n])
		p.say(ok)
	})
	c := ask(t, "POST", "/").with("content")
	if err := c.through(to(t, up)); err != nil {
		t.Fatal(err)
	}
	if got := <-first; !strings.HasSuffix(got, "Content-Length: 7\r\n\r\ncontent") {
		t.Errorf("%q", got)
	}
}

func TestContentPassesAsItComes(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("0123456789abcdef", 100<<10/16)
	for name, test := range map[string]struct {
		length int64
		pieces []string
		want   string
	}{
		"sized":             {11, []string{"hello", " ", "world"}, "hello world"},
		"large":             {int64(3 * len(large)), []string{large, large, large}, large + large + large},
		"chunked":           {message.Unknown, []string{"hello", " world"}, "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"},
		"chunked and empty": {message.Unknown, nil, "0\r\n\r\n"},
	} {
		contents := make(chan string, 2)
		up := serve(t, func(p *peer) {
			for {
				head, content := p.request()
				if head == "" {
					return
				}
				contents <- content
				p.say(ok)
			}
		})
		f := to(t, up)
		for range 2 {
			c := ask(t, "POST", "/").uploading(test.length)
			c.body.hidden = true
			for _, piece := range test.pieces {
				c.body.send(piece)
			}
			c.body.finish()
			if err := c.through(f); err != nil || c.answer.String() != "ok" {
				t.Errorf("%s: %q, %v", name, c.answer.String(), err)
			}
			if got := <-contents; got != test.want {
				t.Errorf("%s: %d bytes of %d arrive, %.50q", name, len(got), len(test.want), got)
			}
		}
		if n := up.connections.Load(); n != 1 {
			t.Errorf("%s: %d connections", name, n)
		}
	}
}

func TestTrailersOfARequestPassExceptForThoseThatFrameOrAssert(t *testing.T) {
	t.Parallel()
	up := answering(t, ok)
	c := ask(t, "POST", "/").uploading(message.Unknown)
	c.body.send("x")
	c.body.trailer = &message.Fields{}
	for _, name := range []string{"X-Sum", "Content-Length", "Transfer-Encoding", "X-Forwarded-For", "X_Forwarded_For", "Authorization", "X-Request-ID"} {
		c.body.trailer.AddNamed(name, "1")
	}
	c.body.finish()
	done := c.start(to(t, up))
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := up.requests[1]; got != "1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n" {
		t.Errorf("%q", got)
	}
}

// The target answers before it has the content, which never comes to an end.
func TestAnEarlyAnswerIsRelayedWhileTheClientStillSends(t *testing.T) {
	t.Parallel()
	const early = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig"
	for name, serves := range map[string]func(*peer){
		"and nothing more": func(p *peer) { p.head(); p.say(early); p.untilClosed() },
		"and an end":       func(p *peer) { p.head(); p.say(early) },
		"and a reset":      func(p *peer) { p.head(); p.bytes(4); p.say(early); p.reset() },
	} {
		for _, length := range []int64{1 << 20, message.Unknown} {
			t.Run(fmt.Sprint(name, length), func(t *testing.T) {
				t.Parallel()
				c := ask(t, "POST", "/").uploading(length)
				c.body.send("part of it")
				if err := within(t, c.start(to(t, serve(t, serves))), patience); err != nil || c.answer.String() != "big" || !c.ended() {
					t.Errorf("%v, %q", err, c.saw())
				}
				if !c.body.interrupted {
					t.Error("the reading of the content goes on")
				}
			})
		}
	}
}

func TestTheConnectionOfAnEarlyAnswerIsNotUsedAgain(t *testing.T) {
	t.Parallel()
	up := serve(t, func(p *peer) {
		for p.head() != "" {
			p.say(ok)
		}
	})
	f := to(t, up)
	c := ask(t, "POST", "/").uploading(1 << 20)
	if err := c.through(f); err != nil {
		t.Fatal(err)
	}
	if err := ask(t, "GET", "/").through(f); err != nil || up.connections.Load() != 2 {
		t.Errorf("%v, %d connections", err, up.connections.Load())
	}
}

func TestContentThatBreaksOffIsTheClientsFailure(t *testing.T) {
	t.Parallel()
	for _, length := range []int64{100, message.Unknown} {
		for err, want := range map[error]forward.Kind{
			message.ErrTooLarge: forward.TooLarge, message.ErrTooSlow: forward.TooSlow,
			message.ErrMalformed: forward.Malformed, message.ErrGone: forward.ClientGone,
		} {
			got := make(chan string, 1)
			up := serve(t, func(p *peer) {
				p.head()
				p.untilClosed()
				got <- "closed"
			})
			c := ask(t, "POST", "/").uploading(length)
			c.body.send("part")
			c.body.fail(fmt.Errorf("wrapped: %w", err))
			if kind := failure(t, within(t, c.start(to(t, up)), patience)); kind != want {
				t.Errorf("%v: %d", err, kind)
			}
			<-got // the target learns that the request is not whole
			if len(c.saw()) > 0 {
				t.Errorf("%v: %q", err, c.saw())
			}
		}
	}
}

func TestContentOfAnotherLengthThanAnnouncedIsMalformed(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"abc", "abcdef"} {
		up := serve(t, func(p *peer) { p.head(); p.untilClosed() })
		c := ask(t, "POST", "/").uploading(5)
		c.body.hidden = true
		c.body.send(content)
		c.body.finish()
		if kind := failure(t, c.through(to(t, up))); kind != forward.Malformed {
			t.Errorf("%q: %d", content, kind)
		}
	}
}

func TestATargetThatHangsUpDuringAnUploadIsUnreachable(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]func(*peer){"end": func(*peer) {}, "reset": (*peer).reset} {
		up := serve(t, func(p *peer) {
			p.head()
			p.bytes(4)
			broken(p)
		})
		c := ask(t, "PUT", "/").uploading(1 << 20)
		c.body.send("part")
		if kind := failure(t, within(t, c.start(to(t, up)), patience)); kind != forward.Unreachable {
			t.Errorf("%s: %d", name, kind)
		}
	}
}

func TestTheClientIsToldToContinueByTheTarget(t *testing.T) {
	t.Parallel()
	up := serve(t, func(p *peer) {
		if head := p.head(); !strings.Contains(head, "Expect: 100-continue") {
			p.say("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
			return
		}
		p.say("HTTP/1.1 100 Continue\r\n\r\n")
		p.note(p.bytes(5))
		p.say(ok)
	})
	c := ask(t, "POST", "/").uploading(5)
	c.head.Expect = true
	done := c.start(to(t, up))
	c.await("100")
	if c.body.wasRead() && len(up.seen("hello")) > 0 {
		t.Error("content passed before")
	}
	c.body.send("hello")
	c.body.finish()
	if err := <-done; err != nil || len(up.seen("hello")) != 1 {
		t.Errorf("%v, %q", err, c.saw())
	}
}

func TestTheClientIsToldToContinueWhenTheTargetSaysNothing(t *testing.T) {
	t.Parallel()
	up := serve(t, func(p *peer) {
		p.head()
		p.note(p.bytes(5))
		p.say(ok)
	})
	c := ask(t, "POST", "/").uploading(5)
	c.head.Expect = true
	done := c.start(to(t, up))
	c.await("100")
	c.body.send("hello")
	c.body.finish()
	if err := <-done; err != nil || len(up.seen("hello")) != 1 {
		t.Errorf("%v, %q", err, c.saw())
	}
}

func TestContentThatTheTargetDoesNotWantIsNeverRead(t *testing.T) {
	t.Parallel()
	up := serve(t, func(p *peer) {
		for p.head() != "" {
			p.say("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
		}
	})
	f := to(t, up)
	c := ask(t, "POST", "/").uploading(5)
	c.head.Expect = true
	if err := c.through(f); err != nil || c.body.wasRead() || slices.Contains(c.saw(), "100") || c.answer.String() != "no" {
		t.Errorf("%v, read %v, %q", err, c.body.wasRead(), c.saw())
	}
	// Whether the client sends the content now is not known, so the connection is worth nothing.
	if err := ask(t, "GET", "/").through(f); err != nil || up.connections.Load() != 2 {
		t.Errorf("%v, %d connections", err, up.connections.Load())
	}
}

func TestContentThatHasArrivedIsNotHeldBackByAnExpectation(t *testing.T) {
	t.Parallel()
	up := answering(t, ok)
	c := ask(t, "POST", "/").with("hello")
	c.head.Expect = true
	if err := c.through(to(t, up)); err != nil || slices.Contains(c.saw(), "100") || len(up.seen("hello")) != 1 {
		t.Errorf("%v, %q", err, c.saw())
	}
}

func TestARequestThatWaitsToContinueIsRepeatedWhenTheConnectionWasOld(t *testing.T) {
	t.Parallel()
	up := serve(t, func(p *peer) {
		if p.number == 1 {
			p.head()
			p.say(ok)
			p.head()
			return
		}
		p.request()
		p.say(ok)
	})
	f := forwarder(t, upstream.Settings{Targets: []string{up.address}}, &forward.Streams{})
	if err := ask(t, "GET", "/").through(f); err != nil {
		t.Fatal(err)
	}
	c := ask(t, "PUT", "/it").uploading(5)
	c.head.Expect = true
	done := c.start(f)
	c.await("100")
	c.body.send("hello")
	c.body.finish()
	if err := <-done; err != nil || len(up.seen("/it")) != 2 || len(up.seen("hello")) != 1 {
		t.Errorf("%v, %q", err, up.seen(""))
	}
}

// The answer began; that the content breaks off afterwards cannot be answered any more.
func TestContentThatBreaksOffDuringAnAnswerAbortsIt(t *testing.T) {
	t.Parallel()
	for _, secondVersion := range []bool{false, true} {
		for _, cause := range []error{message.ErrTooLarge, message.ErrTooSlow, message.ErrMalformed, message.ErrGone} {
			const answer = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"
			up := serve(t, func(p *peer) { p.head(); p.say(answer); p.untilClosed() })
			if secondVersion {
				up = serveFrames(t, func(f *framer, frame http2.Frame) {
					if _, begins := frame.(*http2.HeadersFrame); begins {
						f.head(frame.Header().StreamID, false, ":status", "200", "content-length", "9")
						_ = f.WriteData(frame.Header().StreamID, false, []byte("part"))
					}
				})
			}
			c := ask(t, "POST", "/").uploading(100)
			c.body.send("part")
			done := c.start(to(t, up))
			c.await("+part")
			c.body.fail(cause)
			err := within(t, done, patience)
			_, isFailure := errors.AsType[*forward.Failure](err)
			if !errors.Is(err, forward.ErrAborted) || !errors.Is(err, cause) || isFailure || c.ended() {
				t.Errorf("HTTP/2 %v, %v: %v, %q", secondVersion, cause, err, c.saw())
			}
		}
	}
}
