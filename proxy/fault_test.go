package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"
)

// pace is how long a slow side waits between two pieces.
const pace = 10 * time.Millisecond

// trickle says text in pieces that come slowly; it tells whether the other end took all of it.
func (a *actor) trickle(text string, piece int) bool {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for ; text != ""; text = text[min(piece, len(text)):] {
		<-ticker.C
		if a.say(text[:min(piece, len(text))]) != nil {
			return false
		}
	}
	return true
}

// goodActor is an upstream without faults.
func goodActor(t *testing.T) *stage {
	t.Helper()
	return act(t, func(_ int, a *actor) { a.good() })
}

// servesOthers checks that other clients are served, by the upstream of another lane.
func (e *edge) servesOthers(t *testing.T, lane int) {
	t.Helper()
	for _, http2 := range []bool{false, true} {
		if got := outcome(t.Context(), e.client(http2), "GET", laneURL(lane), ""); got != "200 good" {
			t.Errorf("another client is answered with %q", got)
		}
	}
}

// play is one exchange with an upstream that has a fault.
type play struct {
	name, method, body, wants string
	http2                     bool
	part                      func(a *actor)
	app                       *stage
	began                     chan struct{}
}

func TestFaultsOfUpstreamsAreToldAndNeverRepeatAnything(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 8<<20)
	var plays []*play
	for name, c := range map[string]struct {
		part  func(a *actor)
		body  string // of the POST
		wants string
	}{
		"ends before an answer":      {func(a *actor) { a.request() }, "pay", "502"},
		"breaks before an answer":    {func(a *actor) { a.request(); a.reset() }, "pay", "502"},
		"ends within the head":       {func(a *actor) { a.request(); _ = a.say("HTTP/1.1 200 OK\r\nContent-") }, "pay", "502"},
		"ends before the content":    {func(a *actor) { a.head() }, large, "502"},
		"breaks within the content":  {func(a *actor) { a.request(); _ = a.say(okLine + sized(large)[:1<<20]); a.reset() }, "pay", "502|broken"},
		"sends too little":           {func(a *actor) { a.request(); _ = a.say(okLine + sized(large)[:7<<20]) }, "pay", "broken"},
		"never answers":              {func(a *actor) { a.request(); a.gone() }, "pay", "504"},
		"answers for the time being": {func(a *actor) { a.request(); _ = a.say("HTTP/1.1 103 Early Hints\r\n\r\n"); a.gone() }, "pay", "504"},
		"never ends its head": {func(a *actor) {
			a.request()
			for _ = a.say(okLine); a.trickle("X: y\r\n", 1); {
			}
		}, "pay", "504"},
		"answers slowly": {func(a *actor) { a.request(); a.trickle(okLine+sized("slow"), 3); a.good() }, "pay", "200 slow"},
		"sends slowly": {func(a *actor) {
			a.request()
			_ = a.say(okLine)
			a.trickle(sized(strings.Repeat("slow", 30)), 1)
			a.good()
		}, "pay", "200 " + strings.Repeat("slow", 30)},
		"sends slowly, in chunks": {func(a *actor) {
			a.request()
			_ = a.say(okLine + "Transfer-Encoding: chunked\r\n\r\n")
			a.trickle(chunk("slow")+chunk("ly")+"0\r\nX: y\r\n\r\n", 1)
			a.good()
		}, "pay", "200 slowly"},
	} {
		for _, http2 := range []bool{false, true} {
			plays = append(plays, &play{name: name, http2: http2, method: "POST", body: c.body, part: c.part, wants: c.wants, began: make(chan struct{})})
			if c.body != large { // which is the fault's condition
				plays = append(plays, &play{name: name, http2: http2, method: "GET", part: c.part, wants: c.wants, began: make(chan struct{})})
			}
		}
	}
	var targets []string
	for _, p := range plays {
		p.app = act(t, func(number int, a *actor) {
			if number == 0 {
				close(p.began)
			}
			p.part(a)
		})
		targets = append(targets, p.app.address)
	}
	targets = append(targets, goodActor(t).address)
	patient := lanes(t, false, "limits: {stall_timeout: 1s}\n", "", targets...)
	impatient := lanes(t, false, "limits: {stall_timeout: 1s}\n", ", response_timeout: 2s", targets...)
	abreast(plays, func(i int, p *play) {
		e := patient // slowness must not be taken for silence on a busy machine
		if p.wants == "504" {
			e = impatient
		}
		got := make(chan string, 1)
		go func() { got <- outcome(t.Context(), e.client(p.http2), p.method, laneURL(i), p.body) }()
		<-p.began
		e.servesOthers(t, len(plays))
		if got := <-got; !oneOf(got, p.wants) {
			t.Errorf("%s, http2 %v, %s: the client sees %.100q, want %.100q", p.name, p.http2, p.method, got, p.wants)
		}
		if heard := p.app.heard.Load(); heard != 1 {
			t.Errorf("%s, http2 %v, %s: the upstream is asked %d times", p.name, p.http2, p.method, heard)
		}
	})
}

