package server_test

import (
	"bytes"
	"testing"

	"github.com/portico-web/portico/proxy/message"
)

func BenchmarkHTTP1KeepAlive(b *testing.B)    { benchmarkKeepAlive(b, false) }
func BenchmarkHTTP1KeepAliveTLS(b *testing.B) { benchmarkKeepAlive(b, true) }

func benchmarkKeepAlive(b *testing.B, secure bool) {
	content := bytes.Repeat([]byte("x"), 900)
	var answer message.Head // one connection: one request at a time
	e := start(b, options{handler: func(stream message.Stream) {
		answer.Reset()
		answer.Status, answer.Length = 200, int64(len(content))
		answer.Add(message.ContentType, "text/plain")
		_ = stream.Answer(&answer)
		_, _ = stream.Write(content)
		_ = stream.End(nil)
	}})
	c := e.dial(secure)
	request := []byte("GET /path?query=1 HTTP/1.1\r\nHost: edge.test\r\nUser-Agent: benchmark\r\nAccept: */*\r\n\r\n")
	buffer := make([]byte, 4096)
	exchange := func() {
		if _, err := c.Conn.Write(request); err != nil {
			b.Fatal(err)
		}
		n, err := c.Conn.Read(buffer)
		for err == nil && !bytes.Contains(buffer[:n], content) {
			var more int
			more, err = c.Conn.Read(buffer[n:])
			n += more
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	exchange()
	b.ReportAllocs()
	for b.Loop() {
		exchange()
	}
}
