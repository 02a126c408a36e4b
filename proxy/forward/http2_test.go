package forward_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/portico-web/portico/proxy/forward"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/upstream"
)

// serveHTTP2 runs a target that speaks HTTP/2: h2c, or with TLS.
func serveHTTP2(t testing.TB, secure bool, handler http.HandlerFunc) *target {
	if secure {
		return serveTLS(t, func(p *peer) { p.speakHTTP2(handler) }, "h2")
	}
	up := serve(t, func(p *peer) { p.speakHTTP2(handler) })
	up.address = "h2c://" + up.address
	return up
}

func (p *peer) speakHTTP2(handler http.HandlerFunc) {
	if secure, ok := p.Conn.(*tls.Conn); ok && secure.Handshake() != nil {
		return
	}
	var server http2.Server                        //nolint:staticcheck // net/http's takes no single connection
	server.ServeConn(p.Conn, &http2.ServeConnOpts{ //nolint:staticcheck // as above
		Handler: handler, BaseConfig: &http.Server{ErrorLog: log.New(io.Discard, "", 0)},
	})
}

func TestHTTP2TargetsAreAskedOverOneConnection(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		up := serveHTTP2(t, secure, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("X-Saw", fmt.Sprint(r.Proto, " ", r.Method, " ", r.Host, " ", r.RequestURI, " ", r.ContentLength, " ",
				r.Header.Get("X-Forwarded-For"), " ", r.Header.Get("User-Agent"), " ", r.Header.Get("Te")))
			w.Header().Set("X-Request-Id", "7")
			_, _ = w.Write(body)
		})
		f := to(t, up)
		for _, test := range []struct{ method, target, content, want string }{
			{"GET", "/a%2fb//c?x;y", "", "HTTP/2.0 GET example.test /a%2fb//c?x;y 0 192.0.2.1  trailers"},
			{"GET", "//double?", "", "HTTP/2.0 GET example.test //double? 0 192.0.2.1  trailers"},
			{"POST", "/", "content", "HTTP/2.0 POST example.test / 7 192.0.2.1  trailers"},
			{"HEAD", "/", "", "HTTP/2.0 HEAD example.test / 0 192.0.2.1  trailers"},
		} {
			c := ask(t, test.method, test.target)
			c.head.Trailers = true
			if test.content != "" {
				c.with(test.content)
			}
			if err := c.through(f); err != nil || c.answer.String() != test.content || c.answered.Lookup("X-Request-Id") != nil {
				t.Errorf("TLS %v, %s: %v, %q", secure, test.method, err, c.saw())
			}
			if got := string(c.answered.Lookup("X-Saw")); got != test.want {
				t.Errorf("TLS %v: %q", secure, got)
			}
		}
		if n := up.connections.Load(); n != 1 {
			t.Errorf("TLS %v: %d connections", secure, n)
		}
	}
}

func TestManyRequestsShareAConnectionOfHTTP2(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	all.Add(50)
	up := serveHTTP2(t, true, func(w http.ResponseWriter, r *http.Request) {
		all.Done()
		all.Wait()
		_, _ = io.Copy(w, r.Body)
	})
	f := to(t, up)
	var wait sync.WaitGroup
	for i := range 50 {
		wait.Go(func() {
			text := fmt.Sprint("content ", i)
			c := ask(t, "POST", "/").uploading(message.Unknown)
			c.body.send(text)
			c.body.finish()
			if err := c.through(f); err != nil || c.answer.String() != text {
				t.Errorf("%v, %q", err, c.saw())
			}
		})
	}
	wait.Wait()
	// Those who came before anybody knew what the target speaks have all dialled.
	dialled := up.connections.Load()
	for range 3 {
		all.Add(1)
		if err := ask(t, "GET", "/").through(f); err != nil || up.connections.Load() != dialled {
			t.Errorf("%v, %d connections more", err, up.connections.Load()-dialled)
		}
	}
}