func TestAnUpstreamThatTakesNoContentIsGivenUp(t *testing.T) {
	t.Parallel()
	app := act(t, func(_ int, a *actor) {
		if a.head() != nil {
			<-a.ended()
		}
	})
	e := lanes(t, false, "", ", response_timeout: 300ms", app.address, goodActor(t).address)
	large := strings.Repeat("x", 8<<20)
	abreast([]bool{false, true}, func(_ int, http2 bool) {
		if got := outcome(t.Context(), e.client(http2), "POST", laneURL(0), large); !oneOf(got, "502|504") {
			t.Errorf("http2 %v: the client sees %.100q", http2, got)
		}
	})
	e.servesOthers(t, 1)
	if heard := app.heard.Load(); heard != 2 {
		t.Errorf("the upstream is asked %d times", heard)
	}
}

func TestAnIdleConnectionThatEndedIsNotUsed(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(a *actor){
		"it ended":         func(a *actor) { _ = a.Close() },
		"half of it ended": func(a *actor) { _ = a.CloseWrite() },
		"it broke":         func(a *actor) { a.reset() },
		"something came":   func(a *actor) { _ = a.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil") },
		"a byte came":      func(a *actor) { _ = a.say("\r") },
		"a time-out came": func(a *actor) {
			_ = a.say("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
			_ = a.Close()
		},
		"an empty line came": func(a *actor) { _ = a.say("\r\n") },
	} {
		for _, method := range []string{"GET", "POST"} {
			t.Run(name+"/"+method, func(t *testing.T) {
				t.Parallel()
				now, done := make(chan struct{}), make(chan struct{})
				app := act(t, func(number int, a *actor) {
					if number > 0 {
						a.good()
						return
					}
					if a.request() != nil && a.say(okTwo) == nil {
						<-now
						end(a)
						close(done)
						a.gone()
					}
				})
				e := lanes(t, false, "", "", app.address)
				client := e.client(true)
				if got := outcome(t.Context(), client, "GET", laneURL(0), ""); got != "200 ok" {
					t.Fatal(got)
				}
				close(now)
				<-done
				if got := outcome(t.Context(), client, method, laneURL(0), "pay"); got != "200 good" {
					t.Errorf("the client sees %q", got)
				}
				if app.heard.Load() != 2 || app.connections.Load() != 2 {
					t.Errorf("asked %d times on %d connections", app.heard.Load(), app.connections.Load())
				}
			})
		}
	}
}

func TestOnlyWhatMayBeRepeatedIsRepeated(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method, body, key string
		says              string // instead of an answer, on a connection that served a request before
		wants             string
		heard             int64 // with the request before
	}{
		"GET":                      {"GET", "", "", "", "200 good", 3},
		"HEAD":                     {"HEAD", "", "", "", "200 ", 3},
		"DELETE":                   {"DELETE", "", "", "", "200 good", 3},
		"OPTIONS":                  {"OPTIONS", "", "", "", "200 good", 3},
		"POST":                     {"POST", "", "", "", "502", 2},
		"POST with content":        {"POST", "pay", "", "", "502", 2},
		"POST with a key":          {"POST", "", "k1", "", "200 good", 3},
		"PATCH":                    {"PATCH", "", "", "", "502", 2},
		"a method nobody knows":    {"PAY", "", "", "", "502", 2},
		"GET that got some answer": {"GET", "", "", "H", "502", 2},
		"GET that got hints":       {"GET", "", "", "HTTP/1.1 103 Early Hints\r\n\r\n", "502", 2},
	} {
		for _, http2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/http2=%v", name, http2), func(t *testing.T) {
				t.Parallel()
				app := act(t, func(number int, a *actor) {
					if number > 0 {
						for request := a.request(); request != nil; request = a.request() {
							answer := okLine + "Content-Length: 4\r\n\r\n"
							if request.Method != "HEAD" {
								answer += "good"
							}
							_ = a.say(answer)
						}
					} else if a.request() != nil && a.say(okTwo) == nil && a.request() != nil {
						_ = a.say(c.says)
					}
				})
				e := lanes(t, false, "", "", app.address)
				client := e.client(http2)
				if got := outcome(t.Context(), client, "GET", laneURL(0), ""); got != "200 ok" {
					t.Fatal(got)
				}
				header := http.Header{}
				if c.key != "" {
					header.Set("Idempotency-Key", c.key)
				}
				// A client of its own, since Go's repeats requests too.
				got, err := try(t.Context(), e.client(http2), c.method, laneURL(0), header, c.body)
				if err != nil {
					t.Fatal(err)
				}
				seen := fmt.Sprint(got.StatusCode)
				if got.StatusCode == http.StatusOK {
					seen += " " + got.body
				}
				if seen != c.wants || app.heard.Load() != c.heard {
					t.Errorf("the client sees %q, the upstream was asked %d times", seen, app.heard.Load())
				}
			})
		}
	}
}

