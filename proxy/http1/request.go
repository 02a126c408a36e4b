package http1

import (
	"bytes"
	"net/http"

	"github.com/portico-web/portico/proxy/message"
)

var (
	errRequestLine = malformed("a malformed request line")
	errTarget      = malformed("a malformed request target")
	errMethod      = &Error{http.StatusNotImplemented, "a method that is not supported"}
	errVersion     = &Error{http.StatusHTTPVersionNotSupported, "a version of HTTP that is not supported"}
	errNoHost      = malformed("no Host")
	errHosts       = malformed("several Host fields")
	errHost        = malformed("an invalid Host")
)

// ReadRequest reads the head of a request. Its errors are io.EOF before the first byte, io.ErrUnexpectedEOF within the head,
// *Error, after which nothing more can be read and head holds what was understood, and those of the source. After a timeout
// of the source it may be called again, and goes on.
func (r *Reader) ReadRequest(head *message.Head, limits Limits) (Framing, error) {
	r.answers = false
	head.Reset()
	n, err := r.awaitHead(&limits, true)
	if err != nil {
		return Framing{}, err
	}
	section := head.Store(r.unread()[:n])
	r.start += n
	framing, refusal := r.parseRequest(head, section, &limits)
	if refusal != nil {
		return Framing{}, refusal
	}
	return framing, nil
}

func (r *Reader) parseRequest(head *message.Head, section []byte, limits *Limits) (Framing, *Error) {
	target, at, refusal := requestLine(head, section, limits)
	if refusal != nil {
		return Framing{}, refusal
	}
	authority, refusal := parseTarget(head, target)
	if refusal != nil {
		return Framing{}, refusal
	}
	var fields hop
	if refusal = fields.parseFields(head, section, at, limits); refusal != nil {
		return Framing{}, refusal
	}
	if refusal = r.host(head, &fields, authority); refusal != nil {
		return Framing{}, refusal
	}
	framing := Framing{Persistent: fields.persistent(head.Version)}
	switch {
	case fields.chunked:
		framing.Kind, head.Length = Chunked, message.Unknown
	case fields.length > 0:
		framing.Kind, framing.Length, head.Length = Sized, fields.length, fields.length
	default:
		head.Protocol = fields.switches(head.Version)
	}
	// HTTP/1.0 has no interim answers, and without content there is nothing to wait for (RFC 9110 section 10.1.1).
	head.Expect = fields.expect && framing.Kind != Bodiless && head.Version == message.HTTP11
	return framing, nil
}

// requestLine parses method SP request-target SP HTTP-version CRLF (RFC 9112 section 3), and gives the place behind it.
func requestLine(head *message.Head, section []byte, limits *Limits) (target []byte, next int, refusal *Error) {
	at := 0
	for classes[section[at]]&inToken != 0 {
		at++
	}
	if at == 0 || section[at] != ' ' {
		return nil, 0, inLine(section[at:], errRequestLine)
	}
	head.Method = method(section[:at])
	start := at + 1
	for at = start; classes[section[at]]&inTarget != 0; {
		at++
	}
	if target = section[start:at]; len(target) > limits.TargetBytes {
		return nil, 0, errTargetSize
	}
	if len(target) == 0 || section[at] != ' ' {
		return nil, 0, inLine(section[at:], errRequestLine)
	}
	at++
	spoken, ok := version(section[at:])
	if !ok {
		return nil, 0, inLine(section[at:], errRequestLine)
	}
	if at += versionSize; section[at] != '\r' || section[at+1] != '\n' {
		return nil, 0, inLine(section[at:], errRequestLine)
	}
	if spoken != message.HTTP10 && spoken != message.HTTP11 {
		return nil, 0, errVersion
	}
	head.Version = spoken
	if head.Method == "" {
		return nil, 0, errMethod
	}
	return target, at + 2, nil
}