// As gRPC does it: messages both ways in turn, status in the trailers.
func TestHTTP2StreamsBothWaysWithTrailers(t *testing.T) {
	t.Parallel()
	up := serveHTTP2(t, false, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		_ = http.NewResponseController(w).Flush()
		piece := make([]byte, 100)
		for {
			n, err := r.Body.Read(piece)
			_, _ = w.Write(piece[:n])
			_ = http.NewResponseController(w).Flush()
			if err != nil {
				break
			}
		}
		w.Header().Set("Grpc-Status", "0")
		w.Header().Set(http.TrailerPrefix+"Grpc-Message", "saw "+r.Trailer.Get("X-Sum"))
	})
	f := to(t, up)
	c := ask(t, "POST", "/service/Method").field("Trailer", "X-Sum").uploading(message.Unknown)
	c.head.Trailers = true
	done := c.start(f)
	c.await("200 -1")
	for i := range 3 {
		c.body.send(fmt.Sprint("m", i))
		c.await(fmt.Sprint("+m", i))
		c.awaitFlushed(i + 1)
	}
	c.body.mu.Lock()
	c.body.trailer = &message.Fields{}
	c.body.trailer.AddNamed("X-Sum", "7")
	c.body.mu.Unlock()
	c.body.finish()
	if err := within(t, done, patience); err != nil || !strings.Contains(c.trailer, "grpc-status=0;") || !strings.Contains(c.trailer, "grpc-message=saw 7;") {
		t.Errorf("%v, %q", err, c.trailer)
	}
}

func TestHTTP2PassesInterimAnswers(t *testing.T) {
	t.Parallel()
	up := serveHTTP2(t, false, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		body, _ := io.ReadAll(r.Body) // asks to continue
		_, _ = w.Write(body)
	})
	c := ask(t, "POST", "/").uploading(5)
	c.head.Expect = true
	done := c.start(to(t, up))
	c.await("103 link=</a.css>")
	c.await("100")
	c.body.send("hello")
	c.body.finish()
	if err := within(t, done, patience); err != nil || c.answer.String() != "hello" {
		t.Errorf("%v, %q", err, c.saw())
	}
}

func TestHTTP2FailuresAreTold(t *testing.T) {
	t.Parallel()
	hold := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	upload := func(err error) func(*client) {
		return func(c *client) {
			c.uploading(message.Unknown)
			c.body.send("part")
			c.body.fail(err)
		}
	}
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		client  func(*client)
		want    forward.Kind
	}{
		"never answers":        {hold, func(*client) {}, forward.TimedOut},
		"the client is gone":   {hold, func(c *client) { c.left.Store(true) }, forward.ClientGone},
		"content too large":    {hold, upload(message.ErrTooLarge), forward.TooLarge},
		"content too slow":     {hold, upload(message.ErrTooSlow), forward.TooSlow},
		"resets":               {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, func(*client) {}, forward.Unreachable},
		"resets during upload": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, func(c *client) { c.uploading(9) }, forward.Unreachable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := serveHTTP2(t, false, test.handler)
			f := forwarder(t, upstream.Settings{Targets: []string{up.address}, ResponseTimeout: 50 * time.Millisecond}, &forward.Streams{})
			c := ask(t, "POST", "/")
			test.client(c)
			if err := within(t, c.start(f), patience); failure(t, err) != test.want {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAnAnswerInHTTP2ThatBreaksOffIsNotPassedOffAsWhole(t *testing.T) {
	t.Parallel()
	up := serveHTTP2(t, false, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "part")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	c := ask(t, "GET", "/")
	if err := c.through(to(t, up)); !errors.Is(err, forward.ErrAborted) || c.ended() {
		t.Errorf("%v, %q", err, c.saw())
	}
}

func TestAnEarlyAnswerInHTTP2EndsTheUpload(t *testing.T) {
	t.Parallel()
	up := serveHTTP2(t, false, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		_, _ = io.WriteString(w, "big")
	})
	c := ask(t, "POST", "/").uploading(1 << 20)
	c.body.send("part")
	if err := within(t, c.start(to(t, up)), patience); err != nil || c.answer.String() != "big" || c.answered.Status != 413 {
		t.Errorf("%v, %q", err, c.saw())
	}
}

func TestAClientThatLeavesCancelsInHTTP2(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	up := serveHTTP2(t, true, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "part")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(ended)
	})
	c := ask(t, "GET", "/")
	done := c.start(to(t, up))
	c.await("+part")
	c.left.Store(true)
	if err := within(t, done, patience); !errors.Is(err, forward.ErrAborted) || !errors.Is(err, message.ErrGone) {
		t.Error(err)
	}
	<-ended
}

