package http1_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/message"
)

// Whatever the codec accepts, net/http has to accept and to read in the same way. The exceptions, where net/http refuses or
// changes what is well-formed, stand in this file.

// message of ours, with its content read to its end.
type reading struct {
	head      message.Head
	framing   http1.Framing
	content   []byte
	trailer   *message.Fields
	complete  bool // the content was read to its end
	remaining int  // bytes of the input behind it
}

// readings are the messages that the codec reads from raw, up to a limit of the harness.
func (s side) readings(raw string) []*reading {
	var all []*reading
	source := strings.NewReader(raw)
	r := http1.NewReader(source, 128)
	for len(all) < 20 {
		one := &reading{}
		var err error
		if one.framing, err = s.readHead(r, &one.head, limits); err != nil {
			return all
		}
		all = append(all, one)
		var body http1.Body
		body.Reset(r, one.framing, limits)
		for err == nil {
			var next []byte
			next, err = body.Next()
			one.content = append(one.content, next...)
		}
		one.complete, one.trailer, one.remaining = body.Done(), body.Trailer(), r.Buffered()+source.Len()
		if !one.complete || !one.framing.Persistent || one.head.Protocol != "" {
			return all
		}
	}
	return all
}

// same compares fields that both read, after the codec has taken out what is about the connection. When net/http closes, it
// has taken out Connection, and does not tell what that named.
func same(t *testing.T, ours *message.Head, theirs http.Header, closes bool) {
	t.Helper()
	want := theirs.Clone()
	for _, value := range theirs["Connection"] {
		for member := range strings.SplitSeq(value, ",") {
			want.Del(textproto.TrimString(member))
		}
	}
	for _, name := range []string{
		"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Upgrade", "Transfer-Encoding", "Content-Length", "Host", "Expect",
		"Http2-Settings",
	} {
		delete(want, name)
	}
	got := http.Header{}
	for _, field := range ours.All() {
		got.Add(string(field.Name), string(field.Value))
	}
	delete(got, "Trailer") // net/http takes it out of chunked messages
	delete(want, "Trailer")
	if got.Get("Pragma") == "no-cache" && got.Values("Cache-Control") == nil && theirs.Get("Cache-Control") == "no-cache" {
		delete(want, "Cache-Control") // net/http has added it
	}
	if closes && theirs["Connection"] == nil {
		for name := range want {
			if got[name] == nil {
				delete(want, name)
			}
		}
	}
	equal := len(got) == len(want)
	for name, values := range want {
		equal = equal && slices.Equal(values, got[name])
	}
	if !equal {
		t.Fatalf("fields %q, net/http reads %q", got, want)
	}
}

func (one *reading) sameTrailer(t *testing.T, theirs http.Header) {
	t.Helper()
	if one.trailer == nil {
		return
	}
	got := http.Header{}
	for _, field := range one.trailer.All() {
		got.Add(string(field.Name), string(field.Value))
	}
	for name, values := range got {
		if !slices.Equal(values, theirs[name]) {
			t.Fatalf("trailer %q, net/http reads %q", got, theirs)
		}
	}
}

// sameContent reads the content that net/http finds, and compares it and where it ends.
func (one *reading) sameContent(t *testing.T, body io.Reader, input *bufio.Reader, source *strings.Reader) {
	t.Helper()
	content, err := io.ReadAll(body)
	if err != nil || !bytes.Equal(content, one.content) {
		t.Fatalf("content %q, net/http reads %q, %v", one.content, content, err)
	}
	if remaining := input.Buffered() + source.Len(); remaining != one.remaining {
		t.Fatalf("%d bytes remain, of net/http's reading %d", one.remaining, remaining)
	}
}

// announcesFraming tells of a Trailer field which net/http refuses, though a trailer of that name is what counts.
func announcesFraming(head *message.Head) bool {
	for _, field := range head.All() {
		if field.ID != message.Trailer {
			continue
		}
		for member := range strings.SplitSeq(string(field.Value), ",") {
			switch textproto.CanonicalMIMEHeaderKey(textproto.TrimString(member)) {
			case "Transfer-Encoding", "Trailer", "Content-Length":
				return true
			}
		}
	}
	return false
}

// unescapable tells of a path with broken escapes: those who route it refuse it.
func unescapable(path string) bool {
	_, err := url.PathUnescape(path)
	return err != nil
}

