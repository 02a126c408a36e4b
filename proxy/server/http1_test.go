package server_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/server"
)

const get = "GET /a?b HTTP/1.1\r\nHost: edge.test\r\n\r\n"

func TestAConnectionCarriesOneRequestAfterTheOther(t *testing.T) {
	t.Parallel()
	e := start(t, options{handler: echo})
	for _, secure := range []bool{false, true} {
		c := e.dial(secure)
		for range 3 {
			response := c.send(get).expect(200, "GET /a?b ")
			if response.Close || response.Header.Get("Date") == "" {
				t.Errorf("Connection: close %v, Date %q", response.Close, response.Header.Get("Date"))
			}
		}
		c.send("POST /p HTTP/1.1\r\nHost: edge.test\r\nContent-Length: 5\r\n\r\nhello").expect(200, "POST /p hello")
		c.send("POST /p HTTP/1.1\r\nHost: edge.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n").expect(200, "POST /p hello")
		c.send(get).expect(200, "GET /a?b ")
	}
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	t.Parallel()
	e := start(t, options{handler: echo})
	c := e.dial(false)
	c.send(strings.Repeat("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", 3))
	for range 3 {
		c.expect(200, "GET /1 ")
		c.expect(200, "POST /2 x")
	}
}

func TestContentThatNobodyReadsIsSkippedWhenItIsThereAlready(t *testing.T) {
	t.Parallel()
	e := start(t, options{handler: text("ok")})
	c := e.dial(false)
	for range 2 {
		response := c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").expect(200, "ok")
		if response.Close {
			t.Error("the connection was closed for it")
		}
	}
}

func TestTheEndOfAConnectionIsAnnounced(t *testing.T) {
	t.Parallel()
	e := start(t, options{handler: text("ok")})
	for name, request := range map[string]string{
		"close":    "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
		"HTTP/1.0": "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			for _, secure := range []bool{false, true} {
				c := e.dial(secure)
				if response := c.send(request).expect(200, "ok"); !response.Close {
					t.Errorf("the head says nothing of it: %v", response.Header)
				}
				c.ended()
			}
		})
	}
	c := e.dial(false)
	for range 2 {
		response := c.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n").expect(200, "ok")
		if response.Header.Get("Connection") != "keep-alive" {
			t.Errorf("HTTP/1.0 with keep-alive: %v", response.Header)
		}
	}
}

// respond answers with a status, a length that may be message.Unknown, content in pieces, and a trailer.
func respond(stream message.Stream, status int, length int64, trailer *message.Fields, pieces ...string) error {
	var head message.Head
	head.Status, head.Length = status, length
	if err := stream.Answer(&head); err != nil {
		return err
	}
	for _, piece := range pieces {
		if _, err := stream.Write([]byte(piece)); err != nil {
			return err
		}
	}
	return stream.End(trailer)
}

func TestAnswersWithoutContentHaveNone(t *testing.T) {
	t.Parallel()
	e := start(t, options{handler: func(stream message.Stream) {
		status := map[string]int{"/200": 200, "/204": 204, "/304": 304}[stream.Head().Path]
		length := int64(7)
		if stream.Head().HasQuery {
			length = message.Unknown
		}
		_ = respond(stream, status, length, nil, "content")
	}})
	c := e.dial(false)
	for _, path := range []string{"/200", "/200?unknown", "/204", "/204?unknown", "/304", "/304?unknown"} {
		for _, version := range []string{"HTTP/1.1", "HTTP/1.0"} {
			response, content := c.send("HEAD " + path + " " + version + "\r\nHost: a\r\nConnection: keep-alive\r\n\r\n").answer("HEAD")
			if content != "" || response.Close {
				t.Errorf("HEAD %s %s: %v with content %q", path, version, response.Header, content)
			}
			if path[1] != '2' {
				response, content := c.send("GET " + path + " " + version + "\r\nHost: a\r\nConnection: keep-alive\r\n\r\n").answer("GET")
				if content != "" || response.Close || response.TransferEncoding != nil {
					t.Errorf("GET %s %s: %v with content %q", path, version, response, content)
				}
			}
		}
	}
	// Nothing of any content came between the answers.
	c.send("GET /200 HTTP/1.1\r\nHost: a\r\n\r\n").expect(200, "content")
}

func TestContentOfUnknownLengthIsChunkedOrEndsWithTheConnection(t *testing.T) {
	t.Parallel()
	e := start(t, options{handler: func(stream message.Stream) {
		var trailer message.Fields
		trailer.AddNamed("X-Sum", "42")
		_ = respond(stream, 200, message.Unknown, &trailer, "hello, ", "", "world")
	}})
	c := e.dial(false)
	response := c.send(get).expect(200, "hello, world")
	if response.Trailer.Get("X-Sum") != "42" || response.Close {
		t.Errorf("HTTP/1.1: trailer %v, close %v", response.Trailer, response.Close)
	}
	response = c.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n").expect(200, "hello, world")
	if !response.Close || response.TransferEncoding != nil {
		t.Errorf("HTTP/1.0: %v", response)
	}
	c.ended()
}

