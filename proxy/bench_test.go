package proxy_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
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
