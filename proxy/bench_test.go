package proxy_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// BenchmarkExchange is a whole exchange by HTTP/1.1 over TLS through the edge, the upstream in the same process. Client and
// upstream allocate nothing, so that what is reported is the edge's.
func BenchmarkExchange(b *testing.B) {
	const request = "Host: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\nAccept-Encoding: gzip, br\r\nCookie: session=0123456789abcdef\r\n"
	get := "GET /some/path?with=query HTTP/1.1\r\n" + request + "\r\n"
	post := "POST /some/path HTTP/1.1\r\n" + request + "Content-Type: text/plain\r\nContent-Length: 1024\r\n\r\n" + strings.Repeat("x", 1024)
	for _, c := range []struct{ name, request, config string }{
		{"plain", get, "access_log: false\n" + site("%s", "      - {path: /, upstream: app}")},
		{"log and limit", get, "rate_limits: {wide: {rate: 1000000/s}}\n" + site("%s", "      - {path: /, upstream: app, rate_limit: wide}")},
		{"POST of 1 KB", post, "access_log: false\n" + site("%s", "      - {path: /, upstream: app}")},
	} {
		b.Run(c.name, func(b *testing.B) {
			_, content, _ := strings.Cut(c.request, "\r\n\r\n")
			e := startLogging(b, fmt.Sprintf(c.config, cannedUpstream(b, len(content))), io.Discard, "info")
			conn, err := tls.Dial("tcp", e.Addrs().HTTPS.String(), &tls.Config{RootCAs: e.roots(), ServerName: "localhost"})
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			sent, buffer := []byte(c.request), make([]byte, 8<<10)
			exchange := func() {
				if _, err := conn.Write(sent); err != nil {
					b.Fatal(err)
				}
				if err := readCanned(conn, buffer, len(cannedContent)); err != nil {
					b.Fatal(err)
				}
			}
			for range 100 {
				exchange()
			}
			b.ReportAllocs()
			for b.Loop() {
				exchange()
			}
		})
	}
}

// BenchmarkExchangeHTTP2 is the same by HTTP/2.
func BenchmarkExchangeHTTP2(b *testing.B) {
	for _, c := range []struct{ name, config string }{
		{"plain", "access_log: false\n" + site("%s", "      - {path: /, upstream: app}")},
		{"log and limit", "rate_limits: {wide: {rate: 1000000/s}}\n" + site("%s", "      - {path: /, upstream: app, rate_limit: wide}")},
	} {
		b.Run(c.name, func(b *testing.B) {
			e := startLogging(b, fmt.Sprintf(c.config, cannedUpstream(b, 0)), io.Discard, "info")
			conn, err := e.dialH2()
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			client := newCannedClient(conn)
			for range 100 {
				client.exchange(b)
			}
			b.ReportAllocs()
			for b.Loop() {
				client.exchange(b)
			}
		})
	}
}

// cannedClient sends the same request again and again, and allocates nothing for it.
type cannedClient struct {
	conn    net.Conn
	request []byte // WINDOW_UPDATE of the connection, and HEADERS
	head    []byte // the HEADERS within
	id      uint32
	buffer  [8 << 10]byte
	end     int // of what is buffered
}

func newCannedClient(conn net.Conn) *cannedClient {
	var out, block bytes.Buffer
	framer, encoder := http2.NewFramer(&out, nil), hpack.NewEncoder(&block)
	for range 2 { // the second time, the table has all of it
		block.Reset()
		for _, field := range [][2]string{
			{":method", "GET"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", "/some/path?with=query"},
			{"user-agent", "bench"}, {"accept", "*/*"}, {"accept-encoding", "gzip, br"}, {"cookie", "session=0123456789abcdef"},
		} {
			_ = encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
		}
		if out.Len() == 0 {
			out.WriteString(http2.ClientPreface)
			_ = framer.WriteSettings()
			_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true})
			_, _ = conn.Write(out.Bytes())
		}
	}
	out.Reset()
	_ = framer.WriteWindowUpdate(0, uint32(len(cannedContent)))
	head := out.Len()
	_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true})
	return &cannedClient{conn: conn, request: out.Bytes(), head: out.Bytes()[head:], id: 1}
}

// exchange sends a request and reads answers to the end of one: that of the request, or of the one before.
func (c *cannedClient) exchange(b *testing.B) {
	c.id += 2
	binary.BigEndian.PutUint32(c.head[5:], c.id)
	if _, err := c.conn.Write(c.request); err != nil {
		b.Fatal(err)
	}
	for ended := false; !ended; {
		n, err := c.conn.Read(c.buffer[c.end:])
		if err != nil {
			b.Fatal(err)
		}
		c.end += n
		rest := c.buffer[:c.end]
		for len(rest) >= 9 {
			size := 9 + int(rest[0])<<16 + int(rest[1])<<8 + int(rest[2])
			if len(rest) < size {
				break
			}
			if kind := http2.FrameType(rest[3]); kind == http2.FrameRSTStream || kind == http2.FrameGoAway {
				b.Fatalf("the edge sent %v", kind)
			} else if kind <= http2.FrameHeaders && http2.Flags(rest[4]).Has(http2.FlagDataEndStream) {
				ended = true
			}
			rest = rest[size:]
		}
		c.end = copy(c.buffer[:], rest)
	}
}

var (
	cannedContent = strings.Repeat("0123456789", 90)
	canned        = []byte("HTTP/1.1 200 OK\r\nDate: Sun, 01 Mar 2026 00:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 900\r\nServer: canned\r\n\r\n" + cannedContent)
)

// cannedUpstream answers each request with the same, once its head and its content of this length came.
func cannedUpstream(b *testing.B, content int) (address string) {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var serving sync.WaitGroup
	b.Cleanup(func() {
		_ = listener.Close()
		serving.Wait()
	})
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				for buffer := make([]byte, 8<<10); readCanned(conn, buffer, content) == nil; {
					if _, err := conn.Write(canned); err != nil {
						return
					}
				}
			})
		}
	})
	return listener.Addr().String()
}

// readCanned reads one message whose content has this length.
func readCanned(conn net.Conn, buffer []byte, content int) error {
	for got, end := 0, -1; end < 0 || got < end+4+content; {
		n, err := conn.Read(buffer[got:])
		if err != nil {
			return err
		}
		got += n
		if end < 0 {
			end = bytes.Index(buffer[:got], []byte("\r\n\r\n"))
		}
	}
	return nil
}