func TestTrailersOfARequestAreHandedOn(t *testing.T) {
	t.Parallel()
	e := start(t, options{handler: func(stream message.Stream) {
		early := stream.Body().Trailer()
		got, err := content(stream)
		reply(stream, 200, fmt.Sprintf("%s %v %v %s", got, early == nil, err, stream.Body().Trailer().Lookup("x-sum")))
	}})
	c := e.dial(true)
	c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 42\r\n\r\n").expect(200, "hi true <nil> 42")
}

func TestLargeAnswersArriveWhole(t *testing.T) {
	t.Parallel()
	whole := make([]byte, 3<<20)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range whole {
		whole[i] = byte(random.Uint32())
	}
	e := start(t, options{handler: func(stream message.Stream) {
		random := rand.New(rand.NewPCG(3, 4))
		var head message.Head
		head.Status, head.Length = 200, int64(len(whole))
		if stream.Head().Path == "/unknown" {
			head.Length = message.Unknown
		}
		head.AddNamed("X-Long", strings.Repeat("x", 20<<10)) // more than is held back at all
		_ = stream.Answer(&head)
		for rest := whole; len(rest) > 0; {
			n := min(len(rest), random.IntN(80<<10))
			if n, err := stream.Write(rest[:n]); err != nil {
				t.Errorf("Write: %d, %v", n, err)
				return
			}
			if random.IntN(10) == 0 {
				_ = stream.Flush()
			}
			rest = rest[n:]
		}
		_ = stream.End(nil)
	}})
	for _, secure := range []bool{false, true} {
		c := e.dial(secure)
		for _, path := range []string{"/sized", "/unknown"} {
			_, got := c.send("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n").answer("GET")
			if !bytes.Equal([]byte(got), whole) {
				t.Errorf("%s, TLS %v: %d bytes came, or others than were sent", path, secure, len(got))
			}
		}
	}
}

func TestHeadAndSmallContentLeaveTogether(t *testing.T) {
	t.Parallel()
	proceed := make(chan struct{})
	e := start(t, options{handler: func(stream message.Stream) {
		var head message.Head
		head.Status, head.Length = 200, message.Unknown
		_ = stream.Answer(&head)
		_, _ = stream.Write([]byte("one"))
		_ = stream.Flush()
		<-proceed
		_, _ = stream.Write([]byte("two"))
		_ = stream.End(nil)
	}})
	c := e.dial(false)
	c.send(get)
	first := make([]byte, 4096)
	n, err := c.Conn.Read(first)
	if err != nil || !bytes.HasPrefix(first[:n], []byte("HTTP/1.1 200 OK\r\n")) || !bytes.HasSuffix(first[:n], []byte("3\r\none\r\n")) {
		t.Errorf("first came %q, %v", first[:n], err)
	}
	close(proceed)
	n, err = c.Conn.Read(first)
	if err != nil || string(first[:n]) != "3\r\ntwo\r\n0\r\n\r\n" {
		t.Errorf("then came %q, %v", first[:n], err)
	}
}

func TestInterimAnswers(t *testing.T) {
	t.Parallel()
	e := start(t, options{handler: func(stream message.Stream) {
		var hint message.Head
		hint.Status = 103
		hint.AddNamed("Link", "</style.css>")
		if err := stream.Interim(&hint); err != nil {
			t.Errorf("103: %v", err)
		}
		hint.Reset()
		hint.Status = 100
		for range 2 {
			if err := stream.Interim(&hint); err != nil {
				t.Errorf("100: %v", err)
			}
		}
		hint.Status = 101
		if stream.Interim(&hint) == nil {
			t.Error("101 passed for an interim answer")
		}
		echo(stream)
		hint.Status = 103
		if stream.Interim(&hint) == nil {
			t.Error("103 passed after the final answer")
		}
	}})
	for name, test := range map[string]struct{ request, rest, want string }{
		"of HTTP/1.1":       {get, "", "103 200"},
		"of HTTP/1.0":       {"GET / HTTP/1.0\r\nHost: a\r\n\r\n", "", "200"},
		"that expects 100":  {"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n", "hi", "103 100 200"},
		"that did not wait": {"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi", "", "103 200"},
	} {
		t.Run(name, func(t *testing.T) {
			c := e.dial(false).send(test.request)
			var got []string
			for {
				line, err := c.reader.ReadString('\n')
				if err != nil {
					t.Fatalf("after %v: %v", got, err)
				}
				if status, found := strings.CutPrefix(line, "HTTP/1.1 "); found {
					got = append(got, status[:3])
					if status[:3] == "100" {
						c.send(test.rest)
					}
					if status[:3] == "200" {
						break
					}
				}
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("the answers are %v, want %s", got, test.want)
			}
		})
	}
}

func TestAnUnansweredExpectationEndsTheConnection(t *testing.T) {
	t.Parallel()
	e := start(t, options{handler: text("no")})
	c := e.dial(false)
	response := c.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").expect(200, "no")
	if !response.Close {
		t.Error("the connection would go on, though nobody knows whether content comes")
	}
	c.ended()
}

