package http1_test

import (
	"strings"
	"testing"
)

// responses are what an upstream may send on one connection after requests of a method, and what is read from it.
var responses = []struct{ name, method, raw, want string }{
	{"nothing", "GET", "", end},
	{"a small one", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: b\r\n\r\nab", "200 sized 2\nA: \"b\"\ncontent \"ab\"\n" + end},
	{"pipelined ones", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "200 sized 2\ncontent \"ab\"\n404\n" + end},
	{"no reason", "GET", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "200\n" + end},
	{"no reason and no space", "GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "200\n" + end},
	{"a long reason", "GET", "HTTP/1.1 200 a  b\tc \xed\x95\x9c\r\nContent-Length: 0\r\n\r\n", "200\n" + end},
	{"a status of its own", "GET", "HTTP/1.1 999 x\r\nContent-Length: 0\r\n\r\n", "999\n" + end},
	{"an old one", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", "200 HTTP/1.0 sized 1 last\ncontent \"a\"\nrest \"\"\n"},
	{"an old one that stays", "GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na", "200 HTTP/1.0 sized 1\ncontent \"a\"\n" + end},
	{"the last one", "GET", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nab", "200 sized 1 last\ncontent \"a\"\nrest \"b\"\n"},
	{"until close", "GET", "HTTP/1.1 200 OK\r\n\r\nabc", "200 until close last\ncontent \"abc\"\nrest \"\"\n"},
	{"until close and empty", "GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", "200 HTTP/1.0 until close last\nrest \"\"\n"},
	{"chunks with a trailer", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nGrpc-Status: 0\r\n\r\n", "200 chunked\ncontent \"a\"\ntrailer Grpc-Status: \"0\"\n" + end},
	{"fields of one hop", "GET", "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nConnection: keep-alive, x\r\nX: 1\r\nProxy-Connection: y\r\nUpgrade: h2\r\nTE: trailers\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "200\n" + end},
	{"an interim one first", "GET", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "103\nLink: \"x\"\n100\n200\n" + end},
	{"an interim one that wants to close", "GET", "HTTP/1.1 103 Early Hints\r\nConnection: close\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "103\n200\n" + end},
	{"an interim one with content", "GET", "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nabcde", "502 an interim answer that announces content\n"},
	{"an interim one with chunks", "GET", "HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "502 an interim answer that announces content\n"},
	{"a switch", "GET", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nA: b\r\n\r\nrest", "101 last to websocket\nA: \"b\"\nrest \"rest\"\n"},
	{"a switch to nothing", "GET", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\r\n", "502 a switch to no single protocol\n"},
	{"a switch without its option", "GET", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", "502 a switch to no single protocol\n"},
	{"a switch to several", "GET", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: a, b\r\n\r\n", "502 a switch to no single protocol\n"},
	{"a switch with content", "GET", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: a\r\nContent-Length: 3\r\n\r\nabc", "502 an interim answer that announces content\n"},

	// No content.
	{"to HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "200 length 5\n200 length -1\n200 length -1\n" + end},
	{"not modified", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: x\r\n\r\nHTTP/1.1 304 Not Modified\r\n\r\n", "304 length 5\nETag: \"x\"\n304 length -1\n" + end},
	{"no content", "GET", "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "204\n204\n" + end},
	{"no content that is announced", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc", "204 last\nrest \"abc\"\n"},
	{"no content in chunks", "GET", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "204 last\nrest \"0\\r\\n\\r\\n\"\n"},
	{"nothing to HEAD", "HEAD", "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n", "204 last\nrest \"\"\n"},

	// Lines.
	{"an empty line before", "GET", "\r\nHTTP/1.1 200 OK\r\n\r\n", "502 a malformed status line\n"},
	{"a status below 100", "GET", "HTTP/1.1 099 x\r\n\r\n", "502 a status below 100\n"},
	{"a status of two digits", "GET", "HTTP/1.1 20 OK\r\n\r\n", "502 a malformed status line\n"},
	{"a status of four digits", "GET", "HTTP/1.1 2000 OK\r\n\r\n", "502 a malformed status line\n"},
	{"a status with a sign", "GET", "HTTP/1.1 +20 OK\r\n\r\n", "502 a malformed status line\n"},
	{"no status", "GET", "HTTP/1.1 OK\r\n\r\n", "502 a malformed status line\n"},
	{"a version only", "GET", "HTTP/1.1\r\n\r\n", "502 a malformed status line\n"},
	{"two spaces", "GET", "HTTP/1.1  200 OK\r\n\r\n", "502 a malformed status line\n"},
	{"a tab", "GET", "HTTP/1.1 200\tOK\r\n\r\n", "502 a malformed status line\n"},
	{"another version", "GET", "HTTP/1.2 200 OK\r\n\r\n", "502 a malformed status line\n"},
	{"HTTP/2", "GET", "HTTP/2.0 200 OK\r\n\r\n", "502 a malformed status line\n"},
	{"another protocol", "GET", "ICY 200 OK\r\n\r\n", "502 a malformed status line\n"},
	{"a control character in the reason", "GET", "HTTP/1.1 200 O\x01K\r\n\r\n", "502 a control character\n"},
	{"a bare LF in the line", "GET", "HTTP/1.1 200 OK\nA: b\r\n\r\n", "502 a LF without CR\n"},
	{"a bare CR in the line", "GET", "HTTP/1.1 200 OK\rA: b\r\n\r\n", "502 a CR without LF\n"},
	{"bare LF everywhere", "GET", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", "502 a LF without CR\n"},
	{"a folded line", "GET", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n", "502 a folded line\n"},
	{"a space before the colon", "GET", "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n", "502 white space in a field name\n"},
	{"NUL in a value", "GET", "HTTP/1.1 200 OK\r\nA: b\x00\r\n\r\n", "502 a control character\n"},
	{"too large a head", "GET", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 3000) + "\r\n\r\n", "502 the head is too large\n"},
	{"too many fields", "GET", "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 21) + "\r\n", "502 too many fields\n"},
	{"cut off", "GET", "HTTP/1.1 200 OK\r\nA: b\r\n", "unexpected EOF\n"},

	// Framing.
	{"length and coding", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "502 Transfer-Encoding with Content-Length\n"},
	{"length and coding to HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "502 Transfer-Encoding with Content-Length\n"},
	{"the same length twice", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nabcde", "502 several Content-Length fields\n"},
	{"a coding in HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "502 a transfer coding in HTTP/1.0\n"},
	{"two codings", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "502 several Transfer-Encoding fields\n"},
	{"cut off in its content", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", "200 sized 5\ncontent \"abc\"\nunexpected EOF\n"},
	{"cut off in chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "200 chunked\ncontent \"abc\"\nunexpected EOF\n"},
}

func TestAnswersAreReadOneWayHoweverTheyArrive(t *testing.T) {
	t.Parallel()
	for _, c := range responses {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			side{c.method}.test(t, c.raw, c.want)
		})
	}
}