func FuzzRequestAgainstNetHTTP(f *testing.F) {
	for _, c := range requests {
		f.Add(c.raw)
	}
	for _, c := range chunked {
		f.Add(chunkedRequest + c.raw)
	}
	f.Add(browserHead + wrkHead)
	f.Fuzz(requestAsNetHTTP)
}

func requestAsNetHTTP(t *testing.T, raw string) {
	source := strings.NewReader(raw)
	input := bufio.NewReaderSize(source, 64<<10)
	for _, one := range (side{}).readings(raw) {
		if next, _ := input.Peek(2); string(next) == "\r\n" { // net/http's server skips no empty line
			_, _ = input.Discard(2)
		}
		theirs, err := http.ReadRequest(input)
		if announcesFraming(&one.head) || unescapable(one.head.Path) {
			return
		}
		if err != nil {
			t.Fatalf("%q is accepted, but not by net/http: %v", raw, err)
		}
		sameRequestLine(t, &one.head, theirs)
		same(t, &one.head, theirs.Header, theirs.Close)
		if isChunked := slices.Equal(theirs.TransferEncoding, []string{"chunked"}); theirs.ContentLength != one.head.Length || isChunked != (one.framing.Kind == http1.Chunked) {
			t.Fatalf("%q: framing %+v, net/http reads %d, %q", raw, one.framing, theirs.ContentLength, theirs.TransferEncoding)
		}
		if theirs.Close == one.framing.Persistent {
			t.Fatalf("%q: framing %+v, net/http closes: %v", raw, one.framing, theirs.Close)
		}
		if !one.complete {
			return
		}
		one.sameContent(t, theirs.Body, input, source)
		one.sameTrailer(t, theirs.Trailer)
	}
}

func sameRequestLine(t *testing.T, head *message.Head, theirs *http.Request) {
	t.Helper()
	u := theirs.URL
	path, _ := url.PathUnescape(head.Path)
	if u.Host != "" && u.Path == "" {
		u.Path = "/"
		if theirs.Method == "OPTIONS" && u.RawQuery == "" && !u.ForceQuery {
			u.Path = "*"
		}
	}
	if theirs.Method != head.Method || theirs.Host != head.Authority || u.Path != path || u.RawQuery != head.Query ||
		(u.ForceQuery || u.RawQuery != "") != head.HasQuery || theirs.ProtoAtLeast(1, 1) != (head.Version == message.HTTP11) {
		t.Fatalf("%s %s %s, net/http reads %s %s %+v", head.Method, head.Authority, head.Target(), theirs.Method, theirs.Host, u)
	}
}

func FuzzResponseAgainstNetHTTP(f *testing.F) {
	for _, c := range responses {
		f.Add(c.raw, c.method == "HEAD")
	}
	for _, c := range chunked {
		f.Add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+c.raw, false)
	}
	f.Add(answerHead, false)
	f.Fuzz(responseAsNetHTTP)
}

func responseAsNetHTTP(t *testing.T, raw string, toHead bool) {
	method := methodFor(toHead)
	source := strings.NewReader(raw)
	input := bufio.NewReaderSize(source, 64<<10)
	for _, one := range (side{method}).readings(raw) {
		theirs, err := http.ReadResponse(input, &http.Request{Method: method})
		if announcesFraming(&one.head) {
			return
		}
		if err != nil {
			t.Fatalf("%q is accepted, but not by net/http: %v", raw, err)
		}
		if theirs.StatusCode != one.head.Status || theirs.ProtoAtLeast(1, 1) != (one.head.Version == message.HTTP11) {
			t.Fatalf("%q: %s %d, net/http reads %s %d", raw, one.head.Version, one.head.Status, theirs.Proto, theirs.StatusCode)
		}
		same(t, &one.head, theirs.Header, theirs.Close)
		if theirs.Close && one.framing.Persistent && one.head.Status >= 200 {
			t.Fatalf("%q: persistent, net/http closes", raw)
		}
		if !toHead && !message.Bodiless(one.head.Status) && theirs.ContentLength != one.head.Length || toHead && one.head.Length > 0 && theirs.ContentLength != one.head.Length {
			t.Fatalf("%q: length %d, net/http reads %d", raw, one.head.Length, theirs.ContentLength)
		}
		if !one.complete {
			return
		}
		if one.head.Status == http.StatusSwitchingProtocols {
			return // net/http takes all that follows for its content
		}
		one.sameContent(t, theirs.Body, input, source)
		one.sameTrailer(t, theirs.Trailer)
		_ = theirs.Body.Close()
	}
}
