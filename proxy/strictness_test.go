package proxy_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// strictCase is what a client sends, and what comes of it. Behind everything that is sent follows one more request, for
// /000/behind, which is answered only when the connection was kept. /000/ becomes a path of the
// case's own, of the same length.
type strictCase struct {
	name    string
	sends   string
	wants   string   // the statuses of all answers, "a|b" for either
	partial bool     // the upstream may have seen the beginning of a message, without its end
	sees    []string // what is among the bytes that the upstream saw
	hides   []string // what is not, in any case
}

const (
	get  = "GET /000/ HTTP/1.1\r\nHost: localhost\r\n"
	post = "POST /000/ HTTP/1.1\r\nHost: localhost\r\n"
	// smuggled stands where a second request would come out if anybody were of another opinion about the first one's end.
	smuggled = "GET /000/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
	behind   = "GET /000/behind HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
)

// sized is the rest of a head, and content of a length.
func sized(content string) string {
	return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(content), content)
}

// chunk is one chunk of content.
func chunk(content string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(content), content) }

// runStrict runs the cases over TLS and over a plain connection, each with a recording upstream of its own.
func runStrict(t *testing.T, settings string, cases []strictCase) {
	t.Helper()
	for name, plain := range map[string]bool{"tls": false, "plain": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstreams, targets := make([]*recording, len(cases)), make([]string, len(cases))
			for i := range cases {
				upstreams[i] = record(t)
				targets[i] = upstreams[i].address
			}
			e := lanes(t, plain, settings, "", targets...)
			answers, errs := make([][]answer, len(cases)), make([]error, len(cases))
			abreast(cases, func(i int, c strictCase) {
				answers[i], errs[i] = e.converse(strings.ReplaceAll(c.sends+behind, "/000/", fmt.Sprintf("/%03d/", i)))
			})
			if err := e.stop(); err != nil { // then everything that goes to an upstream has come there
				t.Error(err)
			}
			for i, c := range cases {
				t.Run(c.name, func(t *testing.T) { c.judge(t, answers[i], errs[i], upstreams[i].wait(t)) })
			}
		})
	}
}

// judge compares what came of a case with what should.
func (c strictCase) judge(t *testing.T, answers []answer, err error, connections []string) {
	t.Helper()
	if got := statuses(answers); err != nil || !oneOf(got, c.wants) {
		t.Errorf("answers %q (%v), want %s, to %.300q", got, err, c.wants, c.sends)
	}
	if len(answers) > 0 && !answers[len(answers)-1].Close {
		t.Error("the last answer does not say that the connection ends")
	}
	judgeUpstream(t, connections, strings.Count(statuses(answers), "200"), c.partial, c.sees, c.hides)
}

// atMostOne request, when it is not known how many.
const atMostOne = -1

// judgeUpstream checks that an upstream saw as many requests as were served, in a form that nobody reads in another way. One
// more may be cut off, where partial says so.
func judgeUpstream(t *testing.T, connections []string, served int, partial bool, sees, hides []string) {
	t.Helper()
	complete, cut := 0, 0
	for _, connection := range connections {
		requests, whole, err := readStrictly(connection)
		if err != nil {
			t.Errorf("the upstream saw %v, in %.300q", err, connection)
		}
		complete += len(requests)
		if !whole {
			cut++
		}
		for _, request := range requests {
			if strings.Contains(request.target, "smuggled") {
				t.Errorf("a request was smuggled: %.300q", connection)
			}
		}
	}
	if served == atMostOne {
		served = min(complete, 1)
	}
	if complete != served || cut > 0 && !partial || cut > 1 {
		t.Errorf("%d requests are answered, the upstream saw %d and %d cut off: %.300q", served, complete, cut, connections)
	}
	text := strings.Join(connections, "")
	for _, part := range sees {
		if !strings.Contains(text, part) {
			t.Errorf("the upstream saw no %q in %.600q", part, text)
		}
	}
	for _, part := range hides {
		if strings.Contains(strings.ToLower(text), strings.ToLower(part)) {
			t.Errorf("the upstream saw %q in %.600q", part, text)
		}
	}
}