func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	e := start(t, options{
		settings: server.Settings{HTTP: "127.0.0.1:0", HTTPS: "127.0.0.1:0", HeaderBytes: 2048, TargetBytes: 100, Fields: 10},
		handler:  text("taken"),
		refused: func(stream message.Stream, refusal *http1.Error) {
			if got, err := content(stream); got != "" || err != nil {
				t.Errorf("a refused request has content: %q, %v", got, err)
			}
			reply(stream, refusal.Status, refusal.Reason)
		},
	})
	for _, test := range []struct {
		request string
		status  int
	}{
		{"GET / HTTP/1.1\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"GET / HTTP/1.1\nHost: a\n\n", 400},
		{"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 501},
		{"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0},
		{"GET /" + strings.Repeat("x", 200) + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
		{"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 4000) + "\r\n\r\n", 431},
		{"GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: x\r\n", 20) + "\r\n", 431},
		{"\x16\x03\x01\x02\x00\x01\x00", 400},
	} {
		c := e.dial(test.request[0] != 0x16)
		// The connection carries a sound request before, whose head is not taken for that of the refused one.
		if test.request[0] != 0x16 {
			c.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").answer("HEAD")
		}
		response, text := c.send(test.request + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n").answer("GET")
		if response.StatusCode != test.status && (test.status != 0 || response.StatusCode != 400 && response.StatusCode != 505) || text == "" || !response.Close {
			t.Errorf("%.40q: %d %q, close %v", test.request, response.StatusCode, text, response.Close)
		}
		c.ended()
	}
}

func TestWithoutARefusedHandlerTheStatusIsAnswered(t *testing.T) {
	t.Parallel()
	e := start(t, options{handler: text("taken")})
	e.dial(false).send("GET / HTTP/1.1\r\n\r\n").expect(400, "")
}

func TestAnEarlyAnswerReachesAClientThatKeepsSending(t *testing.T) {
	t.Parallel()
	e := start(t, options{handler: func(stream message.Stream) { reply(stream, 413, "too much") }})
	for _, secure := range []bool{false, true} {
		c := e.dial(secure)
		c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")
		piece := strings.Repeat("x", 64<<10)
		for range 40 { // much more than fits between the two
			if _, err := io.WriteString(c, piece); err != nil {
				t.Fatalf("TLS %v: sending on: %v", secure, err)
			}
		}
		if response := c.expect(413, "too much"); !response.Close {
			t.Error("the end of the connection is not announced")
		}
		c.ended()
	}
}

func TestContentIsReadWhileItIsAnswered(t *testing.T) {
	t.Parallel()
	e := start(t, options{handler: func(stream message.Stream) {
		var head message.Head
		head.Status, head.Length = 200, message.Unknown
		_ = stream.Answer(&head)
		_ = stream.Flush()
		for {
			piece, err := stream.Body().Next()
			if err != nil {
				break
			}
			_, _ = stream.Write(piece)
			_ = stream.Flush()
		}
		_ = stream.End(nil)
	}})
	c := e.dial(true)
	c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, piece := range []string{"one", "two"} {
		c.send("3\r\n" + piece + "\r\n")
		got := make([]byte, 3)
		if _, err := io.ReadFull(response.Body, got); err != nil || string(got) != piece {
			t.Fatalf("%q, %v came back for %q", got, err, piece)
		}
	}
	c.send("0\r\n\r\n")
	if rest, err := io.ReadAll(response.Body); len(rest) > 0 || err != nil {
		t.Errorf("at last %q, %v", rest, err)
	}
	c.ended()
}

func TestWhatAHandlerCannotDo(t *testing.T) {
	t.Parallel()
	e := start(t, options{handler: func(stream message.Stream) {
		var head message.Head
		if _, err := stream.Write([]byte("x")); err == nil {
			t.Error("content before a head passed")
		}
		if stream.End(nil) == nil {
			t.Error("an end before a head passed")
		}
		head.Status = 103
		if stream.Answer(&head) == nil {
			t.Error("an interim status passed for a final one")
		}
		head.Status = 101
		if _, err := stream.Tunnel(&head); err == nil {
			t.Error("a protocol was switched that nobody asked for")
		}
		reply(stream, 200, "ok")
		head.Status = 200
		if stream.Answer(&head) == nil || stream.End(nil) == nil {
			t.Error("a second answer passed")
		}
		if _, err := stream.Write([]byte("x")); err == nil {
			t.Error("content after the end passed")
		}
	}})
	c := e.dial(false)
	for range 2 {
		c.send(get).expect(200, "ok")
	}
}

func TestTheStreamTellsOfItsConnection(t *testing.T) {
	t.Parallel()
	e := start(t, options{handler: func(stream message.Stream) {
		name := ""
		if state := stream.TLS(); state != nil {
			name = state.ServerName
		}
		reply(stream, 200, stream.Peer().String()+" "+name)
	}})
	for secure, name := range map[bool]string{false: "", true: "edge.test"} {
		c := e.dial(secure)
		c.send(get).expect(200, c.LocalAddr().String()+" "+name)
	}
}
