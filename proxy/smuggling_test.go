package proxy_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

func TestContentIsTakenOnlyWithOneFraming(t *testing.T) {
	t.Parallel()
	const chunks = "0\r\n\r\n" + smuggled
	cases := []strictCase{
		{name: "a length", sends: post + sized(smuggled), wants: "200 200", sees: []string{fmt.Sprintf("Content-Length: %d\r\n", len(smuggled))}},
		{name: "a length among white space", sends: post + fmt.Sprintf("Content-Length: \t %d \t\r\n\r\n", len(smuggled)) + smuggled, wants: "200 200", sees: []string{fmt.Sprintf("Content-Length: %d\r\n", len(smuggled))}},
		{name: "a length with zeros ahead", sends: post + fmt.Sprintf("Content-Length: 000%d\r\n\r\n", len(smuggled)) + smuggled, wants: "200 200|400"},
		{name: "no length", sends: post + "\r\n", wants: "200 200"},
		{name: "a length of nothing", sends: post + "Content-Length: 0\r\n\r\n", wants: "200 200"},
		{name: "GET with content", sends: get + sized(smuggled), wants: "200 200"},
		{name: "DELETE with content", sends: "DELETE /000/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(smuggled) + "0\r\n\r\n", wants: "200 200"},
		{name: "HEAD with content", sends: "HEAD /000/ HTTP/1.1\r\nHost: localhost\r\n" + sized(smuggled), wants: "200 200"},
		{name: "OPTIONS with content", sends: "OPTIONS /000/ HTTP/1.1\r\nHost: localhost\r\n" + sized(smuggled), wants: "200 200"},
		{name: "GET with a length for the next request", sends: get + sized(behind), wants: "200 200"},
		{name: "chunks", sends: post + "Transfer-Encoding: chunked\r\n\r\n" + chunk(smuggled) + "0\r\n\r\n", wants: "200 200"},
		{name: "chunks in capitals among white space", sends: post + "TRANSFER-ENCODING: \t Chunked \t\r\n\r\n" + chunk(smuggled) + "0\r\n\r\n", wants: "200 200", sees: []string{"Transfer-Encoding: chunked\r\n"}},

		{name: "a length, then a coding", sends: post + "Content-Length: 54\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks, wants: "400"},
		{name: "a coding, then a length", sends: post + "Transfer-Encoding: chunked\r\nContent-Length: 54\r\n\r\n" + chunks, wants: "400"},
		{name: "a length of nothing and a coding", sends: post + "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks, wants: "400"},
		{name: "an unknown coding with a length", sends: post + "Content-Length: 49\r\nTransfer-Encoding: x\r\n\r\n" + smuggled, wants: "400"},
		{name: "identity with a length", sends: post + "Content-Length: 49\r\nTransfer-Encoding: identity\r\n\r\n" + smuggled, wants: "400"},
		{name: "GET with both", sends: get + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks, wants: "400"},
		{name: "twice the same length", sends: post + "Content-Length: 49\r\nContent-Length: 49\r\n\r\n" + smuggled, wants: "400"},
		{name: "two lengths", sends: post + "Content-Length: 0\r\nContent-Length: 49\r\n\r\n" + smuggled, wants: "400"},
		{name: "two lengths in two spellings", sends: post + "Content-Length: 49\r\ncontent-length: 0\r\n\r\n" + smuggled, wants: "400"},
		{name: "a length with an underscore", sends: post + "Content_Length: 7\r\n\r\nhello\r\n" + smuggled, wants: "200 400", hides: []string{"Content_Length"}},
		{name: "a folded length", sends: post + "Content-Length:\r\n 49\r\n\r\n" + smuggled, wants: "400"},
		{name: "chunked twice", sends: post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks, wants: "400"},
		{name: "chunked, then identity", sends: post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + chunks, wants: "400"},
		{name: "identity, then chunked", sends: post + "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks, wants: "400"},
		{name: "a folded coding", sends: post + "Transfer-Encoding:\r\n chunked\r\n\r\n" + chunks, wants: "400"},
		{name: "a coding hidden by a fold", sends: post + "X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: 49\r\n\r\n" + smuggled, wants: "400"},
		{name: "a coding hidden by a NUL", sends: post + "X: y\x00\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks, wants: "400"},
		{name: "a coding with an underscore", sends: post + "Transfer_Encoding: chunked\r\nContent-Length: 54\r\n\r\n" + chunks, wants: "200 200", hides: []string{"Transfer_Encoding"}},
		{name: "a coding in HTTP/1.0", sends: "POST /000/ HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks, wants: "400"},
		{name: "a coding in HTTP/1.0 kept alive", sends: "POST /000/ HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks, wants: "400"},
		{name: "both in HTTP/1.0", sends: "POST /000/ HTTP/1.0\r\nHost: localhost\r\nContent-Length: 54\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks, wants: "400"},
	}
	for _, length := range []string{
		"", " ", "+49", "-1", "-0", "0x31", "4 9", "49,", ",49", "49, 49", "49,49", "49, 0", "0, 49", "49;x", "49x", "x", "4_9", "49.0", "4.9e1", "\"49\"", "\x0b49", "49\x0b", "49\x0c", "4\x009", "49\r", "\u0664\u0669",
		"9223372036854775808", "18446744073709551616", "18446744073709551665", "99999999999999999999999999", "0b110001", "0o61", "031h",
	} {
		cases = append(cases, strictCase{name: fmt.Sprintf("length %q", length), sends: post + "Content-Length: " + length + "\r\n\r\n" + smuggled, wants: "400"})
	}
	for _, coding := range []string{
		"", " ", "chunked, chunked", "chunked,chunked", "gzip, chunked", "chunked, gzip", "gzip", "identity", "identity, chunked", "chunked, identity", "xchunked", "chunkedx", "x, chunked", "trailers", "chunked;q=1", "chunked ;x", "\"chunked\"", "'chunked'",
		"\x0bchunked", "chunked\x0b", "\x0cchunked", "chunked\x00", "\x00chunked", "chunked\r", "chunked chunked", "chun ked", "chunked\x01", "\u00a0chunked", "\xa0chunked", "chunKed\x85", ";", "{chunked}", "chunk", "c", "cow",
		"deflate, gzip, chunked", "\u212a", "chun\u212aed",
	} {
		cases = append(cases, strictCase{name: fmt.Sprintf("coding %q", coding), sends: post + "Transfer-Encoding: " + coding + "\r\n\r\n" + chunks, wants: "400"})
	}
	for _, coding := range []string{",chunked", "chunked,", ", chunked ,"} { // lists with empty members: read alike, or refused
		cases = append(cases, strictCase{name: fmt.Sprintf("coding %q", coding), sends: post + "Transfer-Encoding: " + coding + "\r\n\r\n" + chunk(smuggled) + "0\r\n\r\n", wants: "400|200 200"})
	}
	runStrict(t, "", cases)
}

func TestChunksAreTakenOnlyInOneForm(t *testing.T) {
	t.Parallel()
	const head = post + "Transfer-Encoding: chunked\r\n\r\n"
	long := strings.Repeat("x", 70<<10)
	var cases []strictCase
	for name, body := range map[string]string{
		"several": "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "in both cases": "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "none": "0\r\n\r\n", "zeros ahead": "0000005\r\nhello\r\n000\r\n\r\n",
		"an extension": "5;a\r\nhello\r\n0;b=c\r\n\r\n", "a quoted extension": "5;a=\"b; c\"\r\nhello\r\n0\r\n\r\n", "two extensions": "5;a=b;c=d\r\nhello\r\n0\r\n\r\n",
		"line ends within": "4\r\n\r\n\r\n\r\n0\r\n\r\n", "a request within": chunk(smuggled) + "0\r\n\r\n", "a trailer": "5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n",
	} {
		cases = append(cases, strictCase{name: name, sends: head + body, wants: "200 200", hides: []string{";a", ";b"}})
	}
	for name, body := range map[string]string{
		"white space before an extension": "5 ;a=b\r\nhello\r\n0\r\n\r\n", "an extension without a name": "5;\r\nhello\r\n0\r\n\r\n", // read alike, or refused
	} {
		cases = append(cases, strictCase{name: name, sends: head + body, wants: "200 200|400", partial: true})
	}
	for name, body := range map[string]string{
		"no size": "\r\nhello\r\n0\r\n\r\n", "no size after a chunk": "5\r\nhello\r\n\r\n0\r\n\r\n", "an extension alone": ";a=b\r\nhello\r\n0\r\n\r\n",
		"0x5": "0x5\r\nhello\r\n0\r\n\r\n", "0X5": "0X5\r\nhello\r\n0\r\n\r\n", "+5": "+5\r\nhello\r\n0\r\n\r\n", "-5": "-5\r\nhello\r\n0\r\n\r\n", "-0": "-0\r\n\r\n", "space ahead": " 5\r\nhello\r\n0\r\n\r\n",
		"space behind": "5 \r\nhello\r\n0\r\n\r\n", "tab behind": "5\t\r\nhello\r\n0\r\n\r\n", "vertical tab behind": "5\x0b\r\nhello\r\n0\r\n\r\n", "not hexadecimal": "g\r\nhello\r\n0\r\n\r\n", "hexadecimal at first": "5g\r\nhello\r\n0\r\n\r\n",
		"5_0": "5_0\r\nhello\r\n0\r\n\r\n", "5h": "5h\r\nhello\r\n0\r\n\r\n", "two sizes": "5 5\r\nhello\r\n0\r\n\r\n", "a NUL": "5\x00\r\nhello\r\n0\r\n\r\n", "a quote": "\"5\"\r\nhello\r\n0\r\n\r\n", "a comma": "5,5\r\nhello\r\n0\r\n\r\n",
		"17 digits": "00000000000000005\r\nhello\r\n0\r\n\r\n", "17 zeros": "00000000000000000\r\n\r\n", "too large by a digit": "10000000000000005\r\nhello\r\n0\r\n\r\n", "too large by a bit": "8000000000000005\r\nhello\r\n0\r\n\r\n",
		"the largest": "ffffffffffffffff\r\nhello\r\n0\r\n\r\n", "LF after the size": "5\nhello\r\n0\r\n\r\n", "CR after the size": "5\rhello\r\n0\r\n\r\n", "CR CR LF after the size": "5\r\r\nhello\r\n0\r\n\r\n", "LF after an extension": "5;a\nhello\r\n0\r\n\r\n",
		"CR in an extension": "5;a\rb\r\nhello\r\n0\r\n\r\n", "LF in a quoted extension": "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n", "NUL in an extension": "5;a=\x00\r\nhello\r\n0\r\n\r\n", "DEL in an extension": "5;a\x7f\r\nhello\r\n0\r\n\r\n",
		"LF after data": "5\r\nhello\n0\r\n\r\n", "nothing after data": "5\r\nhello0\r\n\r\n", "more data than announced": "5\r\nhelloX\r\n0\r\n\r\n", "less data than announced": "5\r\nhell\r\n0\r\n\r\n", "CR CR LF after data": "5\r\nhello\r\r\n0\r\n\r\n", "CR after data": "5\r\nhello\r0\r\n\r\n",
		"LF after the last size": "0\n\r\n", "LF at the end": "0\r\n\n", "LF after data and size": "5\r\nhello\r\n0\n\n", "CR at the end": "0\r\n\r" + "x", "the end without a line": "0\r\n" + smuggled,
		"a trailer of a length": "0\r\nContent-Length: 5\r\n\r\n", "a trailer of a coding": "0\r\nTransfer-Encoding: chunked\r\n\r\n", "a trailer of a host": "0\r\nHost: evil.example\r\n\r\n", "a trailer of a length in capitals": "0\r\nCONTENT-LENGTH: 5\r\n\r\n",
		"a folded trailer": "0\r\nX: y\r\n z\r\n\r\n", "a folded first trailer": "0\r\n X: y\r\n\r\n", "space before a trailer's colon": "0\r\nX : y\r\n\r\n", "NUL in a trailer": "0\r\nX: \x00\r\n\r\n", "CR in a trailer": "0\r\nX: a\rb\r\n\r\n", "LF after a trailer": "0\r\nX: y\n\r\n",
		"a trailer without a colon": "0\r\nX\r\n\r\n", "a trailer without a name": "0\r\n: y\r\n\r\n", "a control character in a trailer's name": "0\r\nX\x01: y\r\n\r\n",
	} {
		cases = append(cases, strictCase{name: name, sends: head + body, wants: "400", partial: true})
	}
	for name, body := range map[string]string{
		"a long extension": "5;" + long + "\r\nhello\r\n0\r\n\r\n", "an extension without end": "5;" + long, "a long last extension": "0;" + long + "\r\n\r\n", "zeros without end": strings.Repeat("0", 70<<10),
		"a long trailer": "0\r\nX: " + long + "\r\n\r\n", "a trailer without end": "0\r\nX: " + long, "many trailers": "0\r\n" + strings.Repeat("X: y\r\n", 5000) + "\r\n",
	} {
		cases = append(cases, strictCase{name: name, sends: head + body, wants: "400|431", partial: true})
	}
	cases = append(cases,
		strictCase{name: "many extensions", sends: head + strings.Repeat("1;"+strings.Repeat("x", 3000)+"\r\nx\r\n", 100) + "0\r\n\r\n", wants: "400|431|200 200", partial: true, hides: []string{"xxx"}},
		strictCase{name: "trailers that only the edge may write", sends: head + "5\r\nhello\r\n0\r\n" + strings.Join(forgery[:18], "\r\n") + "\r\nX-Sum: 1\r\n\r\n", wants: "200 200|400", partial: true, hides: []string{"forged"}},
	)
	runStrict(t, "", cases)
}

func TestRequestsInOneWriteAreAnsweredInOrder(t *testing.T) {
	t.Parallel()
	upstream := record(t)
	e := lanes(t, false, "", "", upstream.address)
	requests := []string{
		"GET /000/a HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"POST /000/b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello",
		"POST /000/c HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
		"PUT /000/d HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
		"\r\nDELETE /000/e HTTP/1.1\r\nHost: localhost\r\n\r\n",
	}
	answers, err := e.converse(strings.Repeat(strings.Join(requests, ""), 10) + "GET /000/end HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" + smuggled)
	if err != nil {
		t.Fatal(err)
	}
	var order strings.Builder
	for _, one := range answers {
		fmt.Fprintf(&order, "%d %s, ", one.StatusCode, one.body)
	}
	if want := strings.Repeat("200 GET /000/a, 200 POST /000/b, 200 POST /000/c, 200 PUT /000/d, 200 DELETE /000/e, ", 10) + "200 GET /000/end, "; order.String() != want {
		t.Errorf("answered in the order %s", order.String())
	}
	if err := e.stop(); err != nil {
		t.Error(err)
	}
	strictCase{wants: statuses(answers)}.judge(t, answers, nil, upstream.wait(t))
}

func TestAMalformedRequestEndsWhatComesBehindIt(t *testing.T) {
	t.Parallel()
	runStrict(t, "", []strictCase{
		{name: "a good one, a bad one, a good one", sends: get + "\r\n" + get + "X : y\r\n\r\n" + smuggled, wants: "200 400"},
		{name: "a bad one after content", sends: post + "Content-Length: 5\r\n\r\nhelloX\r\n" + smuggled, wants: "200 400", hides: []string{"helloX"}},
		{name: "content that was not announced", sends: post + "\r\nhello\r\n" + smuggled, wants: "200 400"},
		{name: "a bad one after chunks", sends: post + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nx\r\n" + smuggled, wants: "200 400"},
		{name: "two heads in one", sends: get + "X: y\r\nGET /000/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n", wants: "400"},
	})
}

func TestContentThatIsCutOffNeverLooksWhole(t *testing.T) {
	t.Parallel()
	cut := []string{
		post + "Content-Length: 10\r\n\r\nhello",
		post + "Content-Length: 10\r\n\r\n",
		post + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		post + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
		post + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n",
		post + "Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
		post + "Content-Length: 5\r\n",
		"GET /000/",
		get,
	}
	for name, plain := range map[string]bool{"tls": false, "plain": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstreams, targets := make([]*recording, len(cut)), make([]string, len(cut))
			for i := range cut {
				upstreams[i] = record(t)
				targets[i] = upstreams[i].address
			}
			e := lanes(t, plain, "", "", targets...)
			for i, sends := range cut {
				connection := e.connect()
				_, _ = io.WriteString(connection, strings.ReplaceAll(sends, "/000/", fmt.Sprintf("/%03d/", i)))
				switch half := connection.(type) {
				case *tls.Conn:
					_ = half.CloseWrite()
				case *net.TCPConn:
					_ = half.CloseWrite()
				}
				answer, err := io.ReadAll(connection)
				if err != nil || len(answer) > 0 && !strings.HasPrefix(string(answer), "HTTP/1.1 4") {
					t.Errorf("%q: %v, %.300q", sends, err, answer)
				}
			}
			if err := e.stop(); err != nil {
				t.Error(err)
			}
			for i, sends := range cut {
				for _, connection := range upstreams[i].wait(t) {
					if requests, _, err := readStrictly(connection); err != nil || len(requests) > 0 {
						t.Errorf("%q: the upstream saw %q, %v", sends, connection, err)
					}
				}
			}
		})
	}
}