func TestRequestLinesAreTakenOnlyInOneForm(t *testing.T) {
	t.Parallel()
	cases := []strictCase{
		{name: "an empty line ahead", sends: "\r\n" + get + "\r\n", wants: "200 200"},
		{name: "a bare LF ahead", sends: "\n" + get + "\r\n", wants: "400"},
		{name: "OPTIONS", sends: "OPTIONS /000/ HTTP/1.1\r\nHost: localhost\r\n\r\n", wants: "200 200"},
		{name: "HEAD", sends: "HEAD /000/ HTTP/1.1\r\nHost: localhost\r\n\r\n", wants: "200 200", sees: []string{"HEAD "}},
		{name: "an unusual token", sends: "M-SEARCH!#$%&'*+.^_`|~1 /000/ HTTP/1.1\r\nHost: localhost\r\n\r\n", wants: "200 200", sees: []string{"M-SEARCH!#$%&'*+.^_`|~1 /"}},
		{name: "lower case is another method", sends: "get /000/ HTTP/1.1\r\nHost: localhost\r\n\r\n", wants: "200 200", sees: []string{"get /"}},
		{name: "CONNECT with an authority", sends: "CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n", wants: "501|501 200"},
		{name: "CONNECT with a path", sends: "CONNECT /000/ HTTP/1.1\r\nHost: localhost\r\n\r\n", wants: "400|501|501 200"},
		{name: "connect", sends: "connect /000/ HTTP/1.1\r\nHost: localhost\r\n\r\n", wants: "400|405|405 200|501|501 200"},
		{name: "TRACE", sends: "TRACE /000/ HTTP/1.1\r\nHost: localhost\r\n\r\n", wants: "501|501 200"},
		{name: "TRACE with content", sends: "TRACE /000/ HTTP/1.1\r\nHost: localhost\r\n" + sized(smuggled), wants: "501"},
		{name: "trace", sends: "trace /000/ HTTP/1.1\r\nHost: localhost\r\n\r\n", wants: "405|405 200|501|501 200"},
		{name: "HTTP/0.9 spelt out", sends: "GET /000/ HTTP/0.9\r\nHost: localhost\r\n\r\n", wants: "505"},
		{name: "HTTP/1.2", sends: "GET /000/ HTTP/1.2\r\nHost: localhost\r\n\r\n", wants: "505"},
		{name: "HTTP/2.0", sends: "GET /000/ HTTP/2.0\r\nHost: localhost\r\n\r\n", wants: "505"},
		{name: "HTTP/2.0 preface", sends: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", wants: "505|400"},
		{name: "no version", sends: "GET /000/\r\nHost: localhost\r\n\r\n", wants: "400|505"},
		{name: "HTTP/1.0 without keep-alive", sends: "GET /000/ HTTP/1.0\r\nHost: localhost\r\n\r\n", wants: "200"},
		{name: "HTTP/1.0 with keep-alive", sends: "GET /000/ HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n", wants: "200 200"},
		{name: "close", sends: get + "Connection: close\r\n\r\n", wants: "200"},
		{name: "close and keep-alive", sends: get + "Connection: keep-alive, Close\r\n\r\n", wants: "200"},
		{name: "close in a second line", sends: get + "Connection: keep-alive\r\nConnection: close\r\n\r\n", wants: "200"},
	}
	for _, version := range []string{"http/1.1", "Http/1.1", "HTTP/1.10", "HTTP/01.1", "HTTP/1,1", "HTTP/1.1x", "HTTP/-1.1", "HTTP/+1.1", "HTTP/1", "HTTP/1.", "HTTP/.1", "HTTPS/1.1", "HTTP1.1", "HTTP /1.1", "HTTP/ 1.1", "HTTP/1.1 ", "HTTP/1.1\t", "FTP/1.1", "x HTTP/1.1"} {
		cases = append(cases, strictCase{name: "version " + version, sends: "GET /000/ " + version + "\r\nHost: localhost\r\n\r\n", wants: "400|505"})
	}
	for _, line := range []string{
		"GET  /000/ HTTP/1.1", "GET /000/  HTTP/1.1", "GET\t/000/ HTTP/1.1", "GET /000/\tHTTP/1.1", " GET /000/ HTTP/1.1", "\tGET /000/ HTTP/1.1", "GET/000/ HTTP/1.1", "GET /000/HTTP/1.1",
		"GET HTTP/1.1", "GET  HTTP/1.1", " /000/ HTTP/1.1", "/000/ HTTP/1.1", "GET", "GET ", ":",
		"G\x00T /000/ HTTP/1.1", "G(T /000/ HTTP/1.1", "G\"T /000/ HTTP/1.1", "G,T /000/ HTTP/1.1", "G/T /000/ HTTP/1.1", "G:T /000/ HTTP/1.1", "G\x7fT /000/ HTTP/1.1", "G\xc3\xa9T /000/ HTTP/1.1", "G\rT /000/ HTTP/1.1",
		"GET /000/a b HTTP/1.1", "GET /000/\x00 HTTP/1.1", "GET /000/\x01 HTTP/1.1", "GET /000/\x1f HTTP/1.1", "GET /000/\x7f HTTP/1.1", "GET /000/\r HTTP/1.1", "GET /000/\x0b HTTP/1.1", "GET /000/?\x00 HTTP/1.1", "GET /000/?\x01 HTTP/1.1", "GET /000/?a\rb HTTP/1.1",
		"GET 000/ HTTP/1.1", "GET ?/000/ HTTP/1.1", "GET localhost HTTP/1.1", "GET localhost:443 HTTP/1.1", "GET //localhost:443 HTTP/1.1\rx", "GET \\000\\ HTTP/1.1",
		"GET ftp://localhost/000/ HTTP/1.1", "GET gopher://localhost/000/ HTTP/1.1", "GET ws://localhost/000/ HTTP/1.1", "GET file:///000/ HTTP/1.1", "GET javascript:alert(1) HTTP/1.1",
		"GET http:///000/ HTTP/1.1", "GET http:/000/ HTTP/1.1", "GET http:p/ HTTP/1.1", "GET http:// HTTP/1.1", "GET http://?x HTTP/1.1",
		"GET http://user@localhost/000/ HTTP/1.1", "GET http://user:secret@localhost/000/ HTTP/1.1", "GET http://@localhost/000/ HTTP/1.1",
		"GET http://localhost:x/000/ HTTP/1.1", "GET http://localhost:70000/000/ HTTP/1.1", "GET http://local\\host/000/ HTTP/1.1", "GET http://[::1/000/ HTTP/1.1",
	} {
		cases = append(cases, strictCase{name: fmt.Sprintf("line %q", line), sends: line + "\r\nHost: localhost\r\n\r\n", wants: "400"})
	}
	for _, target := range []string{"/000/%00", "/000/%0", "/000/%", "/000/%zz", "/000/%2", "/000/%e", "*"} { // the framing is beyond doubt
		cases = append(cases, strictCase{name: target, sends: "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n", wants: "400|400 200"})
	}
	runStrict(t, "", cases)
}

func TestATargetMayNameTheHostItself(t *testing.T) {
	t.Parallel()
	runStrict(t, "", []strictCase{
		{name: "it replaces Host", sends: "GET http://localhost/000/x?y HTTP/1.1\r\nHost: evil.example\r\n\r\n", wants: "200 200", sees: []string{"/x?y HTTP/1.1\r\n", "Host: localhost\r\n"}, hides: []string{"evil"}},
		{name: "with the other scheme", sends: "GET https://localhost/000/ HTTP/1.1\r\nHost: evil.example\r\n\r\n", wants: "200 200", hides: []string{"evil"}},
		{name: "in capitals", sends: "GET HTTP://LOCALHOST/000/ HTTP/1.1\r\nHost: evil.example\r\n\r\n", wants: "200 200", hides: []string{"evil"}},
		{name: "with a port", sends: "GET http://localhost:8080/000/ HTTP/1.1\r\nHost: evil.example\r\n\r\n", wants: "200 200", sees: []string{"Host: localhost:8080\r\n"}, hides: []string{"evil"}},
		{name: "a host that nobody serves", sends: "GET http://evil.example/000/ HTTP/1.1\r\nHost: localhost\r\n\r\n", wants: "404 200|404"},
		{name: "without a path", sends: "GET http://localhost HTTP/1.1\r\nHost: localhost\r\n\r\n", wants: "404 200"}, // no case is served there
		{name: "without a path, with a query", sends: "GET http://localhost?/000/ HTTP/1.1\r\nHost: localhost\r\n\r\n", wants: "404 200"},
		{name: "without Host", sends: "GET http://localhost/000/ HTTP/1.1\r\n\r\n", wants: "400"},
		{name: "with two Hosts", sends: "GET http://localhost/000/ HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", wants: "400"},
		{name: "with an invalid Host", sends: "GET http://localhost/000/ HTTP/1.1\r\nHost: a@b\r\n\r\n", wants: "400"},
		{name: "with content", sends: "POST http://localhost/000/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello", wants: "200 200", sees: []string{"hello"}},
		{name: "in HTTP/1.0", sends: "GET http://localhost/000/ HTTP/1.0\r\n\r\n", wants: "200|400"},
	})
}

func TestHostsAreTakenOnlyWhenValid(t *testing.T) {
	t.Parallel()
	const line = "GET /000/ HTTP/1.1\r\n"
	cases := []strictCase{
		{name: "none", sends: line + "\r\n", wants: "400"},
		{name: "none in HTTP/1.0", sends: "GET /000/ HTTP/1.0\r\n\r\n", wants: "400"},
		{name: "twice the same", sends: line + "Host: localhost\r\nHost: localhost\r\n\r\n", wants: "400"},
		{name: "twice", sends: line + "Host: localhost\r\nhost: evil.example\r\n\r\n", wants: "400"},
		{name: "once with an underscore", sends: line + "Host_: localhost\r\n\r\n", wants: "400"},
		{name: "in capitals", sends: line + "HOST: LocalHost\r\n\r\n", wants: "200 200"},
		{name: "with a port", sends: line + "Host: localhost:443\r\n\r\n", wants: "200 200", sees: []string{"Host: localhost:443\r\n"}},
		{name: "with the last port", sends: line + "Host: localhost:65535\r\n\r\n", wants: "200 200"},
		{name: "unknown", sends: line + "Host: evil.example\r\n\r\n", wants: "404 200|404"},
		{name: "an address nobody serves", sends: line + "Host: [::1]:443\r\n\r\n", wants: "404 200|404"},
	}
	for _, host := range []string{
		"", " ", "user@localhost", "user:secret@localhost", "@localhost", "localhost/", "localhost/000/", "localhost?", "localhost#", "localhost\\", "http://localhost", "localhost:x", "localhost:8a",
		"localhost:+80", "localhost:-1", "localhost:65536", "localhost:70000", "localhost:99999999999999999999", "localhost:80:80", "local host", "localhost\tx", "localhost, evil.example", "localhost;x",
		"[::1", "::1]", "[::1]x", "[::1]]", "[zz]", "[]", "[::1%25lo]", "[localhost]", "::1", "localhost\x00", "\x01localhost", "localhost\x7f", "localhost\r", "<localhost>", "\"localhost\"", "localhost%00", "localhost%", "local\xffhost",
	} {
		cases = append(cases, strictCase{name: fmt.Sprintf("%q", host), sends: line + "Host: " + host + "\r\n\r\n", wants: "400"})
	}
	runStrict(t, "", cases)
}

func TestFieldLinesAreTakenOnlyInOneForm(t *testing.T) {
	t.Parallel()
	cases := []strictCase{
		{name: "white space around a value", sends: get + "X:  \t a b\tc \t\r\nY:z\r\nZ:\r\n\r\n", wants: "200 200", sees: []string{"\r\nX: a b\tc\r\n", "\r\nY: z\r\n"}},
		{name: "bytes above ASCII in a value", sends: get + "X: \xc3\xa9\xff\r\n\r\n", wants: "200 200", sees: []string{"X: \xc3\xa9\xff\r\n"}},
		{name: "an order, and repetitions", sends: get + "X-B: 1\r\nX-A: 2\r\nX-B: 3\r\n\r\n", wants: "200 200", sees: []string{"X-B: 1\r\nX-A: 2\r\nX-B: 3\r\n"}},
		{name: "a folded first line", sends: "GET /000/ HTTP/1.1\r\n Host: localhost\r\nHost: localhost\r\n\r\n", wants: "400"},
		{name: "a folded line", sends: get + "X: a\r\n b\r\n\r\n", wants: "400"},
		{name: "a line folded by a tab", sends: get + "X: a\r\n\tTransfer-Encoding: chunked\r\n\r\n", wants: "400"},
		{name: "a folded empty line", sends: get + "X: a\r\n \r\n\r\n", wants: "400"},
		{name: "a folded Host", sends: "GET /000/ HTTP/1.1\r\nHost:\r\n localhost\r\n\r\n", wants: "400"},
		{name: "LF after the request line", sends: "GET /000/ HTTP/1.1\nHost: localhost\r\n\r\n", wants: "400"},
		{name: "LF after a field", sends: "GET /000/ HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n", wants: "400"},
		{name: "LF after the last field", sends: "GET /000/ HTTP/1.1\r\nHost: localhost\n\r\n", wants: "400"},
		{name: "LF at the end", sends: get + "X: y\r\n\n", wants: "400"},
		{name: "LF throughout", sends: "GET /000/ HTTP/1.1\nHost: localhost\n\n", wants: "400"},
		{name: "LF and a hidden field", sends: get + "X: y\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello", wants: "400"},
		{name: "CR after a field", sends: get + "X: y\rZ: z\r\n\r\n", wants: "400"},
		{name: "CR after the request line", sends: "GET /000/ HTTP/1.1\rHost: localhost\r\n\r\n", wants: "400"},
		{name: "CR CR LF", sends: get + "X: y\r\r\n\r\n", wants: "400"},
		{name: "CR CR LF at the end", sends: get + "X: y\r\n\r\r\n", wants: "400"},
		{name: "CR LF CR and more", sends: get + "X: y\r\n\rGET /000/smuggled HTTP/1.1\r\n\r\n", wants: "400"},
	}
	for _, line := range []string{
		"X", "X y", ":", ": y", " : y", "X : y", "X\t: y", "X y: z", " X: y", "\tX: y", "X\x00: y", "X\x01: y", "X\x0b: y", "X\x7f: y", "X\r: y", "X\xc3\xa9: y", "\xff: y",
		"X(y): z", "X,y: z", "X/y: z", "X;y: z", "X<y>: z", "X=y: z", "X?: y", "X@y: z", "X[y]: z", "X\\y: z", "X{y}: z", "\"X\": y", "X\u00a0: y",
		"X: \x00", "X: a\x00b", "X: a\x01b", "X: \x08", "X: a\x0bb", "X: a\x0cb", "X: \x1b[0m", "X: a\x7f", "X: a\rb", "Host : localhost", "Content-Length : 5", "Transfer-Encoding : chunked", "Transfer-Encoding\t: chunked",
	} {
		cases = append(cases, strictCase{name: fmt.Sprintf("%q", line), sends: get + line + "\r\n\r\n", wants: "400"})
	}
	runStrict(t, "", cases)
}

func TestHeadsAreTakenOnlyWithinBounds(t *testing.T) {
	t.Parallel()
	line := strings.Repeat("x", 70<<10)
	runStrict(t, "", []strictCase{
		{name: "a long target", sends: "GET /000/" + line + " HTTP/1.1\r\nHost: localhost\r\n\r\n", wants: "414"},
		{name: "a long query", sends: "GET /000/?" + line + " HTTP/1.1\r\nHost: localhost\r\n\r\n", wants: "414"},
		{name: "a target without end", sends: "GET /000/" + line, wants: "414"},
		{name: "a method without end", sends: line, wants: "400|501|431|414"},
		{name: "empty lines without end", sends: strings.Repeat("\r\n", 40<<10), wants: "400|431"},
		{name: "a long value", sends: get + "X: " + line + "\r\n\r\n", wants: "431"},
		{name: "a value without end", sends: get + "X: " + line, wants: "431"},
		{name: "a name without end", sends: get + line, wants: "431|400"},
		{name: "much in all", sends: get + strings.Repeat("X: "+strings.Repeat("y", 7000)+"\r\n", 12) + "\r\n", wants: "431"},
		{name: "many fields", sends: get + strings.Repeat("X: y\r\n", 5000) + "\r\n", wants: "431"},
		{name: "fields without end", sends: get + strings.Repeat("X: y\r\n", 20000), wants: "431"},
		{name: "a usual amount", sends: get + strings.Repeat("X: "+strings.Repeat("y", 200)+"\r\n", 60) + "\r\n", wants: "200 200"},
	})
	runStrict(t, "limits: {header_bytes: 4KiB, target_bytes: 300, header_fields: 20}\n", []strictCase{
		{name: "a target below", sends: "GET /000/?" + strings.Repeat("x", 250) + " HTTP/1.1\r\nHost: localhost\r\n\r\n", wants: "200 200"},
		{name: "a target beyond", sends: "GET /000/?" + strings.Repeat("x", 300) + " HTTP/1.1\r\nHost: localhost\r\n\r\n", wants: "414"},
		{name: "fields below", sends: get + strings.Repeat("X: y\r\n", 18) + "\r\n", wants: "200 200"},
		{name: "fields beyond", sends: get + strings.Repeat("X: y\r\n", 20) + "\r\n", wants: "431"},
		{name: "trailers beyond", sends: post + "Transfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("X: y\r\n", 21) + "\r\n", wants: "400|431", partial: true},
		{name: "below a bound of one's own", sends: get + "X: " + strings.Repeat("x", 3000) + "\r\n\r\n", wants: "200 200"},
		{name: "beyond a bound of one's own", sends: get + "X: " + strings.Repeat("x", 5000) + "\r\n\r\n", wants: "431"},
	})
}

// forgery is what a client says to be taken for somebody else, in names that the edge, or only some applications, know.
var forgery = []string{
	"X-Forwarded-For: forged", "x-forwarded-for: forged", "X-FORWARDED-FOR: forged", "X_Forwarded_For: forged", "X-Forwarded_For: forged", "X_FORWARDED-FOR: forged",
	"X-Forwarded-Proto: forged", "X-Forwarded-Host: forged", "X-Forwarded-Port: forged", "X-Forwarded-Prefix: forged", "X-Forwarded-Server: forged", "X-Forwarded-Ssl: forged", "X-Forwarded: forged",
	"Forwarded: for=forged", "X-Real-IP: forged", "x-real-ip: forged", "X_Real_IP: forged", "True-Client-IP: forged", "Proxy: forged", "X_Auth_User: forged", "_: forged", "X_: forged", "_X: forged",
	"Content_Length: forged", "Transfer_Encoding: forged", "X-Request-ID: forged", "Keep-Alive: forged", "Proxy-Connection: forged", "TE: forged", "Upgrade: forged",
	"X.Real.IP: forged", "X+Forwarded+For: forged", "X.Forwarded-Proto: forged", "X|Forwarded|Host: forged", "Content.Length: forged", "Transfer.Encoding: forged", "X.Request.ID: forged",
	"Client-IP: forged", "WL-Proxy-Client-IP: forged", "X-Remote-Addr: forged", "X-Original-URL: forged", "X-Rewrite-URL: forged",
}

func TestFieldsThatOnlyTheEdgeMayWriteAreReplaced(t *testing.T) {
	t.Parallel()
	told := []string{"\r\nX-Forwarded-For: 127.0.0.1\r\n", "\r\nX-Forwarded-Host: localhost\r\n"}
	cases := []strictCase{
		{name: "all at once", sends: get + strings.Join(forgery[:26], "\r\n") + "\r\n\r\n", wants: "200 200", sees: told, hides: []string{"forged"}},
		{name: "named by Connection", sends: get + "Connection: X-Forwarded-For, x-real-ip, X-Forwarded-Host,X-Forwarded-Proto, X-Request-ID, Traceparent\r\n\r\n", wants: "200 200", sees: append([]string{"X-Real-IP: ", "X-Forwarded-Proto: ", "X-Request-ID: ", "raceparent: "}, told...)},
		{name: "Host named by Connection", sends: get + "Connection: Host\r\n\r\n", wants: "200 200|400"},
		{name: "a length named by Connection", sends: post + "Connection: Content-Length\r\n" + sized(smuggled), wants: "200 200|400"},
		{name: "a coding named by Connection", sends: post + "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(smuggled) + "0\r\n\r\n", wants: "200 200|400"},
		{name: "fields of the connection", sends: get + "Connection: X-Mine, keep-alive\r\nConnection: X-Other\r\nX-Mine: private\r\nx-other: private\r\nX-Third: public\r\n\r\n", wants: "200 200", sees: []string{"X-Third: public"}, hides: []string{"private"}},
		{name: "a list of nothing", sends: get + "Connection: ,, ,\r\n\r\n", wants: "200 200|400"},
		{name: "h2c", sends: get + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n", wants: "200 200", hides: []string{"h2c", "HTTP2-Settings", "\r\nUpgrade"}},
		{name: "an upgrade without Connection", sends: get + "Upgrade: websocket\r\n\r\n", wants: "200 200", hides: []string{"websocket"}},
		{name: "an upgrade with content", sends: post + "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello", wants: "200 200|400", hides: []string{"websocket"}},
		{name: "an upgrade in HTTP/1.0", sends: "GET /000/ HTTP/1.0\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", wants: "200", hides: []string{"websocket"}},
		{name: "TE for trailers", sends: get + "Connection: TE\r\nTE: trailers, deflate\r\n\r\n", wants: "200 200", hides: []string{"deflate"}},
		{name: "an expectation that nobody knows", sends: post + "Expect: 200-ok\r\n" + sized(smuggled), wants: "417|417 200"},
		{name: "two expectations", sends: post + "Expect: 100-continue, 200-ok\r\n" + sized(smuggled), wants: "417|417 200"},
		{name: "an expectation without content", sends: get + "Expect: nothing\r\n\r\n", wants: "417|417 200"},
		{name: "an expectation in HTTP/1.0", sends: "POST /000/ HTTP/1.0\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", wants: "200", sees: []string{"hello"}},
	}
	for _, line := range forgery {
		cases = append(cases, strictCase{name: line, sends: get + line + "\r\n\r\n", wants: "200 200", sees: told, hides: []string{"forged"}})
	}
	runStrict(t, "", cases)
}

func TestThePathThatIsForwardedIsTheOneThatWasMatched(t *testing.T) {
	t.Parallel()
	var cases []strictCase
	for sends, sees := range map[string]string{
		"/000/a/./b": "a/b", "/000/a/../b": "b", "/000/a/%2e%2e/b": "b", "/000/a/%2E%2e/b": "b", "/000/a/.%2e/b": "b", "/000/a/%2e./b": "b", "/000/a/%2e/b": "a/b", "/000/a/..": "", "/000/a/.": "a/",
		"/../000/b": "b", "/x/../000/b": "b", "/%2e%2e/000/b": "b", "/x/y/../../000/b": "b", "/%2e/000/b": "b", "/000/a//b": "a//b", "/000/a//../b": "a/b", "/000/%61": "a", "/000/%7euser": "~user",
		"/000/a%2fb": "a%2Fb", "/000/a%2F..%2fb": "a%2F..%2Fb", "/000/%252e%252e/b": "%252e%252e/b", "/000/a;x=1": "a;x=1", "/000/a|b": "a%7Cb", "/000/\"<>": "%22%3C%3E", "/000/\xc3\xa9": "%C3%A9", "/000/%c3%a9": "%C3%A9",
		"/000/a%5c..%5cb": "a%5C..%5Cb", "/000/a?b=../c&d=%2e": "a?b=../c&d=%2e", "/000/?": "?", "/000/?a?b": "?a?b", "/000/%0d%0aX:y": "%0D%0AX:y",
	} {
		cases = append(cases, strictCase{name: fmt.Sprintf("%q", sends), sends: "GET " + sends + " HTTP/1.1\r\nHost: localhost\r\n\r\n", wants: "200 200", sees: []string{"/" + sees + " HTTP/1.1\r\n"}})
	}
	for _, sends := range []string{"/000/../smuggled", "/000/%2e%2e/smuggled", "/000/a/../../smuggled", "//000/", "/000%2f", "/00/"} { // elsewhere, where nothing is served
		cases = append(cases, strictCase{name: fmt.Sprintf("%q", sends), sends: "GET " + sends + " HTTP/1.1\r\nHost: localhost\r\n\r\n", wants: "404 200"})
	}
	runStrict(t, "", cases)
}

func TestARouteMayRefuseEncodedSlashes(t *testing.T) {
	t.Parallel()
	app := echo(t)
	e := start(t, site(app, "      - {path: /, upstream: app}\n      - {path: /passes/, upstream: app, encoded_slash: pass}\n      - {path: /refuses/, upstream: app, encoded_slash: refuse}"))
	for path, wants := range map[string]string{
		"/a%2fb": `"URI":"/a%2Fb"`, "/passes/a%2Fb": `"URI":"/passes/a%2Fb"`, "/refuses/a%2Fb": "HTTP/1.1 400 ", "/refuses/a%2fb": "HTTP/1.1 400 ",
		"/x/%2e%2e/refuses/a%2fb": "HTTP/1.1 400 ", "/refuses/a/b": `"URI":"/refuses/a/b"`, "/refuses/a%252fb": `"URI":"/refuses/a%252fb"`, "/refuses/?q=%2f": `"URI":"/refuses/?q=%2f"`,
	} {
		if answer := e.raw("GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); !strings.Contains(answer, wants) {
			t.Errorf("%s: no %s in %s", path, wants, answer)
		}
	}
}

// Many servers decode a path before they look at it, and so find /admin/x in /admin%2Fx.
func TestNoReadingOfAPathGetsPastThePoliciesOfAnotherRoute(t *testing.T) {
	t.Parallel()
	app := echo(t)
	e := start(t, `upstreams: {app: {targets: ["`+app+`"]}, same: {targets: ["`+app+`"]}}
sites:
  - hosts: [localhost]
    routes:
      - {path: /, upstream: app}
      - {path: /admin/, upstream: app, deny: [127.0.0.1]}
      - {path: /slow/, upstream: same, deny: [127.0.0.1]}
      - {path: /elsewhere/, redirect: {to: "https://elsewhere.example/"}}
      - {path: /app/, upstream: app, strip_prefix: true}
      - {path: /app/admin/, upstream: app, deny: [127.0.0.1]}
  - hosts: [part.localhost]
    routes:
      - {path: /part/, upstream: app}
`)
	for _, c := range []struct{ host, path, wants string }{
		{"localhost", "/admin/x", "403"},
		{"localhost", "//admin/x", "400"},
		{"localhost", "/admin%2Fx", "400"},
		{"localhost", "/admin%2fx", "400"},
		{"localhost", "/admin%2F", "400"},
		{"localhost", "/%2Fadmin/x", "400"},
		{"localhost", "//%2F/admin%2Fx", "400"},
		{"localhost", "/x%2F..%2Fadmin/x", "400"},
		{"localhost", "/x/..%2Fadmin%2Fx", "400"},
		{"localhost", "/admin%2F..%2Fx", "400"},
		{"localhost", "/x%2F..%2Fadmin%2Fa%2F%2F..%2F..", "400"},
		{"localhost", "/slow%2Fx", "400"},
		{"localhost", "/elsewhere%2Fx", "400"},
		{"localhost", "/app/admin%2Fx", "400"},
		{"localhost", "/app/..%2Fadmin/x", "400"},
		{"part.localhost", "/part/..%2Fadmin/x", "400"},
		{"localhost", "/x%2Fadmin/", "/x%2Fadmin/"},
		{"localhost", "/x%2F..%2Fy", "/x%2F..%2Fy"},
		{"localhost", "/a%2Fb//c?q=/%2Fadmin/", "/a%2Fb//c?q=/%2Fadmin/"},
		{"localhost", "/admin%252Fx", "/admin%252Fx"},
		{"localhost", "/app/a%2Fb", "/a%2Fb"},
		{"part.localhost", "/part/a%2F..%2Fb", "/part/a%2F..%2Fb"},
	} {
		wants := "HTTP/1.1 " + c.wants + " "
		if c.wants[0] == '/' {
			wants = `"URI":"` + c.wants + `"`
		}
		if answer := e.raw("GET " + c.path + " HTTP/1.1\r\nHost: " + c.host + "\r\nConnection: close\r\n\r\n"); !strings.Contains(answer, wants) {
			t.Errorf("%s%s: no %s in %s", c.host, c.path, wants, answer)
		}
	}
}

func TestARouteMayLetUnderscoresThrough(t *testing.T) {
	t.Parallel()
	app := echo(t)
	e := start(t, site(app, "      - {path: /, upstream: app}\n      - {path: /old/, upstream: app, underscore_fields: true}"))
	for path, passes := range map[string]bool{"/": false, "/old/": true} {
		answer := e.raw("GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nApi_Key: mine\r\nX_Forwarded_For: forged\r\nX_Real_IP: forged\r\nX-Forwarded_Proto: forged\r\nTrue_Client_IP: forged\r\nContent_Length: 9\r\nTransfer_Encoding: chunked\r\n\r\n")
		if !strings.HasPrefix(answer, "HTTP/1.1 200 ") || strings.Contains(answer, "mine") != passes || strings.Contains(answer, "forged") || strings.Contains(answer, "Content_") || strings.Contains(answer, "Transfer_") {
			t.Errorf("%s: %s", path, answer)
		}
	}
}

func TestThePortThatRedirectsIsAsStrict(t *testing.T) {
	t.Parallel()
	upstream := record(t)
	e := lanes(t, false, "", "", upstream.address)
	for sends, wants := range map[string]string{
		get + "\r\n":           "308 308",
		post + sized(smuggled): "308 308|308",
		post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": "400",
		get + "X : y\r\n\r\n":                                           "400",
		"GET /000/ HTTP/1.1\nHost: localhost\n\n":                       "400",
		"GET /000/ HTTP/1.1\r\n\r\n":                                    "400",
		"GET /000/ HTTP/1.1\r\nHost: a@b\r\n\r\n":                       "400",
		"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n": "501",
		"GET /000/ HTTP/3.0\r\nHost: localhost\r\n\r\n":                 "505|400",
	} {
		connection, err := net.Dial("tcp", e.Addrs().HTTP.String())
		if err != nil {
			t.Fatal(err)
		}
		_ = connection.SetDeadline(time.Now().Add(patience))
		answers, err := converseOver(connection, sends+behind)
		if got := statuses(answers); err != nil || !oneOf(got, wants) {
			t.Errorf("answers %q (%v), want %s, to %q", got, err, wants, sends)
		}
	}
	if err := e.stop(); err != nil {
		t.Error(err)
	}
	if saw := upstream.wait(t); len(saw) > 0 {
		t.Errorf("the upstream saw %q", saw)
	}
}
