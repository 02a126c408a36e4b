package http1_test

import (
	"io"
	"testing"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/message"
)

func headOf(set func(*message.Head)) *message.Head {
	head := &message.Head{Method: "GET", Authority: "a", Path: "/"}
	set(head)
	return head
}

func TestRequestsAreWritten(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		set  func(*message.Head)
		want string
	}{
		{"plain", func(h *message.Head) {}, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"query", func(h *message.Head) { h.Query, h.HasQuery = "b=c", true }, "GET /?b=c HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"empty query", func(h *message.Head) { h.HasQuery = true }, "GET /? HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"asterisk", func(h *message.Head) { h.Method, h.Path = "OPTIONS", "*" }, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"fields", func(h *message.Head) { h.AddNamed("x-B", "1"); h.Add(message.Accept, "2") }, "GET / HTTP/1.1\r\nHost: a\r\nx-B: 1\r\nAccept: 2\r\n\r\n"},
		{"POST of nothing", func(h *message.Head) { h.Method = "POST" }, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"},
		{"DELETE of nothing", func(h *message.Head) { h.Method = "DELETE" }, "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"length", func(h *message.Head) { h.Method, h.Length, h.Expect = "PUT", 5, true }, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"},
		{"unknown length", func(h *message.Head) { h.Length = message.Unknown }, "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{"trailers", func(h *message.Head) { h.Trailers = true }, "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n"},
		{"upgrade", func(h *message.Head) { h.Protocol = "websocket" }, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"},
		{"upgrade and trailers", func(h *message.Head) { h.Protocol, h.Trailers = "x", true }, "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE, Upgrade\r\nUpgrade: x\r\n\r\n"},
		{"no target", func(h *message.Head) { h.Path = "" }, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"no method", func(h *message.Head) { h.Method = "" }, "- / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"},
		{"what would split its method", func(h *message.Head) { h.Method = "A / \r\nB" }, "A-----B / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"},
		{"what would split it", func(h *message.Head) {
			h.Path, h.Query, h.HasQuery = "/a b\r\n\x7f#%20", "\x00 HTTP/1.1\r\n", true
			h.AddNamed("A", "b\r\nC: d\x00\te")
			h.AddNamed("E\r\nF", "g")
			h.AddNamed("", "g")
			h.AddNamed("Transfer-Encoding", "chunked")
			h.AddNamed("content-length", "5")
			h.AddNamed("Connection", "close")
		}, "GET /a%20b%0D%0A%7F%23%20?%00%20HTTP/1.1%0D%0A HTTP/1.1\r\nHost: a\r\nA: b  C: d \te\r\n\r\n"},
	} {
		if got := string(http1.AppendRequest([]byte("x"), headOf(c.set))); got != "x"+c.want {
			t.Errorf("%s: %q, want %q", c.name, got[1:], c.want)
		}
	}
}

func TestAnswersAreWritten(t *testing.T) {
	t.Parallel()
	date := []byte("Thu, 01 Jan 1970 00:00:00 GMT")
	old := http1.Answer{Version: message.HTTP10}
	for _, c := range []struct {
		name    string
		head    message.Head
		answer  http1.Answer
		want    string
		chunked bool
	}{
		{"sized", message.Head{Status: 200, Length: 5}, http1.Answer{}, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false},
		{"empty", message.Head{Status: 404}, http1.Answer{}, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", false},
		{"of its own", message.Head{Status: 799}, http1.Answer{}, "HTTP/1.1 799 \r\nContent-Length: 0\r\n\r\n", false},
		{"dated", message.Head{Status: 200}, http1.Answer{Date: date}, "HTTP/1.1 200 OK\r\nDate: " + string(date) + "\r\nContent-Length: 0\r\n\r\n", false},
		{"the last", message.Head{Status: 200}, http1.Answer{Close: true}, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", false},
		{"unknown", message.Head{Status: 200, Length: -1}, http1.Answer{}, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true},
		{"unknown to 1.0", message.Head{Status: 200, Length: -1}, old, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", false},
		{"to 1.0", message.Head{Status: 200, Length: 1}, old, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n", false},
		{"the last to 1.0", message.Head{Status: 200, Length: 1}, http1.Answer{Version: message.HTTP10, Close: true}, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n", false},
		{"to HEAD", message.Head{Status: 200, Length: 7}, http1.Answer{Head: true}, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", false},
		{"unknown to HEAD", message.Head{Status: 200, Length: -1}, http1.Answer{Head: true}, "HTTP/1.1 200 OK\r\n\r\n", false},
		{"unknown to HEAD of 1.0", message.Head{Status: 200, Length: -1}, http1.Answer{Head: true, Version: message.HTTP10}, "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", false},
		{"no content", message.Head{Status: 204, Length: -1}, http1.Answer{}, "HTTP/1.1 204 No Content\r\n\r\n", false},
		{"not modified", message.Head{Status: 304, Length: 9}, http1.Answer{}, "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", false},
		{"not modified, unknown", message.Head{Status: 304, Length: -1}, http1.Answer{}, "HTTP/1.1 304 Not Modified\r\n\r\n", false},
		{"interim", message.Head{Status: 103, Length: -1}, http1.Answer{Date: date, Close: true}, "HTTP/1.1 103 Early Hints\r\n\r\n", false},
		{"switch", message.Head{Status: 101, Protocol: "websocket"}, http1.Answer{Date: date}, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", false},
	} {
		got, inChunks := http1.AppendResponse(nil, &c.head, c.answer)
		if string(got) != c.want || inChunks != c.chunked {
			t.Errorf("%s: %q, %v; want %q", c.name, got, inChunks, c.want)
		}
	}
	head := message.Head{Status: 200}
	head.Add(message.Date, "then")
	head.AddNamed("A", "b\nc")
	head.AddNamed("Connection", "x")
	got, _ := http1.AppendResponse(nil, &head, http1.Answer{Date: date})
	if want := "HTTP/1.1 200 OK\r\nDate: then\r\nA: b c\r\nContent-Length: 0\r\n\r\n"; string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestChunksAreWritten(t *testing.T) {
	t.Parallel()
	var trailer message.Fields
	trailer.AddNamed("Grpc-Status", "0\r\n")
	trailer.AddNamed("Content-Length", "5")
	trailer.AddNamed("Set-Cookie", "a=b")
	trailer.AddNamed("a b", "c")
	out := http1.AppendChunk(nil, []byte("0123456789abcdef"))
	out = http1.AppendChunk(out, nil)
	out = append(http1.AppendChunkHeader(out, 2), "ab\r\n"...)
	out = http1.AppendLastChunk(out, &trailer)
	out = http1.AppendLastChunk(out, nil)
	if want := "10\r\n0123456789abcdef\r\n2\r\nab\r\n0\r\nGrpc-Status: 0  \r\n\r\n0\r\n\r\n"; string(out) != want {
		t.Errorf("%q, want %q", out, want)
	}
}

// What was read is written so that it is read again as the same, whatever it was.
func TestWhatWasReadIsWrittenAndReadAgain(t *testing.T) {
	t.Parallel()
	for _, c := range requests {
		roundTripRequest(t, c.raw)
	}
	for _, c := range chunked {
		roundTripRequest(t, chunkedRequest+c.raw)
	}
	for _, c := range responses {
		roundTripResponse(t, c.method, c.raw)
	}
}

func roundTripRequest(t *testing.T, raw string) {
	t.Helper()
	var head, again message.Head
	framing, err := http1.NewReader(whole(raw), 4096).ReadRequest(&head, limits)
	if err != nil {
		return
	}
	head.Version, framing.Persistent = message.HTTP11, true // as it is forwarded
	written := http1.AppendRequest(nil, &head)
	framingAgain, err := http1.NewReader(whole(string(written)+"rest"), 4096).ReadRequest(&again, roomy)
	if err != nil {
		t.Fatalf("%.300q is written as %q: %v", raw, written, err)
	}
	if got, want := describe(&again, framingAgain), describe(&head, framing); got != want {
		t.Fatalf("%.300q is written as %q:\n%swant\n%s", raw, written, got, want)
	}
}

func roundTripResponse(t *testing.T, method, raw string) {
	t.Helper()
	var head, again message.Head
	framing, err := http1.NewReader(whole(raw), 4096).ReadResponse(&head, method, limits)
	if err != nil {
		return
	}
	head.Version, framing.Persistent = message.HTTP11, head.Status != 101
	written, inChunks := http1.AppendResponse(nil, &head, http1.Answer{Head: method == "HEAD"})
	if framing.Kind == http1.UntilClose {
		framing.Kind = http1.Chunked
	}
	if inChunks != (framing.Kind == http1.Chunked) {
		t.Fatalf("%.300q is written as %q: chunked %v", raw, written, inChunks)
	}
	if head.Status == 304 && head.Length == 0 {
		head.Length = message.Unknown
	}
	framingAgain, err := http1.NewReader(whole(string(written)+"rest"), 4096).ReadResponse(&again, method, roomy)
	if err != nil {
		t.Fatalf("%.300q is written as %q: %v", raw, written, err)
	}
	if got, want := describe(&again, framingAgain), describe(&head, framing); got != want {
		t.Fatalf("%.300q is written as %q:\n%swant\n%s", raw, written, got, want)
	}
}

// roomy takes what is a little longer written than it was read.
var roomy = http1.Limits{HeadBytes: 8192, TargetBytes: 1024, Fields: 100}

func TestWrittenChunksAreReadAgain(t *testing.T) {
	t.Parallel()
	raw := []byte(chunkedRequest)
	for _, content := range []string{"a", "bc", "0\r\n\r\n"} {
		raw = http1.AppendChunk(raw, []byte(content))
	}
	var trailer message.Fields
	trailer.AddNamed("X", "1")
	raw = http1.AppendLastChunk(raw, &trailer)
	side{}.test(t, string(raw), "POST a / chunked\ncontent \"abc0\\r\\n\\r\\n\"\ntrailer X: \"1\"\n"+end)
}

func TestAnUnreadBodyHasNoContent(t *testing.T) {
	t.Parallel()
	var body http1.Body
	if next, err := body.Next(); next != nil || err != io.EOF || body.Buffered() != 0 || !body.Done() || body.Trailer() != nil { //nolint:errorlint // io.EOF itself is promised
		t.Errorf("%q, %v", next, err)
	}
}