// inLine is the refusal of a start line that goes wrong here, maybe for a control character.
func inLine(rest []byte, otherwise *Error) *Error {
	if control(rest[:1]) == 1 || rest[0] == '\t' || bytes.HasPrefix(rest, emptyLine[:2]) {
		return otherwise
	}
	return stray(rest[0])
}

const versionSize = len("HTTP/1.1")

// version parses HTTP-version (RFC 9112 section 2.3). A version that is none of HTTP/1's is given as message.HTTP2.
func version(text []byte) (message.Version, bool) {
	if len(text) < versionSize {
		return 0, false
	}
	text = text[:versionSize]
	switch {
	case string(text) == "HTTP/1.1":
		return message.HTTP11, true
	case string(text) == "HTTP/1.0":
		return message.HTTP10, true
	default:
		wellFormed := string(text[:5]) == "HTTP/" && classes[text[5]]&isDigit != 0 && text[6] == '.' && classes[text[7]]&isDigit != 0
		return message.HTTP2, wellFormed
	}
}

// method is a method's name, without an allocation for the usual ones; "" for those that ask for a tunnel or an echo.
func method(name []byte) string {
	switch string(name) {
	case "GET":
		return "GET"
	case "HEAD":
		return "HEAD"
	case "POST":
		return "POST"
	case "PUT":
		return "PUT"
	case "PATCH":
		return "PATCH"
	case "DELETE":
		return "DELETE"
	case "OPTIONS":
		return "OPTIONS"
	}
	if message.EqualFold(name, "CONNECT") || message.EqualFold(name, "TRACE") {
		return ""
	}
	return string(name)
}

// parseTarget splits a request target (RFC 9112 section 3.2), and returns the authority of an absolute one.
func parseTarget(head *message.Head, target []byte) (authority []byte, refusal *Error) {
	if target[0] == '/' {
		setTarget(head, target)
		return nil, nil
	}
	if string(target) == "*" {
		if head.Method != "OPTIONS" {
			return nil, errTarget
		}
		head.Path = "*"
		return nil, nil
	}
	rest, ok := cutScheme(target)
	if !ok {
		return nil, errTarget
	}
	authority = rest
	if end := bytes.IndexAny(rest, "/?"); end >= 0 {
		authority = rest[:end]
	}
	if len(authority) == 0 {
		return nil, errTarget
	}
	rest = rest[len(authority):]
	switch {
	case len(rest) == 0 && head.Method == "OPTIONS": // RFC 9112 section 3.2.4
		head.Path = "*"
	case len(rest) == 0:
		head.Path = "/"
	case rest[0] == '?':
		head.Path, head.Query, head.HasQuery = "/", string(rest[1:]), true
	default:
		setTarget(head, rest)
	}
	return authority, nil
}

// setTarget keeps path and query in one string.
func setTarget(head *message.Head, target []byte) {
	whole := string(target)
	head.Path = whole
	if mark := bytes.IndexByte(target, '?'); mark >= 0 {
		head.Path, head.Query, head.HasQuery = whole[:mark], whole[mark+1:], true
	}
}

func cutScheme(target []byte) (rest []byte, ok bool) {
	for _, scheme := range [...]string{"http://", "https://"} {
		if len(target) >= len(scheme) && message.EqualFold(target[:len(scheme)], scheme) {
			return target[len(scheme):], true
		}
	}
	return nil, false
}

// host sets the authority: that of an absolute target, or Host, which has to be there and valid in any case (RFC 9112
// sections 3.2 and 3.2.2).
func (r *Reader) host(head *message.Head, fields *hop, authority []byte) *Error {
	switch {
	case fields.hosts == 0:
		return errNoHost
	case fields.hosts > 1:
		return errHosts
	case authority == nil:
		authority = fields.host
	case !message.ValidAuthority(string(fields.host)):
		return errHost
	}
	if head.Authority = r.keepAuthority(authority); head.Authority == "" {
		return errHost
	}
	return nil
}
