package forward_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-web/portico/proxy/forward"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/upstream"
)

// Each request goes to a target that answered one before on the same connection, and then breaks the connection: what is
// repeated, and what arrives how often.
func TestARequestIsRepeatedOnlyWhenThatIsSafe(t *testing.T) {
	t.Parallel()
	streamed := func(method string) func(testing.TB) *client {
		return func(t testing.TB) *client {
			c := ask(t, method, "/side-effect").uploading(3)
			c.body.finish()
			c.body.rest = []string{"p", "ay"}
			c.body.hidden = true
			return c
		}
	}
	for name, test := range map[string]struct {
		make  func(testing.TB) *client
		times int
	}{
		"GET":                         {func(t testing.TB) *client { return ask(t, "GET", "/side-effect") }, 2},
		"HEAD":                        {func(t testing.TB) *client { return ask(t, "HEAD", "/side-effect") }, 2},
		"OPTIONS":                     {func(t testing.TB) *client { return ask(t, "OPTIONS", "/side-effect") }, 2},
		"DELETE":                      {func(t testing.TB) *client { return ask(t, "DELETE", "/side-effect") }, 2},
		"PUT sent along":              {func(t testing.TB) *client { return ask(t, "PUT", "/side-effect").with("pay") }, 2},
		"PUT streamed":                {streamed("PUT"), 1},
		"POST":                        {func(t testing.TB) *client { return ask(t, "POST", "/side-effect").with("pay") }, 1},
		"POST without content":        {func(t testing.TB) *client { return ask(t, "POST", "/side-effect") }, 1},
		"POST streamed":               {streamed("POST"), 1},
		"PATCH":                       {func(t testing.TB) *client { return ask(t, "PATCH", "/side-effect").with("pay") }, 1},
		"PURGE, which we do not know": {func(t testing.TB) *client { return ask(t, "PURGE", "/side-effect") }, 1},
		"POST with an Idempotency-Key": {func(t testing.TB) *client {
			return ask(t, "POST", "/side-effect").with("pay").field("Idempotency-Key", "1")
		}, 2},
	} {
		for fault, broken := range map[string]func(*peer){"end": func(*peer) {}, "reset": (*peer).reset} {
			t.Run(name+", "+fault, func(t *testing.T) {
				t.Parallel()
				up := serve(t, func(p *peer) {
					for {
						head, _ := p.request()
						switch {
						case head == "":
							return
						case p.number == 1 && strings.Contains(head, "/side-effect"):
							broken(p)
							return
						case strings.HasPrefix(head, "HEAD"):
							p.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
						default:
							p.say(ok)
						}
					}
				})
				f := to(t, up)
				if err := ask(t, "GET", "/warm").through(f); err != nil {
					t.Fatal(err)
				}
				c := test.make(t)
				err := c.through(f)
				if got := up.seen("/side-effect"); len(got) != test.times {
					t.Errorf("it arrives %d times", len(got))
				}
				if test.times == 1 && failure(t, err) != forward.Unreachable {
					t.Error(err)
				}
				if test.times == 2 && (err != nil || !c.ended()) {
					t.Errorf("%v, %q", err, c.saw())
				}
			})
		}
	}
}

func TestARequestIsNotRepeated(t *testing.T) {
	t.Parallel()
	for name, serves := range map[string]func(*peer){
		"over a new connection":           func(p *peer) { p.head() },
		"when a byte of an answer came":   func(p *peer) { p.head(); p.say("HTTP/1.1 2") },
		"when an interim answer came":     func(p *peer) { p.head(); p.say("HTTP/1.1 103 Early Hints\r\n\r\n") },
		"when the answer is not HTTP":     func(p *peer) { p.head(); p.say("SSH-2.0-x\r\n\r\n") },
		"when the answer is from no year": func(p *peer) { p.head(); p.say("HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n") },
	} {
		up := serve(t, func(p *peer) {
			if p.number == 1 && name != "over a new connection" {
				p.head()
				p.say(ok)
			}
			serves(p)
		})
		f := to(t, up)
		if name != "over a new connection" {
			if err := ask(t, "GET", "/warm").through(f); err != nil {
				t.Fatal(err)
			}
		}
		c := ask(t, "GET", "/it")
		if err := c.through(f); failure(t, err).Status() != 502 {
			t.Errorf("%s: %v", name, err)
		}
		if got := up.seen("/it"); len(got) != 1 {
			t.Errorf("%s: it arrives %d times", name, len(got))
		}
	}
}

