package forward_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-web/portico/proxy/forward"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/upstream"
)

func TestInterimAnswersPass(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		interim string
		version message.Version
		want    []string
	}{
		"103":                     {"103 Early Hints\r\nLink: </a.css>\r\nX-Request-ID: 7\r\nAlt-Svc: x\r\n", message.HTTP11, []string{"103 Link=</a.css>", "200 2", "+ok", "end"}},
		"102":                     {"102 Processing\r\n", message.HTTP2, []string{"102", "200 2", "+ok", "end"}},
		"100 that nobody expects": {"100 Continue\r\n", message.HTTP11, []string{"200 2", "+ok", "end"}},
		"103 for HTTP/1.0":        {"103 Early Hints\r\n", message.HTTP10, []string{"200 2", "+ok", "end"}},
	} {
		up := answering(t, "HTTP/1.1 "+test.interim+"\r\n"+ok)
		c := ask(t, "GET", "/")
		c.head.Version = test.version
		if err := c.through(to(t, up)); err != nil || !slices.Equal(c.saw(), test.want) {
			t.Errorf("%s: %v, %q", name, err, c.saw())
		}
	}
}

func TestInterimAnswersWithoutEndAreABadAnswer(t *testing.T) {
	t.Parallel()
	up := answering(t, strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 33)+ok)
	c := ask(t, "GET", "/")
	if err := c.through(to(t, up)); failure(t, err) != forward.BadAnswer || len(c.saw()) != 32 {
		t.Errorf("%v, %d", err, len(c.saw()))
	}
}

func TestWhatIsNoAnswerIsABadOne(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"101 that nobody asked for":    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"not HTTP":                     "220 mail.example.test ESMTP\r\n\r\n",
		"two lengths":                  "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"a length and chunks":          "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"an unknown coding":            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx",
		"a bare line feed":             "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
		"a head beyond all bounds":     "HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("a", 300<<10) + "\r\n\r\n",
		"more fields than anyone uses": "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 2000) + "\r\n",
	} {
		closed := make(chan struct{})
		up := serve(t, func(p *peer) {
			p.head()
			p.say(answer)
			p.untilClosed()
			close(closed)
		})
		c := ask(t, "GET", "/")
		if err := c.through(to(t, up)); failure(t, err) != forward.BadAnswer || len(c.saw()) > 0 {
			t.Errorf("%s: %v, %q", name, err, c.saw())
		}
		<-closed
	}
}

func TestTheTargetsIdAndAlternativesAreNotPassedOn(t *testing.T) {
	t.Parallel()
	up := answering(t, "HTTP/1.1 200 OK\r\nX-Request-Id: 7\r\nAlt-Svc: h3=\":1\"\r\nConnection: X-Hop\r\nX-Hop: 1\r\nX-Own: 2\r\nContent-Length: 0\r\n\r\n")
	c := ask(t, "GET", "/")
	if err := c.through(to(t, up)); err != nil {
		t.Fatal(err)
	}
	if got := describe(&c.answered); got != "200 X-Own=2" {
		t.Error(got)
	}
}

func TestTrailersOfAnAnswerPassExceptForThoseOfTheEdge(t *testing.T) {
	t.Parallel()
	up := answering(t, "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\nX-Request-Id: 9\r\nX-Late: 8\r\n\r\n")
	f := to(t, up)
	for range 2 {
		c := ask(t, "GET", "/")
		if err := c.through(f); err != nil || c.answer.String() != "ok" || c.trailer != "X-Sum=7;X-Late=8;" {
			t.Errorf("%v, %q, %q", err, c.answer.String(), c.trailer)
		}
		// All of it was there at once: nothing had to be flushed.
		if got := c.saw(); !slices.Equal(got, []string{"200 -1", "+ok", "end"}) {
			t.Errorf("%q", got)
		}
	}
	if n := up.connections.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// The target sends a part, and the next only after the client has the one before.
func TestStreamsAreFlushedPartByPart(t *testing.T) {
	t.Parallel()
	for name, head := range map[string]string{
		"chunked":                  "Transfer-Encoding: chunked\r\n",
		"until the end":            "Connection: close\r\n",
		"events":                   "Content-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n",
		"events of a known length": "Content-Type: Text/Event-Stream\r\nContent-Length: 6\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			next := make(chan struct{})
			up := serve(t, func(p *peer) {
				p.head()
				p.say("HTTP/1.1 200 OK\r\n" + head + "\r\n")
				for i := range 3 {
					part := fmt.Sprint("p", i)
					if strings.Contains(head, "chunked") {
						part = "2\r\n" + part + "\r\n"
					}
					<-next
					p.say(part)
				}
				<-next
				if strings.Contains(head, "chunked") {
					p.say("0\r\n\r\n")
				}
			})
			c := ask(t, "GET", "/")
			done := c.start(to(t, up))
			for i := range 3 {
				c.awaitFlushed(i) // the head, and what came before
				next <- struct{}{}
				c.await(fmt.Sprint("+p", i))
			}
			close(next)
			if err := <-done; err != nil || c.answer.String() != "p0p1p2" || !c.ended() {
				t.Errorf("%v, %q", err, c.saw())
			}
		})
	}
}

