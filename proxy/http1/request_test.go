package http1_test

import (
	"strings"
	"testing"
)

const end = "EOF\n"

// requests are what a client may send on one connection, and what is read from it.
var requests = []struct{ name, raw, want string }{
	{"nothing", "", end},
	{"a small one", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET a /\n" + end},
	{"fields in order", "GET /x?y=1 HTTP/1.1\r\nHost: a:80\r\nB: 1\r\na: 2\r\nb:3\r\n\r\n", "GET a:80 /x?y=1\nB: \"1\"\na: \"2\"\nb: \"3\"\n" + end},
	{"white space around values", "GET / HTTP/1.1\r\nHost:\t a \t\r\nB: \t 1 \t 2\t\r\nC:\r\nD: \t \r\n\r\n", "GET a /\nB: \"1 \\t 2\"\nC: \"\"\nD: \"\"\n" + end},
	{"bytes of any language", "GET /\xed\x95\x9c HTTP/1.1\r\nHost: a\r\nB: \xed\x95\x9c\x80\xff\r\n\r\n", "GET a /\xed\x95\x9c\nB: \"한\\x80\\xff\"\n" + end},
	{"what has to be escaped", "GET /\"<>\\^`{|}?\"<>\\^`{|} HTTP/1.1\r\nHost: a\r\n\r\n", "GET a /\"<>\\^`{|}?\"<>\\^`{|}\n" + end},
	{"an empty query", "GET /? HTTP/1.1\r\nHost: a\r\n\r\n", "GET a /?\n" + end},
	{"a query with marks", "GET /a?b?c=/../ HTTP/1.1\r\nHost: a\r\n\r\n", "GET a /a?b?c=/../\n" + end},
	{"a path of slashes", "GET //b/c HTTP/1.1\r\nHost: a\r\n\r\n", "GET a //b/c\n" + end},
	{"an unusual method", "M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n", "M-SEARCH a /\n" + end},
	{"a method in lower case", "get / HTTP/1.1\r\nHost: a\r\n\r\n", "get a /\n" + end},
	{"one empty line before", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET a /\n" + end},
	{"an empty line and the end", "GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n", "GET a /\n" + end},
	{"two empty lines before", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 a malformed request line\n"},
	{"a bare LF before", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 a LF without CR\n"},
	{"a bare CR before", "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 a CR without LF\n"},

	{"pipelined ones", "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\n\r\nabc\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n", "GET a /1\nPOST b /2 sized 3\ncontent \"abc\"\nGET a /3\n" + end},
	{"pipelined chunks", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST a / chunked\ncontent \"abc\"\nGET a /\n" + end},
	{"cut off in the line", "GET /", "unexpected EOF\n"},
	{"cut off in a field", "GET / HTTP/1.1\r\nHost: a\r\n", "unexpected EOF\n"},
	{"cut off in its content", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab", "POST a / sized 3\ncontent \"ab\"\nunexpected EOF\n"},

	// Persistence.
	{"the last one", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nrest", "GET a / last\nrest \"rest\"\n"},
	{"the last one among options", "GET / HTTP/1.1\r\nHost: a\r\nConnection: x , CLOSE,\r\n\r\n", "GET a / last\nrest \"\"\n"},
	{"the last one in spite of itself", "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", "GET a / last\nrest \"\"\n"},
	{"an old one", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", "GET a / HTTP/1.0 last\nrest \"\"\n"},
	{"an old one that stays", "GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n", "GET a / HTTP/1.0\n" + end},
	{"an old one with content", "POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 2\r\n\r\nab", "POST a / HTTP/1.0 sized 2 last\ncontent \"ab\"\nrest \"\"\n"},
	{"an option that is no token", "GET / HTTP/1.1\r\nHost: a\r\nConnection: \"close\", timeout=5\r\n\r\n", "GET a /\n" + end},

	// Fields about the connection.
	{"named fields", "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nB: 2\r\nConnection: keep-alive, x-a\r\nConnection: c\r\nC: 3\r\nD: 4\r\n\r\n", "GET a /\nB: \"2\"\nD: \"4\"\n" + end},
	{"named framing", "POST / HTTP/1.1\r\nHost: a\r\nConnection: content-length, host\r\nContent-Length: 2\r\n\r\nab", "POST a / sized 2\ncontent \"ab\"\n" + end},
	{"a named coding", "POST / HTTP/1.1\r\nHost: a\r\nConnection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", "POST a / chunked\ncontent \"a\"\n" + end},
	{"many named fields", "GET / HTTP/1.1\r\nHost: a\r\nConnection: " + strings.Repeat("a,", 64) + "a\r\n\r\n", "400 too many connection options\n"},
	{"fields of one hop", "GET / HTTP/1.1\r\nHost: a\r\nKeep-Alive: 5\r\nProxy-Connection: close\r\nTE: gzip, Trailers\r\nHTTP2-Settings: x\r\nUpgrade: foo\r\nTrailer: x\r\n\r\n", "GET a / trailers\nTrailer: \"x\"\n" + end},
	{"an expectation", "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\na", "POST a / sized 1 expect\ncontent \"a\"\n" + end},
	{"an expectation of nothing", "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", "GET a /\n" + end},
	{"an old expectation", "POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na", "POST a / HTTP/1.0 sized 1 last\ncontent \"a\"\nrest \"\"\n"},
	{"another expectation", "POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\nContent-Length: 1\r\n\r\na", "417 an unknown expectation\n"},
	{"an empty expectation", "POST / HTTP/1.1\r\nHost: a\r\nExpect:\r\n\r\n", "417 an unknown expectation\n"},
	{"an upgrade", "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\nrest", "GET a / to websocket\nrest \"rest\"\n"},
	{"an upgrade to anything", "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo/2.0\r\nContent-Length: 0\r\n\r\n", "GET a / to foo/2.0\nrest \"\"\n"},
	{"an upgrade without its option", "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", "GET a /\n" + end},
	{"an upgrade in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive, upgrade\r\nUpgrade: websocket\r\n\r\n", "GET a / HTTP/1.0\n" + end},
	{"an upgrade with content", "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\na", "POST a / sized 1\ncontent \"a\"\n" + end},
	{"an upgrade with chunks", "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "POST a / chunked\n" + end},
	{"an upgrade to several", "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket, foo\r\n\r\n", "GET a /\n" + end},
	{"several upgrades", "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nUpgrade: foo\r\n\r\n", "GET a /\n" + end},
	{"an upgrade to h2c", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n", "GET a /\n" + end},
	{"an upgrade to HTTP", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: http/2.0\r\n\r\n", "GET a /\n" + end},
	{"an upgrade to TLS", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n", "GET a /\n" + end},
	{"an upgrade to h2", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: H2\r\n\r\n", "GET a /\n" + end},
	{"an upgrade to no token", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: a b\r\n\r\n", "GET a /\n" + end},

	// Forms of the target.
	{"an absolute target", "GET http://b:8080/x?y HTTP/1.1\r\nHost: a\r\n\r\n", "GET b:8080 /x?y\n" + end},
	{"an absolute target in capitals", "GET HTTPS://B HTTP/1.1\r\nHost: a\r\n\r\n", "GET B /\n" + end},
	{"an absolute target without a path", "GET http://b?x HTTP/1.1\r\nHost: a\r\n\r\n", "GET b /?x\n" + end},
	{"an absolute target for all", "OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS b *\n" + end},
	{"an absolute target for one", "OPTIONS http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS b /\n" + end},
	{"an asterisk", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS a *\n" + end},
	{"an asterisk for another method", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", "400 a malformed request target\n"},
	{"an asterisk and more", "OPTIONS *x HTTP/1.1\r\nHost: a\r\n\r\n", "400 a malformed request target\n"},
	{"no slash", "GET x HTTP/1.1\r\nHost: a\r\n\r\n", "400 a malformed request target\n"},
	{"another scheme", "GET ftp://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "400 a malformed request target\n"},
	{"an authority", "GET b:80 HTTP/1.1\r\nHost: a\r\n\r\n", "400 a malformed request target\n"},
	{"an empty authority", "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", "400 a malformed request target\n"},
	{"an authority with userinfo", "GET http://u@b/x HTTP/1.1\r\nHost: a\r\n\r\n", "400 an invalid Host\n"},
	{"an authority with a backslash", "GET http://b\\c/x HTTP/1.1\r\nHost: a\r\n\r\n", "400 an invalid Host\n"},
	{"an absolute target with a wrong Host", "GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n", "400 an invalid Host\n"},
	{"an absolute target with several Hosts", "GET http://b/ HTTP/1.1\r\nHost: b\r\nHost: b\r\n\r\n", "400 several Host fields\n"},
	{"an absolute target without Host", "GET http://b/ HTTP/1.1\r\n\r\n", "400 no Host\n"},
	{"a fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", "400 a malformed request line\n"},

	// Hosts.
	{"no Host", "GET / HTTP/1.1\r\nA: b\r\n\r\n", "400 no Host\n"},
	{"no Host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", "400 no Host\n"},
	{"several Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400 several Host fields\n"},
	{"the same Host twice", "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", "400 several Host fields\n"},
	{"an IPv6 Host", "GET / HTTP/1.1\r\nHost: [2001:db8::1]:8443\r\n\r\n", "GET [2001:db8::1]:8443 /\n" + end},
	{"a Host with everything", "GET / HTTP/1.1\r\nHost: A-b_c~1.example.:65535\r\n\r\n", "GET A-b_c~1.example.:65535 /\n" + end},

	// Lines.
	{"another protocol", "\x16\x03\x01\x02\x00", "400 a control character\n"},
	{"HTTP/2 with prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 a version of HTTP that is not supported\n"},
	{"HTTP/0.9", "GET /\r\n\r\n", "400 a malformed request line\n"},
	{"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", "505 a version of HTTP that is not supported\n"},
	{"HTTP/3.0", "GET / HTTP/3.0\r\nHost: a\r\n\r\n", "505 a version of HTTP that is not supported\n"},
	{"a version of three digits", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", "400 a malformed request line\n"},
	{"a version in lower case", "GET / http/1.1\r\nHost: a\r\n\r\n", "400 a malformed request line\n"},
	{"a version of letters", "GET / HTTP/1.x\r\nHost: a\r\n\r\n", "400 a malformed request line\n"},
	{"no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n", "400 a malformed request line\n"},
	{"no method", " / HTTP/1.1\r\nHost: a\r\n\r\n", "400 a malformed request line\n"},
	{"a method that is no token", "GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", "400 a malformed request line\n"},
	{"two spaces before the target", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "400 a malformed request line\n"},
	{"two spaces behind the target", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", "400 a malformed request line\n"},
	{"a tab in the line", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", "400 a malformed request line\n"},
	{"a space at the line's end", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "400 a malformed request line\n"},
	{"a space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "400 a malformed request line\n"},
	{"a tunnel", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", "501 a method that is not supported\n"},
	{"a tunnel in lower case", "connect a:443 HTTP/1.1\r\nHost: a\r\n\r\n", "501 a method that is not supported\n"},
	{"an echo", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "501 a method that is not supported\n"},
	{"an echo in some case", "Trace / HTTP/1.1\r\nHost: a\r\n\r\n", "501 a method that is not supported\n"},
	{"bare LF everywhere", "GET / HTTP/1.1\nHost: a\n\n", "400 a LF without CR\n"},
	{"a bare LF in the line", "GET / HTTP/1.1\nHost: a\r\n\r\n", "400 a LF without CR\n"},
	{"a bare LF in the target", "GET /\nHost: a\r\n\r\n", "400 a LF without CR\n"},
	{"a bare LF in a field", "GET / HTTP/1.1\r\nHost: a\nB: c\r\n\r\n", "400 a LF without CR\n"},
	{"a bare LF in a name", "GET / HTTP/1.1\r\nHo\nst: a\r\n\r\n", "400 a LF without CR\n"},
	{"a bare LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", "400 a LF without CR\n"},
	{"a bare CR in the line", "GET / HTTP/1.1\rHost: a\r\n\r\n", "400 a CR without LF\n"},
	{"a bare CR in a value", "GET / HTTP/1.1\r\nHost: a\rB: c\r\n\r\n", "400 a CR without LF\n"},
	{"two CRs", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", "400 a CR without LF\n"},
	{"a bare CR at the end", "GET / HTTP/1.1\r\nHost: a\r\n\rX", "400 a CR without LF\n"},
	{"a folded line", "GET / HTTP/1.1\r\nHost: a\r\nB: c\r\n d\r\n\r\n", "400 a folded line\n"},
	{"a line folded with a tab", "GET / HTTP/1.1\r\nHost: a\r\nB: c\r\n\td\r\n\r\n", "400 a folded line\n"},
	{"a folded first line", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "400 a folded line\n"},
	{"a line of white space", "GET / HTTP/1.1\r\nHost: a\r\n \r\n\r\n", "400 a folded line\n"},
	{"a space before the colon", "GET / HTTP/1.1\r\nHost: a\r\nB : c\r\n\r\n", "400 white space in a field name\n"},
	{"a tab before the colon", "GET / HTTP/1.1\r\nHost\t: a\r\n\r\n", "400 white space in a field name\n"},
	{"an empty name", "GET / HTTP/1.1\r\nHost: a\r\n: c\r\n\r\n", "400 a malformed field name\n"},
	{"a line without a colon", "GET / HTTP/1.1\r\nHost: a\r\nB\r\n\r\n", "400 a malformed field name\n"},
	{"a name that is no token", "GET / HTTP/1.1\r\nHost: a\r\nB(: c\r\n\r\n", "400 a malformed field name\n"},
	{"a name of another language", "GET / HTTP/1.1\r\nHost: a\r\n\xed\x95\x9c: c\r\n\r\n", "400 a malformed field name\n"},
	{"NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nB: c\x00d\r\n\r\n", "400 a control character\n"},
	{"NUL in a name", "GET / HTTP/1.1\r\nHost: a\r\nB\x00: c\r\n\r\n", "400 a control character\n"},
	{"NUL in the target", "GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", "400 a control character\n"},
	{"DEL in a value", "GET / HTTP/1.1\r\nHost: a\r\nB: c\x7f\r\n\r\n", "400 a control character\n"},
	{"DEL in the target", "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", "400 a control character\n"},
	{"an escape in a value", "GET / HTTP/1.1\r\nHost: a\r\nB: \x1b[2J\r\n\r\n", "400 a control character\n"},

	// Framing.
	{"an empty content", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "POST a /\n" + end},
	{"zeros before the length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 003\r\n\r\nabc", "POST a / sized 3\ncontent \"abc\"\n" + end},
	{"length and coding", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400 Transfer-Encoding with Content-Length\n"},
	{"coding and length", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n", "400 Transfer-Encoding with Content-Length\n"},
	{"two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde", "400 several Content-Length fields\n"},
	{"the same length twice", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\ncontent-length: 5\r\n\r\nabcde", "400 several Content-Length fields\n"},
	{"an empty length and another", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\nabcde", "400 several Content-Length fields\n"},
	{"a coding in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400 a transfer coding in HTTP/1.0\n"},
	{"two codings", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400 several Transfer-Encoding fields\n"},
}

func TestRequestsAreReadOneWayHoweverTheyArrive(t *testing.T) {
	t.Parallel()
	for _, c := range requests {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			side{}.test(t, c.raw, c.want)
		})
	}
}

func TestLengthsThatCouldBeReadInTwoWaysAreRefused(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		"", "+1", "-1", "1,1", "5, 5", "1 1", "0x10", "1_0", "1.0", "1e3", "a", "１", "\"1\"", "1;", ",1", "9223372036854775808",
		"18446744073709551617", "99999999999999999999", "00000000000000000001",
	} {
		side{}.test(t, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: "+value+"\r\n\r\nabc", "400 a malformed Content-Length\n")
		side{"GET"}.test(t, "HTTP/1.1 200 OK\r\nContent-Length: "+value+"\r\n\r\nabc", "502 a malformed Content-Length\n")
	}
	side{}.test(t, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\nabc", "POST a / sized 9223372036854775807\ncontent \"abc\"\nunexpected EOF\n")
}

func TestCodingsOtherThanChunkedAreRefused(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		"", "gzip", "identity", "gzip, chunked", "chunked, gzip", "chunked, chunked", "chunked,", ",chunked", "xchunked", "chunkedx",
		"chunked;a=b", "\"chunked\"", "chun ked", "chunked identity", "\x0bchunked",
	} {
		want := "a transfer coding other than chunked\n"
		if strings.HasPrefix(value, "\x0b") {
			want = "a control character\n"
		}
		side{}.test(t, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "+value+"\r\n\r\n0\r\n\r\n", "400 "+want)
		side{"GET"}.test(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: "+value+"\r\n\r\n0\r\n\r\n", "502 "+want)
	}
}

func TestInvalidHostsAreRefused(t *testing.T) {
	t.Parallel()
	for _, host := range []string{
		"", "a b", "a,b", "a/b", "a/", "/", "a\\b", "a@b", "u:p@a", "@a", "a?b", "a%41", "한", ":80", "a:", "a:x", "a:80:80", "a:65536",
		"a:100000", "a:000080", "a:+1", "a:-1", "::1", "[::1", "::1]", "[]", "[::1]x", "[::1]:", "[::1]:65536", "[::1]:x", "[127.0.0.1]",
		"[fe80::1%eth0]", "[fe80::1%25eth0]", "[a]", "[[::1]]", "http://a", "*", "a;b", "a&b", "a'b", "(a)", "a\tb",
	} {
		side{}.test(t, "GET / HTTP/1.1\r\nHost: "+host+"\r\n\r\n", "400 an invalid Host\n")
		if host != "" && !strings.ContainsAny(host, " \t/?") {
			side{}.test(t, "GET http://"+host+"/ HTTP/1.1\r\nHost: a\r\n\r\n", "400 an invalid Host\n")
		}
	}
}

func TestRequestsBeyondTheLimitsAreRefused(t *testing.T) {
	t.Parallel()
	request := func(target string, fields string) string {
		return "GET " + target + " HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n"
	}
	fits := "/" + strings.Repeat("x", limits.TargetBytes-1)
	side{}.test(t, request(fits, ""), "GET a "+fits+"\n"+end)
	side{}.test(t, request(fits+"x", ""), "414 the target is too long\n")
	side{}.test(t, request(fits+strings.Repeat("x", 9000), ""), "414 the target is too long\n")

	side{}.test(t, request("/", strings.Repeat("A: b\r\n", limits.Fields-1)), "GET a /\n"+strings.Repeat("A: \"b\"\n", limits.Fields-1)+end)
	side{}.test(t, request("/", strings.Repeat("A: b\r\n", limits.Fields)), "431 too many fields\n")

	value := strings.Repeat("x", limits.HeadBytes-len(request("/", "A: \r\n")))
	side{}.test(t, request("/", "A: "+value+"\r\n"), "GET a /\nA: \""+value+"\"\n"+end)
	side{}.test(t, request("/", "A: "+value+"x\r\n"), "431 the head is too large\n")
	side{}.test(t, request("/", "A: "+strings.Repeat(value, 5)+"\r\n"), "431 the head is too large\n")
	side{}.test(t, strings.Repeat("A", 3000), "431 the head is too large\n")
}