// A connection on which anything happened since its last exchange is not used again, and nobody notices.
func TestAnIdleConnectionIsLookedAtBeforeItIsUsed(t *testing.T) {
	t.Parallel()
	for name, happens := range map[string]func(*peer){
		"end":                   func(p *peer) { _ = p.Conn.Close() },
		"reset":                 (*peer).reset,
		"junk":                  func(p *peer) { p.say("junk") },
		"an unsolicited answer": func(p *peer) { p.say(ok) },
	} {
		for _, way := range []struct{ secure, streamed bool }{{false, false}, {false, true}, {true, false}, {true, true}} {
			word, happened := make(chan struct{}), make(chan struct{})
			serves := func(p *peer) {
				for p.head() != "" {
					p.say(ok)
					if p.number == 1 {
						<-word
						happens(p)
						close(happened)
						p.untilClosed()
					}
				}
			}
			up := serve(t, serves)
			if way.secure {
				up = serveTLS(t, serves)
			}
			f := to(t, up)
			if err := ask(t, "GET", "/").through(f); err != nil {
				t.Fatal(err)
			}
			close(word)
			<-happened
			c := ask(t, "POST", "/it").with("me")
			c.body.hidden = way.streamed
			if err := c.through(f); err != nil || c.answer.String() != "ok" || up.connections.Load() != 2 {
				t.Errorf("%s, %+v: %q, %v, %d connections", name, way, c.answer.String(), err, up.connections.Load())
			}
		}
	}
}

func TestJunkBehindAnAnswerIsNoAnswerToTheNextRequest(t *testing.T) {
	t.Parallel()
	evil := "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	for name, first := range map[string]string{
		"sized":    ok + evil,
		"chunked":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + evil,
		"bodiless": "HTTP/1.1 304 Not Modified\r\n\r\n" + evil,
		"204":      "HTTP/1.1 204 No Content\r\n\r\nx",
	} {
		serves := func(p *peer) {
			for p.head() != "" {
				if p.number == 1 {
					p.say(first)
				} else {
					p.say(ok)
				}
			}
		}
		for kind, up := range map[string]*target{"plain": serve(t, serves), "TLS": serveTLS(t, serves)} {
			f := to(t, up)
			for i := range 3 {
				c := ask(t, "GET", "/")
				if err := c.through(f); err != nil || i > 0 && c.answer.String() != "ok" {
					t.Errorf("%s, %s: %q, %v", kind, name, c.answer.String(), err)
				}
			}
			if n := up.connections.Load(); n != 2 {
				t.Errorf("%s, %s: %d connections", kind, name, n)
			}
		}
	}
}

func TestAnAnswerThatBreaksOffIsNotPassedOffAsWhole(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"a short Content-Length":  "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
		"a chunk cut off":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nshort",
		"no last chunk":           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n",
		"no end of the trailers":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\nX-Sum: 1\r\n",
		"a malformed chunk":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\nzz\r\n",
		"an event stream cut off": "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n",
		"a trailer that frames":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\nContent-Length: 5\r\n\r\n",
	} {
		for fault, broken := range map[string]func(*peer){"end": func(*peer) {}, "reset": (*peer).reset} {
			up := serve(t, func(p *peer) {
				p.head()
				p.say(answer)
				broken(p)
			})
			c := ask(t, "GET", "/")
			err := c.through(to(t, up))
			if fault == "reset" && err != nil && !errors.Is(err, forward.ErrAborted) {
				continue // the reset overtook the head
			}
			if !errors.Is(err, forward.ErrAborted) || c.ended() {
				t.Errorf("%s, %s: %v, %q", name, fault, err, c.saw())
			}
		}
	}
}

func TestAnAnswerUntilTheEndIsWholeWhenItsEndIsOne(t *testing.T) {
	t.Parallel()
	const answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end"
	serves := func(p *peer) {
		p.head()
		p.say(answer)
		if closer, ok := p.Conn.(interface{ CloseWrite() error }); ok {
			_ = closer.CloseWrite() // with TLS: close_notify
		}
		p.untilClosed()
	}
	for kind, up := range map[string]*target{"plain": serve(t, serves), "TLS": serveTLS(t, serves)} {
		f := to(t, up)
		for range 2 {
			c := ask(t, "GET", "/")
			if err := c.through(f); err != nil || c.answer.String() != "until the end" || c.answered.Length != message.Unknown {
				t.Errorf("%s: %q, %v", kind, c.answer.String(), err)
			}
		}
		if n := up.connections.Load(); n != 2 {
			t.Errorf("%s: %d connections", kind, n)
		}
	}
	cut := serveTLS(t, func(p *peer) {
		p.head()
		p.say(answer)
		_ = p.raw.Close() // without close_notify
	})
	c := ask(t, "GET", "/")
	if err := c.through(to(t, cut)); !errors.Is(err, forward.ErrAborted) || c.ended() {
		t.Errorf("cut off: %v, %q", err, c.saw())
	}
}

