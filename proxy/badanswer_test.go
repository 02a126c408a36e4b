package proxy_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
)

// badAnswer is what an upstream says instead of an answer, and what a client may get to see of it.
type badAnswer struct {
	name   string
	says   string
	repeat bool   // it says so without end
	closes bool   // then it ends the connection
	method string // GET unless set
	wants  string // an outcome, "a|b" for either; "broken" where the answer had begun
}

const (
	okLine = "HTTP/1.1 200 OK\r\n"
	okTwo  = okLine + "Content-Length: 2\r\n\r\nok"
)

func badHeads() (cases []badAnswer) {
	for _, line := range []string{
		"HTTP/1.1 99 Odd", "HTTP/1.1 099 Odd", "HTTP/1.1 000 Odd", "HTTP/1.1 1000 Odd", "HTTP/1.1 20 Odd", "HTTP/1.1 2 Odd", "HTTP/1.1 -200 Odd", "HTTP/1.1 +20 Odd", "HTTP/1.1 abc Odd", "HTTP/1.1 20x Odd", "HTTP/1.1 0x1 Odd", "HTTP/1.1 ", "HTTP/1.1",
		"HTTP/1.1  200 OK", "HTTP/1.1\t200 OK", "HTTP/1.1 200OK", "HTTP/1.1 200\tOK", " HTTP/1.1 200 OK", "HTTP /1.1 200 OK", "HTTP/1,1 200 OK", "HTTP/1.1x 200 OK", "HTTP/11 200 OK", "HTTP/1.10 200 OK", "http/1.1 200 OK", "HTTPS/1.1 200 OK", "ICY 200 OK", "200 OK", "HTTP/2.0 200 OK", "HTTP/0.9 200 OK", "HTTP/3.1 200 OK",
		"HTTP/1.1 200 O\x00K", "HTTP/1.1 200 O\rK", "HTTP/1.1 200 O\x01K", "HTTP/1.1 200 O\x7fK", "SSH-2.0-OpenSSH_9", "* OK ready", "<html>", "\x16\x03\x01\x02\x00\x01", "\x00\x00\x12\x04\x00\x00\x00\x00\x00",
	} {
		cases = append(cases, badAnswer{name: fmt.Sprintf("line %q", line), says: line + "\r\nContent-Length: 2\r\n\r\nok", wants: "502"})
	}
	for _, field := range []string{
		"X", "X y", ": y", "X : y", "X\t: y", " X: y", "\tX: y", "X\x00: y", "X\x01: y", "X y: z", "X(y): z", "X\xc3\xa9: y", "X: \x00", "X: a\x00b", "X: a\x01b", "X: a\x7fb", "X: a\rb", "X: a\r\r", "X: a\r\n b", "X: a\r\n\tb", "X: a\nY: b", "X: a\n b",
		"Content-Length: 2", "Content-Length: 3", "content-length: 0", "Content-Length : 2", "Transfer-Encoding: chunked", "Transfer-Encoding: x", "Transfer-Encoding: identity",
	} {
		cases = append(cases, badAnswer{name: fmt.Sprintf("field %q", field), says: okLine + "Content-Length: 2\r\n" + field + "\r\n\r\nok", wants: "502"})
	}
	for _, length := range []string{"", "+2", "-2", "-0", "0x2", "2x", "2,", "2, 2", "2,2", "2, 3", "2 2", "x", "2.0", "\"2\"", "\x0b2", "2\x00", "9223372036854775808", "18446744073709551618", "99999999999999999999999"} {
		cases = append(cases, badAnswer{name: fmt.Sprintf("length %q", length), says: okLine + "Content-Length: " + length + "\r\n\r\nok", wants: "502"})
	}
	for _, coding := range []string{"", "x", "gzip", "identity", "xchunked", "chunkedx", "chunked, chunked", "gzip, chunked", "chunked, gzip", "identity, chunked", "chunked;x", "\x0bchunked", "chunked\x00", "chunked\r\nTransfer-Encoding: chunked", "chunked\r\nTransfer-Encoding: identity", "\r\n chunked"} {
		cases = append(cases, badAnswer{name: fmt.Sprintf("coding %q", coding), says: okLine + "Transfer-Encoding: " + coding + "\r\n\r\n2\r\nok\r\n0\r\n\r\n", wants: "502"})
	}
	return append(cases,
		badAnswer{name: "nothing", closes: true, wants: "502"},
		badAnswer{name: "a cut line", says: "HTTP/1.1 200", closes: true, wants: "502"},
		badAnswer{name: "a cut head", says: okLine + "Content-Length: 2\r\n", closes: true, wants: "502"},
		badAnswer{name: "a coding, then a length", says: okLine + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n", wants: "502"},
		badAnswer{name: "a coding in HTTP/1.0", says: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", wants: "502"},
		badAnswer{name: "LF after the status line", says: "HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok", wants: "502"},
		badAnswer{name: "LF after a field", says: okLine + "Content-Length: 2\n\r\nok", wants: "502"},
		badAnswer{name: "LF at the end", says: okLine + "Content-Length: 2\r\n\nok", wants: "502"},
		badAnswer{name: "LF throughout", says: "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", wants: "502"},
		badAnswer{name: "CR after the status line", says: "HTTP/1.1 200 OK\rContent-Length: 2\r\n\r\nok", wants: "502"},
		badAnswer{name: "CR CR LF at the end", says: okLine + "Content-Length: 2\r\n\r\r\nok", wants: "502"},
		badAnswer{name: "a folded first line", says: okLine + " X: y\r\nContent-Length: 2\r\n\r\nok", wants: "502"},
		badAnswer{name: "an upgrade that nobody asked for", says: "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", wants: "502"},
		badAnswer{name: "an upgrade to nothing", says: "HTTP/1.1 101 Switching Protocols\r\n\r\n", wants: "502"},
		badAnswer{name: "a malformed interim answer", says: "HTTP/1.1 103 Early Hints\r\nX : y\r\n\r\n" + okTwo, wants: "502"},
		badAnswer{name: "an interim answer with a length", says: "HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n\r\nok" + okTwo, wants: "502|broken"},
		badAnswer{name: "an interim answer, and no other", says: "HTTP/1.1 103 Early Hints\r\n\r\n", closes: true, wants: "502"},
		badAnswer{name: "early hints without end", says: "HTTP/1.1 103 Early Hints\r\n\r\n", repeat: true, wants: "502|broken"}, // Go's client has enough after five
		badAnswer{name: "continue without end", says: "HTTP/1.1 100 Continue\r\n\r\n", repeat: true, wants: "502|broken"},
		badAnswer{name: "a line without end", says: "HTTP/1.1 200 OOOOOOOOOOOOOOOO", repeat: true, wants: "502"},
		badAnswer{name: "junk without end", says: "0123456789", repeat: true, wants: "502"},
		badAnswer{name: "empty lines without end", says: "\r\n", repeat: true, wants: "502"},
		badAnswer{name: "many fields", says: okLine + strings.Repeat("X: y\r\n", 200000) + "Content-Length: 2\r\n\r\nok", wants: "502"},
		badAnswer{name: "a huge field", says: okLine + "X: " + strings.Repeat("y", 4<<20) + "\r\nContent-Length: 2\r\n\r\nok", wants: "502"},
		badAnswer{name: "a huge name", says: okLine + strings.Repeat("y", 4<<20) + ": x\r\nContent-Length: 2\r\n\r\nok", wants: "502"},
	)
}

func badBodies() (cases []badAnswer) {
	const head = okLine + "Transfer-Encoding: chunked\r\n\r\n"
	for _, chunks := range []string{
		"zz\r\n", "\r\n", "2\nok\r\n0\r\n\r\n", "0x2\r\nok\r\n0\r\n\r\n", "+2\r\nok\r\n0\r\n\r\n", "-2\r\nok\r\n0\r\n\r\n", " 2\r\nok\r\n0\r\n\r\n", "2 \r\nok\r\n0\r\n\r\n", "2g\r\nok\r\n0\r\n\r\n", ";a\r\nok\r\n0\r\n\r\n", "2;a\nok\r\n0\r\n\r\n", "2;a\rb\r\nok\r\n0\r\n\r\n", "2;\x00\r\nok\r\n0\r\n\r\n",
		"00000000000000002\r\nok\r\n0\r\n\r\n", "10000000000000002\r\nok\r\n0\r\n\r\n", "8000000000000002\r\nok\r\n0\r\n\r\n", "ffffffffffffffff\r\nok\r\n0\r\n\r\n", "2\r\nok0\r\n\r\n", "2\r\nokay\r\n0\r\n\r\n", "2\r\nok\n0\r\n\r\n", "2\r\nok\r0\r\n\r\n", "2\r\nok\r\n0\n\r\n", "2\r\nok\r\n0\r\n\n",
		"2\r\nok\r\n0\r\nContent-Length: 2\r\n\r\n", "2\r\nok\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n", "2\r\nok\r\n0\r\nX : y\r\n\r\n", "2\r\nok\r\n0\r\n X: y\r\n\r\n", "2\r\nok\r\n0\r\nX: y\r\n z\r\n\r\n", "2\r\nok\r\n0\r\nX\r\n\r\n", "2\r\nok\r\n0\r\nX: \x00\r\n\r\n", "2\r\nok\r\n0\r\nX: y\n\r\n", "HTTP/1.1 200 OK\r\n\r\n",
		"2;" + strings.Repeat("x", 1<<20) + "\r\nok\r\n0\r\n\r\n", "2\r\nok\r\n0\r\nX: " + strings.Repeat("y", 4<<20) + "\r\n\r\n",
	} {
		cases = append(cases,
			badAnswer{name: fmt.Sprintf("at first %.40q", chunks), says: head + chunks, wants: "502|broken"},
			badAnswer{name: fmt.Sprintf("later %.40q", chunks), says: head + chunk(strings.Repeat("x", 100<<10)) + chunks, wants: "broken"})
	}
	for _, cut := range []string{
		"Content-Length: 3\r\n\r\nok", "Content-Length: 300000\r\n\r\n" + strings.Repeat("x", 200000), "Transfer-Encoding: chunked\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n2", "Transfer-Encoding: chunked\r\n\r\n2\r\no", "Transfer-Encoding: chunked\r\n\r\n2\r\nok", "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
		"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n",
	} {
		cases = append(cases, badAnswer{name: fmt.Sprintf("cut off %.60q", cut), says: okLine + cut, closes: true, wants: "502|broken"})
	}
	return cases
}

func badEnds() []badAnswer {
	const junk = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled"
	return []badAnswer{
		{name: "an answer behind the answer", says: okTwo + junk, wants: "200 ok"},
		{name: "an answer behind chunks", says: okLine + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + junk, wants: "200 ok"},
		{name: "an empty line behind the answer", says: okTwo + "\r\n", wants: "200 ok"},
		{name: "more than announced", says: okTwo + "ay", wants: "200 ok"},
		{name: "no content, and an answer behind", says: "HTTP/1.1 204 No Content\r\n\r\n" + junk, wants: "204 "},
		{name: "no content with a length", says: "HTTP/1.1 204 No Content\r\nContent-Length: 47\r\n\r\n" + junk, wants: "204 |502"},
		{name: "no content in chunks", says: "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", wants: "204 |502"},
		{name: "not modified with content", says: "HTTP/1.1 304 Not Modified\r\nContent-Length: 47\r\n\r\n" + junk, wants: "304 |broken"}, // of which Go's client of HTTP/2 makes too little
		{name: "HEAD with content", says: okTwo, method: "HEAD", wants: "200 "},
		{name: "HEAD with chunks", says: okLine + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", method: "HEAD", wants: "200 "},
		{name: "the connection's end", says: okTwo, closes: true, wants: "200 ok"},
		{name: "an announced end", says: okLine + "Connection: close\r\nContent-Length: 2\r\n\r\nok", wants: "200 ok"},
		{name: "an end announced among others", says: okLine + "Connection: x, CLOSE\r\nContent-Length: 2\r\n\r\nok", wants: "200 ok"},
		{name: "HTTP/1.0", says: "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", wants: "200 ok"},
		{name: "content up to the end", says: okLine + "\r\nok", closes: true, wants: "200 ok"},
		{name: "content up to the end in HTTP/1.0", says: "HTTP/1.0 200 OK\r\n\r\nok", closes: true, wants: "200 ok"},
		{name: "a reason of nothing", says: "HTTP/1.1 200 \r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", wants: "200 ok"},
		{name: "a reason in another alphabet", says: "HTTP/1.1 200 \xc3\xa9\xff\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", wants: "200 ok"},
		{name: "an unusual status", says: "HTTP/1.1 299 \r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", wants: "299 ok"},
	}
}

func TestHeadsOfAnswersAreTakenOnlyInOneForm(t *testing.T)     { t.Parallel(); runBad(t, badHeads()) }
func TestContentOfAnswersIsTakenOnlyInOneForm(t *testing.T)    { t.Parallel(); runBad(t, badBodies()) }
func TestConnectionsAreReusedOnlyAfterAnExactEnd(t *testing.T) { t.Parallel(); runBad(t, badEnds()) }

// runBad lets an upstream of its own say each of them to one request. The next request must find another connection.
func runBad(t *testing.T, cases []badAnswer) {
	t.Helper()
	for name, http2 := range map[string]bool{"1.1": false, "2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			targets, reused, stages := make([]string, len(cases)), make([]atomic.Bool, len(cases)), make([]*stage, len(cases))
			for i, c := range cases {
				stages[i] = act(t, func(number int, a *actor) {
					if number > 0 {
						a.good()
						return
					}
					if a.request() == nil {
						return
					}
					switch {
					case c.repeat:
						a.flood(strings.Repeat(c.says, 1+4096/len(c.says)))
					case a.say(c.says) == nil && !c.closes && a.head() != nil:
						reused[i].Store(true)
					}
				})
				targets[i] = stages[i].address
			}
			e := lanes(t, false, "", "", targets...)
			for i, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					client, url := e.client(http2), laneURL(i)
					method := "GET"
					if c.method != "" {
						method = c.method
					}
					if got := outcome(t.Context(), client, method, url, ""); !oneOf(got, c.wants) {
						t.Errorf("the client sees %.100q, want %q", got, c.wants)
					}
					if got := outcome(t.Context(), client, "GET", url, ""); got != "200 good" {
						t.Errorf("the next request is answered with %.100q", got)
					}
					if heard := stages[i].heard.Load(); reused[i].Load() || heard != 2 {
						t.Errorf("reused: %v, asked %d times", reused[i].Load(), heard)
					}
				})
			}
		})
	}
}