func TestWhatIsHeldBackOfAKnownLengthIsFlushedInTheEnd(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	up := serve(t, func(p *peer) {
		p.head()
		p.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
		<-next
		p.say("cd")
	})
	c := ask(t, "GET", "/")
	done := c.start(to(t, up))
	c.awaitFlushed(1)
	close(next)
	if err := <-done; err != nil || c.answer.String() != "abcd" {
		t.Errorf("%v, %q", err, c.saw())
	}
}

// Pieces that follow one another sooner than content is held back do not put its leaving off for ever.
func TestContentOfAKnownLengthThatTricklesIsNotHeldBackForEver(t *testing.T) {
	t.Parallel()
	const length = 2000
	flushed := make(chan struct{})
	up := serve(t, func(p *peer) {
		p.head()
		p.say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", length))
		for left := length; left > 0; left-- {
			select {
			case <-flushed:
				p.say(strings.Repeat("x", left))
				return
			case <-time.After(5 * time.Millisecond):
				p.say("x")
			}
		}
	})
	c := ask(t, "GET", "/")
	done := c.start(to(t, up))
	c.awaitFlushed(1)
	if c.answer.Len() == length {
		t.Error("it was held back to its end")
	}
	close(flushed)
	if err := <-done; err != nil || c.answer.Len() != length {
		t.Errorf("%v, %d bytes", err, c.answer.Len())
	}
}

func TestEventStreamsEndRegularlyWithTheStreams(t *testing.T) {
	t.Parallel()
	for kind, up := range streaming(t) {
		var streams forward.Streams
		f := forwarder(t, upstream.Settings{Targets: []string{up.address}}, &streams)
		c := ask(t, "GET", "/")
		done := c.start(f)
		c.await("+data: 1\n\n")
		streams.End()
		if err := within(t, done, patience); err != nil || !c.ended() {
			t.Errorf("%s: %v, %q", kind, err, c.saw())
		}
		late := ask(t, "GET", "/")
		if err := within(t, late.start(f), patience); err != nil || !late.ended() {
			t.Errorf("%s: one that comes later: %v, %q", kind, err, late.saw())
		}
	}
}

// streaming are targets that send one event, and no end.
func streaming(t *testing.T) map[string]*target {
	const answer = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n"
	serves := func(p *peer) {
		p.head()
		p.say(answer)
		p.untilClosed()
	}
	return map[string]*target{"plain": serve(t, serves), "TLS": serveTLS(t, serves)}
}

func TestLargeAnswersPassUnchanged(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 300_000 {
		fmt.Fprint(&text, i, " ")
	}
	large := text.String()
	sized := func(p *peer) {
		for p.head() != "" {
			p.say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(large), large))
		}
	}
	chunked := func(p *peer) {
		for p.head() != "" {
			p.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			for rest, size := large, 1; rest != ""; size = size*3%40_009 + 1 {
				size = min(size, len(rest))
				p.say(fmt.Sprintf("%x\r\n%s\r\n", size, rest[:size]))
				rest = rest[size:]
			}
			p.say("0\r\n\r\n")
		}
	}
	multiplexed := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, large) }
	for kind, up := range map[string]*target{
		"plain, sized": serve(t, sized), "plain, chunked": serve(t, chunked),
		"TLS, sized": serveTLS(t, sized), "TLS, chunked": serveTLS(t, chunked), "HTTP/2": serveHTTP2(t, true, multiplexed),
	} {
		f := to(t, up)
		for range 2 {
			c := ask(t, "GET", "/")
			if err := c.through(f); err != nil || c.answer.String() != large {
				t.Errorf("%s: %v, %d bytes of %d", kind, err, c.answer.Len(), len(large))
			}
		}
		if n := up.connections.Load(); n != 1 {
			t.Errorf("%s: %d connections", kind, n)
		}
	}
}