func TestAnswersWithoutContentLeaveTheConnectionUsable(t *testing.T) {
	t.Parallel()
	up := serve(t, func(p *peer) {
		for {
			head := p.head()
			switch {
			case head == "":
				return
			case strings.HasPrefix(head, "HEAD"):
				p.say("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
			case strings.HasPrefix(head, "GET /204"):
				p.say("HTTP/1.1 204 No Content\r\n\r\n")
			case strings.HasPrefix(head, "GET /304"):
				p.say("HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n")
			default:
				p.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
		}
	})
	f := to(t, up)
	for _, line := range []string{"HEAD / 200 1000", "GET /204 204 0", "GET /304 304 1000", "GET / 200 0"} {
		method, rest, _ := strings.Cut(line, " ")
		path, want, _ := strings.Cut(rest, " ")
		c := ask(t, method, path)
		if err := c.through(f); err != nil {
			t.Fatal(err)
		}
		if got := c.saw(); !slices.Equal(got, []string{want, "end"}) {
			t.Errorf("%s: %q", line, got)
		}
	}
	if n := up.connections.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestATargetThatDoesNotAnswerIsNotWaitedForForEver(t *testing.T) {
	t.Parallel()
	for name, serves := range map[string]func(*peer){
		"never answers":    func(p *peer) { p.head(); p.untilClosed() },
		"a part of a head": func(p *peer) { p.head(); p.say("HTTP/1.1 200 OK\r\nX-"); p.untilClosed() },
		"only interim":     func(p *peer) { p.head(); p.say("HTTP/1.1 103 Early Hints\r\n\r\n"); p.untilClosed() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			closed := make(chan struct{})
			up := serve(t, func(p *peer) { serves(p); close(closed) })
			f := forwarder(t, upstream.Settings{Targets: []string{up.address}, ResponseTimeout: 50 * time.Millisecond}, &forward.Streams{})
			if err := within(t, ask(t, "GET", "/").start(f), patience); failure(t, err) != forward.TimedOut {
				t.Error(err)
			}
			<-closed
		})
	}
}

func TestContentOfAKnownLengthThatStallsIsNotWaitedForForEver(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{})
	up := serve(t, func(p *peer) {
		p.head()
		p.say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes.")
		p.untilClosed()
		close(closed)
	})
	f := forwarder(t, upstream.Settings{Targets: []string{up.address}, ResponseTimeout: 50 * time.Millisecond}, &forward.Streams{})
	c := ask(t, "GET", "/")
	if err := within(t, c.start(f), patience); !errors.Is(err, forward.ErrAborted) || errors.Is(err, message.ErrGone) || c.ended() {
		t.Errorf("%v, %q", err, c.saw())
	}
	<-closed
}

func TestASlowAnswerIsWaitedFor(t *testing.T) {
	t.Parallel()
	up := serve(t, func(p *peer) {
		p.head()
		for _, b := range []string{"HTTP/1.1 2", "00 OK\r\nContent-Le", "ngth: 3\r\n", "\r\na", "b", "c"} {
			p.say(b)
			<-time.After(tickAndMore) // slowness cannot be waited for by a signal
		}
	})
	c := ask(t, "GET", "/")
	if err := c.through(to(t, up)); err != nil || c.answer.String() != "abc" {
		t.Errorf("%q, %v", c.answer.String(), err)
	}
}

// tickAndMore is longer than Forward waits before it looks after the client.
const tickAndMore = 600 * time.Millisecond

func TestAClientThatLeavesEndsTheTargetsWork(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"before an answer":      "",
		"in an answer":          "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart",
		"in an endless answer":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
		"in a stream of events": "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\npart",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began, ended := make(chan struct{}), make(chan struct{})
			up := serve(t, func(p *peer) {
				p.head()
				p.say(answer)
				close(began)
				p.untilClosed()
				close(ended)
			})
			c := ask(t, "GET", "/")
			done := c.start(to(t, up))
			<-began
			if answer != "" {
				c.await("+part")
			}
			c.left.Store(true)
			left := time.Now()
			<-ended
			err := within(t, done, patience)
			if took := time.Since(left); took > patience {
				t.Errorf("it took %v", took)
			}
			if answer == "" && failure(t, err) != forward.ClientGone ||
				answer != "" && (!errors.Is(err, forward.ErrAborted) || !errors.Is(err, message.ErrGone)) || c.ended() {
				t.Errorf("%v, %q", err, c.saw())
			}
		})
	}
}

