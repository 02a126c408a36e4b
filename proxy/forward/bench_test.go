package forward_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/portico-web/portico/internal/logging"
	"github.com/portico-web/portico/proxy/forward"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/upstream"
)

// silent is a message.Stream that takes everything and keeps nothing.
type silent struct {
	head message.Head
	size int
}

func (s *silent) Head() *message.Head                          { return &s.head }
func (s *silent) Body() message.Body                           { return nil }
func (s *silent) Peer() netip.AddrPort                         { return netip.AddrPort{} }
func (s *silent) TLS() *tls.ConnectionState                    { return nil }
func (s *silent) Context() context.Context                     { return context.Background() }
func (s *silent) Gone() bool                                   { return false }
func (s *silent) Abort()                                       {}
func (s *silent) Interim(*message.Head) error                  { return nil }
func (s *silent) Answer(*message.Head) error                   { return nil }
func (s *silent) Flush() error                                 { return nil }
func (s *silent) Write(content []byte) (int, error)            { s.size += len(content); return len(content), nil }
func (s *silent) End(*message.Fields) error                    { return nil }
func (s *silent) Tunnel(*message.Head) (message.Tunnel, error) { return nil, message.ErrGone }

// BenchmarkForward is a request with ten fields to a target on loopback, which answers 900 bytes as soon as it reads
// anything. The target's share is in it: two system calls.
func BenchmarkForward(b *testing.B) {
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: app\r\nDate: Thu, 20 Nov 2025 17:00:00 GMT\r\n" +
		"Cache-Control: no-store\r\nContent-Length: 900\r\n\r\n" + string(make([]byte, 900)))
	up := serve(b, func(p *peer) {
		request := make([]byte, 4096)
		for {
			if _, err := p.Conn.Read(request); err != nil {
				return
			}
			if _, err := p.Conn.Write(answer); err != nil {
				return
			}
		}
	})
	benchmark(b, up, 900)
}

// BenchmarkForwardHTTP2 is the same in HTTP/2 without TLS.
func BenchmarkForwardHTTP2(b *testing.B) {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range []string{":status: 200", "content-type: application/json", "server: app", "date: Thu, 20 Nov 2025 17:00:00 GMT",
		"cache-control: no-store", "content-length: 900"} {
		name, value, _ := strings.Cut(field[1:], ": ")
		_ = encoder.WriteField(hpack.HeaderField{Name: field[:1] + name, Value: value, Sensitive: true}) // so that it can be said again
	}
	var answer bytes.Buffer
	answering := http2.NewFramer(&answer, nil)
	_ = answering.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true})
	content := answer.Len()
	_ = answering.WriteData(1, true, make([]byte, 900))
	up := serve(b, func(p *peer) {
		_ = p.bytes(len(http2.ClientPreface))
		_ = http2.NewFramer(p.raw, nil).WriteSettings()
		var frame [9]byte
		for {
			if _, err := io.ReadFull(p, frame[:]); err != nil {
				return
			}
			_, _ = p.Discard(int(frame[0])<<16 | int(frame[1])<<8 | int(frame[2]))
			switch {
			case frame[3] == byte(http2.FrameSettings) && frame[4] == 0:
				_ = http2.NewFramer(p.raw, nil).WriteSettingsAck()
			case frame[3] == byte(http2.FrameHeaders):
				copy(answer.Bytes()[5:], frame[5:])
				copy(answer.Bytes()[content+5:], frame[5:])
				_, _ = p.raw.Write(answer.Bytes())
			}
		}
	})
	up.address = "h2c://" + up.address
	benchmark(b, up, 900)
}

// benchmark asks for one answer after the other.
func benchmark(b *testing.B, up *target, size int) {
	pool, err := upstream.New(upstream.Settings{Targets: []string{up.address}}, logging.Discard())
	if err != nil {
		b.Fatal(err)
	}
	f := forward.New(pool, &forward.Streams{}, logging.Discard())
	defer f.Close()
	s := &silent{}
	sent := &forward.Exchange{
		Path: "/api/items", Proto: "https", Host: "example.test", Client: []byte("192.0.2.1"), Chain: []byte("192.0.2.1"),
		RequestID: []byte("0123456789abcdef0123456789abcdef"), Traceparent: []byte("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
	}
	b.ReportAllocs()
	for b.Loop() {
		s.head.Reset()
		s.head.Method, s.head.Authority, s.size = "GET", "example.test", 0
		s.head.Add(message.UserAgent, "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36")
		s.head.Add(message.Accept, "*/*")
		s.head.Add(message.AcceptEncoding, "gzip, br")
		s.head.Add(message.AcceptLanguage, "en")
		if err := f.Forward(s, nil, s, sent); err != nil || s.size != size {
			b.Fatal(err, s.size)
		}
	}
}
