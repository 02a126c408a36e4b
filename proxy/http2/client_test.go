package http2_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/socket"
)

func TestARequestKeepsItsFieldsAndTheirOrder(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		head *message.Head
		want string
	}{
		"GET": {
			asking("GET", "/", 0, "Accept", "*/*", "X-B", "1", "X-A", "2", "X-B", "3", "Cookie", "a=b; c=d"),
			":method=GET :scheme=http :authority=example.test :path=/ accept=*/* x-b=1 x-a=2 x-b=3 cookie=a=b; c=d",
		},
		"a query": {
			&message.Head{Method: "PURGE", Authority: "a:1", Path: "/a%2F", Query: "q=1", HasQuery: true, Trailers: true},
			":method=PURGE :scheme=http :authority=a:1 :path=/a%2F?q=1 content-length=0 te=trailers",
		},
		"an empty query": {
			&message.Head{Method: "POST", Path: "/", HasQuery: true, Expect: true, Length: 5},
			":method=POST :scheme=http :path=/? content-length=5 expect=100-continue",
		},
		"unknown length": {
			asking("POST", "*", message.Unknown, "Connection", "x", "Transfer-Encoding", "chunked", "Upgrade", "x", "Host", "y"),
			":method=POST :scheme=http :authority=example.test :path=*",
		},
	} {
		got := make(chan string, 3)
		l := linked(t, usualClient(), func(o *origin) {
			for {
				f := o.request(nil)
				if f == nil {
					return
				}
				var text []string
				for _, field := range f.Fields {
					text = append(text, field.Name+"="+field.Value)
				}
				got <- strings.Join(text, " ")
			}
		})
		for range 3 { // the compression learns
			if err := l.stream().Send(test.head, false, nil, true); err != nil {
				t.Fatal(err)
			}
			if text := <-got; text != test.want {
				t.Errorf("%s: %q", name, text)
			}
		}
	}
}

// Clients share the connection. What one sends may not become shorter because another sent the same (RFC 7541 section 7.1).

func TestSecretsOfClientsAreNotCompressedAgainstEachOther(t *testing.T) {
	t.Parallel()
	blocks := make(chan int, 1)
	l := linked(t, usualClient(), func(o *origin) {
		o.ReadMetaHeaders = nil
		for {
			f := awaitFrame[*xhttp2.HeadersFrame](o, nil)
			if f == nil {
				return
			}
			blocks <- len(f.HeaderBlockFragment())
		}
	})
	size := func(path string, fields ...string) int {
		if err := l.stream().Send(asking("GET", path, 0, fields...), false, nil, true); err != nil {
			t.Fatal(err)
		}
		return <-blocks
	}
	for _, name := range []string{"Cookie", "Authorization", "Proxy-Authorization", "X-Api-Key", "X-CSRF-Token", "X-Request-ID", "Traceparent", "Referer", "X-Real-IP", "X-Forwarded-For", "If-None-Match"} {
		size("/", name, "some-secret-0123456789")
		known := size("/", name, "some-secret-0123456789")
		known = min(known, size("/", name, "some-secret-0123456789"))
		if other := size("/", name, "somX-secret-0123456789"); other != known {
			t.Errorf("%s: %d bytes for a secret that was sent before, %d for another", name, known, other)
		}
	}
	if first, second := size("/secret-1"), size("/secret-1"); first != second {
		t.Errorf("a path: %d, then %d bytes", first, second)
	}
	size("/", "User-Agent", "Mozilla/5.0 (X11; Linux x86_64)")
	first := size("/", "User-Agent", "Mozilla/5.0 (X11; Linux x86_64)")
	if again := size("/", "User-Agent", "Mozilla/5.0 (X11; Linux x86_64)"); again >= first {
		t.Errorf("what all clients have alike takes %d bytes, then %d", first, again)
	}
}

func TestHeadsContentAndTrailersOfAnAnswerAreRead(t *testing.T) {
	t.Parallel()
	l := linked(t, usualClient(), func(o *origin) {
		for f := o.request(nil); f != nil; f = o.request(nil) {
			id := f.StreamID
			o.head(id, false, ":status", "100")
			o.head(id, false, ":status", "103", "link", "</a.css>")
			o.head(id, false, ":status", "200", "b", "1", "a", "2")
			_ = o.WriteDataPadded(id, false, []byte("con"), make([]byte, 100))
			_ = o.WriteData(id, false, nil)
			_ = o.WriteData(id, false, []byte("tent"))
			o.head(id, true, "sum", "7")
		}
	})
	for range 3 {
		st := l.get("/")
		if got, err := headsOf(st); err != nil || got != "100 0, 103 0 link=</a.css>, 200 -1 b=1 a=2" {
			t.Errorf("%q, %v", got, err)
		}
		if st.Trailer() != nil {
			t.Error("trailers before the end")
		}
		if got, err := wholeOf(st); err != nil || got != "content" {
			t.Errorf("%q, %v", got, err)
		}
		if trailer := st.Trailer(); trailer == nil || string(trailer.Lookup("sum")) != "7" || !st.Done() {
			t.Errorf("the trailers are %v", trailer)
		}
	}
}

func TestATimeOrAnInterruptEndsARead(t *testing.T) {
	t.Parallel()
	l := linked(t, usualClient(), (*origin).rest)
	st := l.get("/")
	var h message.Head
	st.ReadWithin(time.Now(), time.Millisecond)
	if err := st.ReadHead(&h); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	st.ReadWithin(time.Now(), patience)
	go st.Interrupt()
	for range 2 {
		if err := st.ReadHead(&h); !errors.Is(err, socket.ErrInterrupted) {
			t.Error(err)
		}
	}
}

// RFC 9113 section 8.1: the server wants no more of the request, and its answer is whole.

// As many answers as the connection may have, but one, are not taken by anybody, and the server fills all their windows.

// Content both ways on many streams at once, against a server that others wrote.
