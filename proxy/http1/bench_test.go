package http1_test

import (
	"testing"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/message"
)

const browserHead = "GET /boards/42/posts?page=3&order=new HTTP/1.1\r\nHost: www.example.com\r\nConnection: keep-alive\r\nCache-Control: max-age=0\r\n" +
	"sec-ch-ua-platform: \"Linux\"\r\nUpgrade-Insecure-Requests: 1\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\nSec-Fetch-Site: same-origin\r\n" +
	"Referer: https://www.example.com/boards/42\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: ko-KR,ko;q=0.9,en-US;q=0.8\r\n" +
	"Cookie: sessionid=0123456789abcdef0123456789abcdef; csrftoken=0123456789abcdef\r\n\r\n"

const wrkHead = "GET /index.html HTTP/1.1\r\nHost: 127.0.0.1:8443\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n\r\n"

const answerHead = "HTTP/1.1 200 OK\r\nServer: gunicorn\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/html; charset=utf-8\r\n" +
	"X-Frame-Options: DENY\r\nVary: Accept-Language, Cookie\r\nX-Content-Type-Options: nosniff\r\nContent-Length: 912\r\nConnection: keep-alive\r\n\r\n"

// endless is a connection on which the same message comes again and again.
type endless string

func (e endless) Read(b []byte) (int, error) { return copy(b, e), nil }

var generous = http1.Limits{HeadBytes: 64 << 10, TargetBytes: 8 << 10, Fields: 100}

func benchmarkRequest(b *testing.B, raw string) {
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	r := http1.NewReader(endless(raw), 4096)
	var head message.Head
	for b.Loop() {
		if _, err := r.ReadRequest(&head, generous); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadRequestOfABrowser(b *testing.B) { benchmarkRequest(b, browserHead) }

func BenchmarkReadRequestOfABenchmark(b *testing.B) { benchmarkRequest(b, wrkHead) }

func BenchmarkReadResponse(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(answerHead)))
	r := http1.NewReader(endless(answerHead), 4096)
	var head message.Head
	var body http1.Body
	for b.Loop() {
		framing, err := r.ReadResponse(&head, "HEAD", generous)
		if err != nil {
			b.Fatal(err)
		}
		body.Reset(r, framing, generous)
	}
}

func BenchmarkAppendRequest(b *testing.B) {
	b.ReportAllocs()
	var head message.Head
	if _, err := http1.NewReader(endless(browserHead), 4096).ReadRequest(&head, generous); err != nil {
		b.Fatal(err)
	}
	out := make([]byte, 0, 4096)
	for b.Loop() {
		out = http1.AppendRequest(out[:0], &head)
	}
}

func BenchmarkAppendResponse(b *testing.B) {
	b.ReportAllocs()
	var head message.Head
	if _, err := http1.NewReader(endless(answerHead), 4096).ReadResponse(&head, "GET", generous); err != nil {
		b.Fatal(err)
	}
	out := make([]byte, 0, 4096)
	for b.Loop() {
		out, _ = http1.AppendResponse(out[:0], &head, http1.Answer{})
	}
}

func BenchmarkChunkedBody(b *testing.B) {
	b.ReportAllocs()
	raw := []byte(chunkedRequest)
	content := make([]byte, 1000)
	for range 16 {
		raw = http1.AppendChunk(raw, content)
	}
	raw = http1.AppendLastChunk(raw, nil)
	b.SetBytes(int64(len(raw)))
	r := http1.NewReader(endless(raw), 32<<10)
	var head message.Head
	var body http1.Body
	for b.Loop() {
		framing, err := r.ReadRequest(&head, generous)
		if err != nil {
			b.Fatal(err)
		}
		body.Reset(r, framing, generous)
		for err == nil {
			_, err = body.Next()
		}
		if !body.Done() {
			b.Fatal(err)
		}
	}
}
