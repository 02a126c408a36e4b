package handler_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/portico-web/portico/proxy/handler"
	"github.com/portico-web/portico/proxy/message"
)

// stream is a request in memory, and what was answered to it.
type stream struct {
	head    message.Head
	content []string
	log     bytes.Buffer
}

func (s *stream) Head() *message.Head                          { return &s.head }
func (s *stream) Body() message.Body                           { return s }
func (s *stream) Buffered() int                                { return 0 }
func (s *stream) Trailer() *message.Fields                     { return nil }
func (s *stream) Interrupt()                                   {}
func (s *stream) Peer() netip.AddrPort                         { return netip.MustParseAddrPort("192.0.2.1:5000") }
func (s *stream) TLS() *tls.ConnectionState                    { return &tls.ConnectionState{} }
func (s *stream) Context() context.Context                     { return context.Background() }
func (s *stream) Gone() bool                                   { return false }
func (s *stream) Abort()                                       { s.log.WriteString("abort\n") }
func (s *stream) Tunnel(*message.Head) (message.Tunnel, error) { return nil, message.ErrGone }
func (s *stream) Flush() error                                 { s.log.WriteString("flush\n"); return nil }
func (s *stream) End(*message.Fields) error                    { s.log.WriteString("end\n"); return nil }
func (s *stream) Write(p []byte) (int, error) {
	fmt.Fprintf(&s.log, "%q\n", p)
	return len(p), nil
}
func (s *stream) Interim(head *message.Head) error { return s.Answer(head) }
func (s *stream) Answer(head *message.Head) error {
	fmt.Fprintf(&s.log, "%d %d", head.Status, head.Length)
	for _, field := range head.All() {
		fmt.Fprintf(&s.log, " %s=%s", field.Name, field.Value)
	}
	s.log.WriteString("\n")
	return nil
}

func (s *stream) Next() ([]byte, error) {
	if len(s.content) == 0 {
		return nil, io.EOF
	}
	next := s.content[0]
	s.content = s.content[1:]
	return []byte(next), nil
}

func TestARequestIsWhatTheStreamSays(t *testing.T) {
	t.Parallel()
	s := &stream{content: []string{"hel", "lo"}}
	s.head = message.Head{Version: message.HTTP2, Method: "POST", Authority: "example.com:8443", Path: "/x", Query: "a=%20&b", HasQuery: true, Length: message.Unknown}
	s.head.AddNamed("x-mine", "1")
	s.head.AddNamed("X-Mine", "2")
	type key struct{}
	r := handler.Request(context.WithValue(t.Context(), key{}, 1), s, "/a%2Fb/%ED%95%9C")
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if r.URL.Path != "/a/b/한" || r.URL.EscapedPath() != "/a%2Fb/%ED%95%9C" || r.URL.RawQuery != "a=%20&b" || r.RequestURI != "/a%2Fb/%ED%95%9C?a=%20&b" {
		t.Errorf("%+v, %s", r.URL, r.RequestURI)
	}
	if r.Method != "POST" || r.Host != "example.com:8443" || r.RemoteAddr != "192.0.2.1:5000" || r.ProtoMajor != 2 || r.TLS == nil ||
		r.ContentLength != -1 || string(body) != "hello" || strings.Join(r.Header["X-Mine"], ",") != "1,2" || r.Context().Value(key{}) != 1 {
		t.Errorf("%+v, body %q", r, body)
	}
}

func TestAnswersOfHandlers(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 5000)
	for name, c := range map[string]struct {
		handle http.HandlerFunc
		want   string
	}{
		"nothing": {func(http.ResponseWriter, *http.Request) {}, "200 0\nend\n"},
		"a short one has its length": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("b", "2")
			w.Header()["A"] = []string{"1", "3"}
			w.WriteHeader(404)
			w.WriteHeader(500)
			_, _ = io.WriteString(w, "no")
			_, _ = io.WriteString(w, "ne")
		}, "404 4 A=1 A=3 B=2\n\"none\"\nend\n"},
		"a long one has none": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, long) },
			"200 -1\n\"" + long + "\"\nend\n"},
		"a known length": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5000")
			_, _ = io.Copy(w, strings.NewReader(long))
		}, "200 5000\n\"" + long + "\"\nend\n"},
		"not modified": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) }, "304 -1\nend\n"},
		"early hints": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</a>")
			w.WriteHeader(103)
			w.WriteHeader(204)
		}, "103 0 Link=</a>\n204 -1 Link=</a>\nend\n"},
		"flushed": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "a")
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, "b")
		}, "200 -1\n\"a\"\nflush\n\"b\"\nend\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &stream{}
			s.head = message.Head{Method: "GET", Path: "/"}
			w := handler.NewWriter(s)
			c.handle(w, handler.Request(t.Context(), s, "/"))
			if err := w.Finish(); err != nil || s.log.String() != c.want {
				t.Errorf("%v\n%s\nwant\n%s", err, s.log.String(), c.want)
			}
		})
	}
}
