package http1_test

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// What messages are pieced together from: far more of them are accepted than of those that come from changing bytes.
var (
	requestLines = []string{
		"GET / HTTP/1.1", "POST /x?y HTTP/1.1", "POST http://b:1/x HTTP/1.1", "GET /a HTTP/1.0", "OPTIONS * HTTP/1.1", "HEAD /?? HTTP/1.1",
		"PUT HTTPS://C?x HTTP/1.1", "GET /\"<>^`{|} HTTP/1.1", "X-Y //a HTTP/1.1", "GET /%41%2f HTTP/1.1", "OPTIONS http://b HTTP/1.1",
		"OPTIONS http://b? HTTP/1.1", "GET http://b? HTTP/1.1", "GET http://[::1]:/ HTTP/1.1",
	}
	statusLines = []string{
		"HTTP/1.1 200 OK", "HTTP/1.1 204 No Content", "HTTP/1.0 200 OK", "HTTP/1.1 304 Not Modified", "HTTP/1.1 100 Continue", "HTTP/1.1 200",
		"HTTP/1.1 404 ", "HTTP/1.1 101 Switching Protocols", "HTTP/1.1 999 \t",
	}
	fieldLines = []string{
		"Host: a", "host:[::1]:80", "Content-Length: 3", "Content-Length:0", "content-length:\t3\t", "Transfer-Encoding: chunked",
		"transfer-encoding:CHUNKED ", "Transfer-Encoding: identity", "Connection: close", "Connection: keep-alive, b", "Connection: Content-Length",
		"Connection: upgrade, x", "Upgrade: websocket", "B: 1", "b: \t2 \t3", "X:", "Trailer: X", "Trailer: Content-Length", "Expect: 100-continue",
		"TE: trailers", "Pragma: no-cache", "Cache-Control: x", "Cookie: a=b; c=d", "Date: x", "B: \xff\x80", "B : x", " x", "B:\x0b", "a\xa0: b", "x\r",
	}
	contents = []string{
		"", "abc", "\r\n", "\n", "3\r\nabc\r\n0\r\n\r\n", "0\r\n\r\n", "1;x\r\na\r\n2\r\nbc\r\n0\r\nX: 1\r\nDate: 2\r\n\r\n",
		"03\r\nabc\r\n00;a=\"b\"\r\nX: y\r\nX:z\r\n\r\n", "0\r\nTransfer-Encoding: chunked\r\n\r\n", "3 \r\nabc\r\n0\r\n\r\n", "3\nabc\r\n0\r\n\r\n",
	}
)

// pieceTogether makes up to three messages; every choice takes a byte.
func pieceTogether(choices []byte, starts []string) string {
	next := func(n int) int {
		if len(choices) == 0 {
			return 0
		}
		c := int(choices[0])
		choices = choices[1:]
		return c % n
	}
	var out strings.Builder
	for range 1 + next(3) {
		out.WriteString(starts[next(len(starts))] + "\r\n")
		if next(4) > 0 {
			out.WriteString("Host: a\r\n")
		}
		for range next(6) {
			out.WriteString(fieldLines[next(len(fieldLines))] + "\r\n")
		}
		out.WriteString("\r\n" + contents[next(len(contents))])
	}
	return out.String()
}

func FuzzPiecesAgainstNetHTTP(f *testing.F) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		choices := make([]byte, 30)
		for i := range choices {
			choices[i] = byte(random.Uint32())
		}
		f.Add(choices, random.Uint64())
	}
	f.Fuzz(func(t *testing.T, choices []byte, seed uint64) {
		request := pieceTogether(choices, requestLines)
		requestAsNetHTTP(t, request)
		side{}.fuzz(t, request, seed)
		roundTripRequest(t, request)

		answer := pieceTogether(choices, statusLines)
		toHead := seed%4 == 0
		responseAsNetHTTP(t, answer, toHead)
		side{methodFor(toHead)}.fuzz(t, answer, seed)
		roundTripResponse(t, methodFor(toHead), answer)
	})
}
