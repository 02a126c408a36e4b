package http1_test

import (
	"strings"
	"testing"
)

// chunked are what may follow a head with Transfer-Encoding: chunked, and what is read. STATUS stands for that of a refusal.
var chunked = []struct{ name, raw, want string }{
	{"nothing", "0\r\n\r\n", end},
	{"one chunk", "3\r\nabc\r\n0\r\n\r\n", "content \"abc\"\n" + end},
	{"many chunks", strings.Repeat("1\r\na\r\n", 300) + "0\r\n\r\n", "content \"" + strings.Repeat("a", 300) + "\"\n" + end},
	{"large ones", "400\r\n" + strings.Repeat("x", 0x400) + "\r\n3FF\r\n" + strings.Repeat("y", 0x3ff) + "\r\n0\r\n\r\n", "content \"" + strings.Repeat("x", 0x400) + strings.Repeat("y", 0x3ff) + "\"\n" + end},
	{"either case", "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "content \"01234567890123456789\"\n" + end},
	{"zeros before the size", "0000000000000003\r\nabc\r\n000\r\n\r\n", "content \"abc\"\n" + end},
	{"data like framing", "5\r\n0\r\n\r\n\r\n0\r\n\r\n", "content \"0\\r\\n\\r\\n\"\n" + end},
	{"extensions", "3;a;b=c;d=\"e f\"\r\nabc\r\n0;x\r\n\r\n", "content \"abc\"\n" + end},
	{"trailers", "1\r\na\r\n0\r\nA: 1\r\nb:\t2 \r\nA: 3\r\n\r\n", "content \"a\"\ntrailer A: \"1\"\ntrailer b: \"2\"\ntrailer A: \"3\"\n" + end},
	{"trailers that do not belong there", "0\r\nAuthorization: x\r\nconnection: close\r\nA: 1\r\nX-Forwarded-For: y\r\nMAX-FORWARDS: 1\r\nContent-Type: z\r\nSet-Cookie: z\r\nTE: z\r\nTrailer: z\r\nWWW-Authenticate: z\r\nUpgrade: z\r\n\r\n", "trailer A: \"1\"\n" + end},
	{"only such trailers", "0\r\nContent-Encoding: gzip\r\n\r\n", end},

	{"a coding in trailers", "0\r\nTransfer-Encoding: chunked\r\n\r\n", "STATUS a trailer that frames or routes\n"},
	{"a length in trailers", "0\r\ncontent-length: 5\r\n\r\n", "STATUS a trailer that frames or routes\n"},
	{"a host in trailers", "0\r\nHost: b\r\n\r\n", "STATUS a trailer that frames or routes\n"},
	{"a bare LF in trailers", "0\r\nA: b\n\r\n", "STATUS a LF without CR\n"},
	{"a bare LF instead of trailers", "0\r\n\n", "STATUS a LF without CR\n"},
	{"a bare CR in trailers", "0\r\nA: b\rC: d\r\n\r\n", "STATUS a CR without LF\n"},
	{"a folded trailer", "0\r\nA: b\r\n c\r\n\r\n", "STATUS a folded line\n"},
	{"a space in a trailer's name", "0\r\nA : b\r\n\r\n", "STATUS white space in a field name\n"},
	{"a trailer without a colon", "0\r\nGET / HTTP/1.1\r\n\r\n", "STATUS white space in a field name\n"},
	{"a trailer without a name", "0\r\n:\r\n\r\n", "STATUS a malformed field name\n"},
	{"too many trailers", "0\r\n" + strings.Repeat("A: b\r\n", 21) + "\r\n", "STATUS too large a trailer section\n"},
	{"too large a trailer", "0\r\nA: " + strings.Repeat("b", 2048) + "\r\n\r\n", "STATUS too large a trailer section\n"},
	{"an endless trailer", "0\r\nA: " + strings.Repeat("b", 5000), "STATUS too large a trailer section\n"},

	{"no size", "\r\nabc\r\n0\r\n\r\n", "STATUS a malformed chunk size\n"},
	{"no size but an extension", ";a\r\nabc\r\n0\r\n\r\n", "STATUS a malformed chunk size\n"},
	{"a sign", "+3\r\nabc\r\n0\r\n\r\n", "STATUS a malformed chunk size\n"},
	{"a negative size", "-3\r\nabc\r\n0\r\n\r\n", "STATUS a malformed chunk size\n"},
	{"a prefix", "0x3\r\nabc\r\n0\r\n\r\n", "STATUS a malformed chunk size\n"},
	{"an underscore", "1_0\r\nabc\r\n0\r\n\r\n", "STATUS a malformed chunk size\n"},
	{"a space before the size", " 3\r\nabc\r\n0\r\n\r\n", "STATUS a malformed chunk size\n"},
	{"a space behind the size", "3 \r\nabc\r\n0\r\n\r\n", "STATUS a malformed chunk size\n"},
	{"a space before an extension", "3 ;a\r\nabc\r\n0\r\n\r\n", "STATUS a malformed chunk size\n"},
	{"a tab behind the size", "3\t\r\nabc\r\n0\r\n\r\n", "STATUS a malformed chunk size\n"},
	{"other letters", "g\r\nabc\r\n0\r\n\r\n", "STATUS a malformed chunk size\n"},
	{"a comma", "3,3\r\nabc\r\n0\r\n\r\n", "STATUS a malformed chunk size\n"},
	{"NUL", "3\x00\r\nabc\r\n0\r\n\r\n", "STATUS a malformed chunk size\n"},
	{"17 digits", "00000000000000003\r\nabc\r\n0\r\n\r\n", "STATUS a malformed chunk size\n"},
	{"a size that overflows", "ffffffffffffffff\r\nabc\r\n0\r\n\r\n", "STATUS a malformed chunk size\n"},
	{"a size that is negative", "8000000000000000\r\nabc\r\n0\r\n\r\n", "STATUS a malformed chunk size\n"},
	{"the largest size", "7fffffffffffffff\r\nabc", "content \"abc\"\nunexpected EOF\n"},
	{"a bare LF behind the size", "3\nabc\r\n0\r\n\r\n", "STATUS a malformed chunk size\n"},
	{"a bare CR behind the size", "3\rabc\r\n0\r\n\r\n", "STATUS a malformed chunk size\n"},
	{"two CRs behind the size", "3\r\r\nabc\r\n0\r\n\r\n", "STATUS a malformed chunk size\n"},
	{"a bare LF in an extension", "3;a\nabc\r\n0\r\n\r\n", "STATUS a malformed chunk extension\n"},
	{"a bare CR in an extension", "3;a\rb\r\nabc\r\n0\r\n\r\n", "STATUS a malformed chunk size\n"},
	{"a quoted line break", "3;a=\"\n\"\r\nabc\r\n0\r\n\r\n", "STATUS a malformed chunk extension\n"},
	{"a control character in an extension", "3;a\x01\r\nabc\r\n0\r\n\r\n", "STATUS a malformed chunk extension\n"},
	{"DEL in an extension", "3;a\x7f\r\nabc\r\n0\r\n\r\n", "STATUS a malformed chunk extension\n"},
	{"data that is too long", "3\r\nabcd\r\n0\r\n\r\n", "content \"abc\"\nSTATUS a chunk that does not end where its size says\n"},
	{"data that is too short", "3\r\nab\r\n0\r\n\r\n", "content \"ab\\r\"\nSTATUS a chunk that does not end where its size says\n"},
	{"data that ends with LF", "3\r\nabc\n0\r\n\r\n", "content \"abc\"\nSTATUS a chunk that does not end where its size says\n"},
	{"data that ends with CR", "3\r\nabc\r0\r\n\r\n", "content \"abc\"\nSTATUS a chunk that does not end where its size says\n"},
	{"no last chunk", "3\r\nabc\r\n", "content \"abc\"\nunexpected EOF\n"},
	{"no empty line", "3\r\nabc\r\n0\r\n", "content \"abc\"\nunexpected EOF\n"},
	{"half an empty line", "3\r\nabc\r\n0\r\n\r", "content \"abc\"\nunexpected EOF\n"},
	{"cut off in the size", "3", "unexpected EOF\n"},

	{"the longest extension", "3;" + strings.Repeat("a", 1023) + "\r\nabc\r\n0\r\n\r\n", "content \"abc\"\n" + end},
	{"too long an extension", "3;" + strings.Repeat("a", 1024) + "\r\nabc\r\n0\r\n\r\n", "STATUS too many bytes of chunk extensions\n"},
	{"short extensions", strings.Repeat("1;0123456789abcd\r\na\r\n", 3000) + "0\r\n\r\n", "content \"" + strings.Repeat("a", 3000) + "\"\n" + end},
	{"extensions that the content justifies", strings.Repeat("50;"+strings.Repeat("s", 90)+"\r\n"+strings.Repeat("a", 0x50)+"\r\n", 300) + "0\r\n\r\n", "content \"" + strings.Repeat("a", 0x50*300) + "\"\n" + end},
	{"too many extensions", strings.Repeat("1;"+strings.Repeat("s", 1000)+"\r\na\r\n", 20) + "0\r\n\r\n", "content \"" + strings.Repeat("a", 16) + "\"\nSTATUS too many bytes of chunk extensions\n"},
}

const chunkedRequest = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

func TestChunksAreReadOneWayHoweverTheyArrive(t *testing.T) {
	t.Parallel()
	for _, c := range chunked {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			want := strings.Replace(c.want, "STATUS", "400", 1)
			side{}.test(t, chunkedRequest+c.raw, "POST a / chunked\n"+want)
			want = strings.Replace(c.want, "STATUS", "502", 1)
			side{"GET"}.test(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+c.raw, "200 chunked\n"+want)
		})
	}
}