// zeros is content without an end of its own.
type zeros struct{ ctx context.Context }

func (z zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), z.ctx.Err()
}

func TestAnAnswerWhileTheClientStillSendsIsSeenWhole(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		length string
		part   func(a *actor)
	}{
		"and takes the rest":     {"Content-Length: 50000000", func(a *actor) { a.gone() }},
		"and takes no more":      {"Content-Length: 50000000", func(a *actor) { <-a.ended() }},
		"and hangs up":           {"Content-Length: 50000000", func(*actor) {}},
		"and hangs up half":      {"Content-Length: 50000000", func(a *actor) { _ = a.CloseWrite(); a.gone() }},
		"to chunks":              {"Transfer-Encoding: chunked", func(a *actor) { <-a.ended() }},
		"to chunks and hangs up": {"Transfer-Encoding: chunked", func(*actor) {}},
	} {
		no := strings.Repeat("too large ", 20000)
		if strings.HasSuffix(name, "hangs up") { // what its kernel has not sent by then, nobody will see
			no = no[:20000]
		}
		app := func(t *testing.T) *stage {
			return act(t, func(number int, a *actor) {
				if number > 0 {
					a.good()
				} else if a.head() != nil && a.say("HTTP/1.1 413 Content Too Large\r\n"+sized(no)) == nil {
					c.part(a)
				}
			})
		}
		judge := func(t *testing.T, e *edge, app *stage, status int, body string, err error) {
			t.Helper()
			if status != http.StatusRequestEntityTooLarge || body != no || err != nil {
				t.Errorf("the client sees %d and %d bytes, %v", status, len(body), err)
			}
			if got := outcome(t.Context(), e.client(false), "GET", laneURL(0), ""); got != "200 good" {
				t.Errorf("the next request is answered with %.60q", got)
			}
			if heard := app.heard.Load(); heard != 2 {
				t.Errorf("the upstream was asked %d times", heard)
			}
		}
		t.Run("1.1/"+name, func(t *testing.T) {
			t.Parallel()
			app := app(t)
			e := lanes(t, false, "", "", app.address, goodActor(t).address)
			connection := e.connect()
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				_, _ = io.WriteString(connection, "POST /000/ HTTP/1.1\r\nHost: localhost\r\n"+c.length+"\r\n\r\n")
				piece := strings.Repeat("x", 1<<14)
				if strings.HasPrefix(c.length, "Transfer") {
					piece = chunk(piece)
				}
				for range 50_000_000 / len(piece) {
					if _, err := io.WriteString(connection, piece); err != nil {
						return
					}
				}
			}()
			response, err := http.ReadResponse(bufio.NewReader(connection), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			_ = connection.Close()
			<-sent
			judge(t, e, app, response.StatusCode, string(body), err)
			e.servesOthers(t, 1)
		})
		t.Run("2/"+name, func(t *testing.T) {
			t.Parallel()
			app := app(t)
			e := lanes(t, false, "", "", app.address, goodActor(t).address)
			request, err := http.NewRequestWithContext(t.Context(), "POST", laneURL(0), zeros{t.Context()})
			if err != nil {
				t.Fatal(err)
			}
			response, err := e.client(true).Do(request)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			_ = response.Body.Close()
			judge(t, e, app, response.StatusCode, string(body), err)
			e.servesOthers(t, 1)
		})
	}
}

func TestInterimAnswersPassAndLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	app := act(t, func(_ int, a *actor) {
		for a.request() != nil {
			_ = a.say("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nX-Early: 1\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b.css>\r\n\r\nHTTP/1.1 200 OK\r\nX-Late: 1\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	e := lanes(t, false, "", "", app.address)
	for _, http2 := range []bool{false, true} {
		var links []string
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			links = append(links, fmt.Sprint(code, header.Get("Link")))
			return nil
		}})
		got, err := try(ctx, e.client(http2), "GET", laneURL(0), nil, "")
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(links) != "[103</a.css> 103</b.css>]" || got.body != "ok" || got.Header.Get("X-Late") != "1" || got.Header.Get("Link") != "" || got.Header.Get("X-Early") != "" {
			t.Errorf("http2 %v: %q, then %d %v", http2, links, got.StatusCode, got.Header)
		}
	}
	if answers, err := e.converse("GET /000/ HTTP/1.0\r\nHost: localhost\r\n\r\n"); err != nil || statuses(answers) != "200" { // which knows no 1xx
		t.Errorf("HTTP/1.0: %s, %v", statuses(answers), err)
	}
}

func TestContentPassesPieceByPiece(t *testing.T) {
	t.Parallel()
	const pieces = 3
	type piecewise struct {
		framing, version string
		next             chan struct{}
	}
	var list []piecewise
	var targets []string
	for _, framing := range []string{"Content-Length: 9", "Transfer-Encoding: chunked", "Connection: close"} {
		for _, version := range []string{"1.1", "2", "3"} {
			c := piecewise{framing, version, make(chan struct{})}
			form := func(piece string) string { return piece }
			if framing == "Transfer-Encoding: chunked" {
				form = chunk
			}
			list, targets = append(list, c), append(targets, act(t, func(_ int, a *actor) {
				a.request()
				_ = a.say(okLine + framing + "\r\n\r\n")
				for i := range pieces {
					_ = a.say(form(fmt.Sprintf("%02d\n", i)))
					select {
					case <-c.next: // only once the client has it
					case <-a.ended():
						return
					}
				}
				if framing == "Transfer-Encoding: chunked" {
					_ = a.say("0\r\n\r\n")
				}
			}).address)
		}
	}
	e := lanes(t, false, "", "", targets...)
	clients := e.clients()
	abreast(list, func(i int, c piecewise) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, "GET", laneURL(i), nil)
		if err != nil {
			t.Error(err)
			return
		}
		response, err := clients[c.version].Do(request)
		if err != nil {
			t.Errorf("%s, HTTP/%s: %v", c.framing, c.version, err)
			return
		}
		defer response.Body.Close()
		piece := make([]byte, 3)
		for i := range pieces {
			if _, err := io.ReadFull(response.Body, piece); err != nil || string(piece) != fmt.Sprintf("%02d\n", i) {
				t.Errorf("%s, HTTP/%s: piece %d is %q, %v", c.framing, c.version, i, piece, err)
				return
			}
			c.next <- struct{}{}
		}
		if rest, err := io.ReadAll(response.Body); err != nil || len(rest) > 0 {
			t.Errorf("%s, HTTP/%s: behind the end %q, %v", c.framing, c.version, rest, err)
		}
	})
}

func TestAnAnswerThatBreaksOffReachesNoVersionAsWhole(t *testing.T) {
	t.Parallel()
	for _, says := range []string{"Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n"} {
		app := act(t, func(_ int, a *actor) {
			a.request()
			_ = a.say(okLine + says)
		})
		e := lanes(t, false, "", "", app.address)
		for version, client := range e.clients() {
			if got := outcome(t.Context(), client, "GET", laneURL(0), ""); !oneOf(got, "502|broken") {
				t.Errorf("HTTP/%s, %q: the client sees %q", version, says, got)
			}
		}
		connection := e.connect().(*tls.Conn) // HTTP/1.0, where the end of the connection is the content's
		_, _ = io.WriteString(connection, "GET /000/ HTTP/1.0\r\nHost: localhost\r\n\r\n")
		if content, err := io.ReadAll(connection); err == nil && strings.HasPrefix(string(content), "HTTP/1.1 200") && !strings.Contains(string(content), "Content-Length: 10") {
			t.Errorf("HTTP/1.0, %q: it ends in good order: %q", says, content)
		}
	}
}