func TestAClientThatTakesNothingMoreEndsTheTargetsWork(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	up := serve(t, func(p *peer) {
		p.head()
		p.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart")
		p.untilClosed()
		close(ended)
	})
	c := ask(t, "GET", "/")
	c.refuse.Store(true)
	if err := c.through(to(t, up)); !errors.Is(err, forward.ErrAborted) || !errors.Is(err, message.ErrGone) {
		t.Error(err)
	}
	<-ended
}

func TestAClientThatLeavesIsNotDialledFor(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{})
	up := serve(t, func(p *peer) {
		p.untilClosed() // and no word of TLS
		close(closed)
	})
	up.address = "https://" + up.address
	c := ask(t, "GET", "/")
	done := c.start(to(t, up))
	c.left.Store(true)
	if err := within(t, done, patience); failure(t, err) != forward.ClientGone {
		t.Error(err)
	}
	<-closed
}

func TestATargetThatSpeaksNoTLSIsUnreachable(t *testing.T) {
	t.Parallel()
	for name, serves := range map[string]func(*peer){
		"plain HTTP":    func(p *peer) { p.say(ok); p.untilClosed() },
		"nothing":       func(*peer) {},
		"another's key": nil,
	} {
		up := serveTLS(t, func(p *peer) { _ = p.Conn.(*tls.Conn).Handshake() })
		if serves != nil {
			up = serve(t, serves)
			up.address = "https://" + up.address
		} else {
			up.address = strings.Replace(up.address, "127.0.0.1", "localhost", 1) // which the certificate is not for
		}
		c := ask(t, "POST", "/").with("content")
		if err := c.through(to(t, up)); failure(t, err) != forward.Unreachable || len(c.saw()) > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAClientThatLeavesEndsAnUploadThatTheTargetDoesNotTake(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	up := serve(t, func(p *peer) {
		p.head()
		<-release
	})
	c := ask(t, "POST", "/").uploading(message.Unknown)
	piece := strings.Repeat("x", 1<<20)
	for range 64 {
		c.body.send(piece)
	}
	done := c.start(to(t, up))
	c.left.Store(true)
	err := within(t, done, patience)
	close(release)
	if failure(t, err) != forward.ClientGone {
		t.Error(err)
	}
}

// Requests of many clients over connections that break in all ways: each client gets its own answer or none.
func TestAnswersAreNeverMixedUp(t *testing.T) {
	t.Parallel()
	serves := func(p *peer) {
		for i := 0; ; i++ {
			head, _ := p.request()
			if head == "" {
				return
			}
			path := strings.Fields(head)[1]
			switch (p.number*7 + int64(i)) % 11 {
			case 3:
				return
			case 5:
				p.reset()
				return
			case 7:
				p.say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(path), path) + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
			case 9:
				p.say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(path)+1, path))
				return
			case 10:
				p.say(fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(path), path))
			default:
				p.say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(path), path))
			}
		}
	}
	for kind, up := range map[string]*target{"plain": serve(t, serves), "TLS": serveTLS(t, serves)} {
		f := to(t, up)
		var whole atomic.Int64
		var clients sync.WaitGroup
		for i := range 16 {
			clients.Go(func() {
				for j := range 50 {
					path := fmt.Sprintf("/%d/%d", i, j)
					c := ask(t, "GET", path)
					if j%3 == 0 {
						c = ask(t, "POST", path).with("content")
					}
					err := c.through(f)
					if err == nil && c.answer.String() != path {
						t.Errorf("%s: %s got %q", kind, path, c.answer.String())
					}
					if err == nil {
						whole.Add(1)
					}
				}
			})
		}
		clients.Wait()
		if whole.Load() < 400 {
			t.Errorf("%s: only %d of 800 were answered", kind, whole.Load())
		}
	}
}