func TestEventStreamsInHTTP2EndRegularlyWithTheStreams(t *testing.T) {
	t.Parallel()
	up := serveHTTP2(t, true, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	var streams forward.Streams
	f := forwarder(t, upstream.Settings{Targets: []string{up.address}}, &streams)
	c := ask(t, "GET", "/")
	done := c.start(f)
	c.await("+data: 1\n\n")
	c.awaitFlushed(1)
	streams.End()
	if err := within(t, done, patience); err != nil || !c.ended() {
		t.Errorf("%v, %q", err, c.saw())
	}
}

func TestAWebSocketGoesToATargetOfHTTP2OverHTTP1(t *testing.T) {
	t.Parallel()
	var protocols atomic.Value
	up := serveTLS(t, func(p *peer) {
		secure := p.Conn.(*tls.Conn)
		if secure.Handshake() != nil {
			return
		}
		protocols.Store(secure.ConnectionState().NegotiatedProtocol)
		if secure.ConnectionState().NegotiatedProtocol == "h2" {
			p.speakHTTP2(func(http.ResponseWriter, *http.Request) {})
			return
		}
		echoing(p)
	}, "h2", "http/1.1")
	f := to(t, up)
	if err := ask(t, "GET", "/").through(f); err != nil || protocols.Load() != "h2" {
		t.Fatal(err, protocols.Load())
	}
	c := upgrading(t)
	done := c.start(f)
	<-c.opened
	if got := c.hears(5); got != "hello" || protocols.Load() != "http/1.1" {
		t.Errorf("%q, %q", got, protocols.Load())
	}
	_ = c.tunnel.Close()
	if err := within(t, done, patience); err != nil {
		t.Error(err)
	}
}

// The target shuts its first connection down in between.
func TestHTTP2IsDialledAnewAfterTheEndOfAConnection(t *testing.T) {
	t.Parallel()
	up := serveHTTP2(t, false, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close") // GOAWAY
		_, _ = io.Copy(w, r.Body)
	})
	f := to(t, up)
	for i := range 5 {
		c := ask(t, "POST", "/").with("content")
		if err := c.through(f); err != nil || c.answer.String() != "content" {
			t.Errorf("%d: %v, %q", i, err, c.saw())
		}
	}
}

func TestAClosedPoolLeavesNoConnectionOfHTTP2(t *testing.T) {
	t.Parallel()
	for _, late := range []bool{false, true} {
		up := serveHTTP2(t, true, func(http.ResponseWriter, *http.Request) {})
		f := forwarder(t, upstream.Settings{Targets: []string{up.address}}, &forward.Streams{})
		if late {
			f.Close()
		}
		if err := ask(t, "GET", "/").through(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
		// goleak finds the codec's goroutines, if there are any.
	}
}

// The first connection breaks at its second request, the next ones do not.
func TestARequestInHTTP2IsRepeatedOnlyWhenThatIsSafe(t *testing.T) {
	t.Parallel()
	for method, times := range map[string]int64{"GET": 2, "POST": 1} {
		var seen atomic.Int64
		up := serve(t, func(p *peer) {
			if p.bytes(len(http2.ClientPreface)) != http2.ClientPreface {
				return
			}
			framer := http2.NewFramer(p.Conn, p.Reader)
			_ = framer.WriteSettings()
			requests := 0
			for {
				frame, err := framer.ReadFrame()
				if err != nil {
					return
				}
				if _, begins := frame.(*http2.HeadersFrame); !begins {
					continue
				}
				if requests++; p.number == 1 && requests == 2 {
					seen.Add(1)
					return
				}
				if p.number > 1 {
					seen.Add(1)
				}
				_ = framer.WriteHeaders(http2.HeadersFrameParam{
					StreamID: frame.Header().StreamID, BlockFragment: []byte{0x88}, EndHeaders: true, EndStream: true,
				})
			}
		})
		up.address = "h2c://" + up.address
		f := to(t, up)
		if err := ask(t, "GET", "/").through(f); err != nil {
			t.Fatal(err)
		}
		err := ask(t, method, "/").through(f)
		if seen.Load() != times || times == 2 && err != nil || times == 1 && failure(t, err) != forward.Unreachable {
			t.Errorf("%s: it arrives %d times, %v", method, seen.Load(), err)
		}
	}
}
