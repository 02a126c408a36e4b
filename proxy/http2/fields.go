package http2

import (
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2/hpack"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/message"
)

// fieldList is a field block on its way into a head: hpack's decoder gives it one field after the other. It is strict: what
// HTTP/1.1 could not carry on, or would read in another way, is refused (RFC 9113 section 8.2).
type fieldList struct {
	limits *http1.Limits
	head   *message.Head   // of a request or an answer; nil for trailers
	into   *message.Fields // the head's, or those of the trailer section

	malformed string // why the message is malformed; "" when it is not
	refusal   *http1.Error

	size    int // as RFC 9113 section 6.5.2 counts it
	count   int
	regular bool // a field that is none of the pseudo-fields came

	method, scheme, path, authority, protocol, status string
	pseudo                                            uint8 // which of them came
	host                                              string
	hosts                                             int
	length                                            int64 // of Content-Length; message.Unknown without
	lengthSeen                                        bool
	cookie                                            []byte // crumbs, joined
	priority                                          string
}

// The pseudo-fields, as bits.
const (
	sawMethod = 1 << iota
	sawScheme
	sawPath
	sawAuthority
	sawProtocol
	sawStatus
)

// begin makes ready for a block.
func (l *fieldList) begin(head *message.Head, into *message.Fields) {
	*l = fieldList{limits: l.limits, head: head, into: into, length: message.Unknown, cookie: l.cookie[:0]}
}

// The refusals of messages that are well-formed.
var (
	errMethod     = &http1.Error{Status: 501, Reason: "a method that is not supported"}
	errProtocol   = &http1.Error{Status: 501, Reason: "a protocol that is not supported"}
	errTarget     = &http1.Error{Status: 400, Reason: "a malformed request target"}
	errTargetSize = &http1.Error{Status: 414, Reason: "the target is too long"}
	errAuthority  = &http1.Error{Status: 400, Reason: "an invalid authority"}
	errListSize   = &http1.Error{Status: 431, Reason: "the head is too large"}
	errFields     = &http1.Error{Status: 431, Reason: "too many fields"}
	errExpect     = &http1.Error{Status: 417, Reason: "an unknown expectation"}
)

// add takes in a field. hpack.Decoder calls it.
func (l *fieldList) add(f hpack.HeaderField) {
	l.size += len(f.Name) + len(f.Value) + entryCost
	l.count++
	switch {
	case l.malformed != "":
	case l.size > l.limits.HeadBytes:
		l.refuse(errListSize)
	case f.Name != "" && f.Name[0] == ':':
		l.malformed = l.pseudoField(f.Name, f.Value)
	default:
		l.malformed = l.field(f.Name, f.Value)
	}
}

func (l *fieldList) refuse(refusal *http1.Error) {
	if l.refusal == nil {
		l.refusal = refusal
	}
}

func (l *fieldList) pseudoField(name, value string) (malformed string) {
	if l.regular || l.head == nil {
		return "a pseudo-field behind other fields"
	}
	if !httpguts.ValidHeaderFieldValue(value) {
		return "a malformed pseudo-field"
	}
	var bit uint8
	switch name {
	case ":method":
		bit, l.method = sawMethod, value
	case ":scheme":
		bit, l.scheme = sawScheme, value
	case ":path":
		bit, l.path = sawPath, value
	case ":authority":
		bit, l.authority = sawAuthority, value
	case ":protocol":
		bit, l.protocol = sawProtocol, value
	case ":status":
		bit, l.status = sawStatus, value
	default:
		return "an unknown pseudo-field"
	}
	if l.pseudo&bit != 0 {
		return "a pseudo-field that comes twice"
	}
	l.pseudo |= bit
	return ""
}

func (l *fieldList) field(name, value string) (malformed string) {
	l.regular = true
	if !validName(name) {
		return "a malformed field name"
	}
	if !httpguts.ValidHeaderFieldValue(value) {
		return "a control character"
	}
	if value != "" && (blank(value[0]) || blank(value[len(value)-1])) {
		return "a field value with white space around it"
	}
	id := message.Known(name)
	switch id {
	case message.Connection, message.KeepAlive, message.ProxyConnection, message.TransferEncoding, message.Upgrade:
		return "a connection-specific field"
	case message.TE:
		if value != "trailers" {
			return "a TE field other than trailers"
		}
		if l.head != nil {
			l.head.Trailers = true
		}
		return ""
	}
	if l.head == nil {
		if id == message.ContentLength || id == message.Host {
			return "a trailer that frames or routes"
		}
		l.keep(id, name, value)
		return ""
	}
	switch id {
	case message.ContentLength:
		return l.contentLength(value)
	case message.Host:
		l.host = value
		l.hosts++
	case message.Expect:
		l.head.Expect = true
		if !strings.EqualFold(value, "100-continue") {
			l.refuse(errExpect)
		}
	case message.Cookie:
		if len(l.cookie) > 0 {
			l.cookie = append(l.cookie, "; "...)
		}
		l.cookie = append(l.cookie, value...)
	case message.HTTP2Settings:
	default:
		if id == message.Other && name == "priority" {
			l.priority = value
		}
		l.keep(id, name, value)
	}
	return ""
}

// keep adds a field to the list, unless there are too many: crumbs of cookies are no fields of their own.
func (l *fieldList) keep(id message.Name, name, value string) {
	if l.into.Len() >= l.limits.Fields {
		l.refuse(errFields)
	}
	if l.refusal == nil {
		l.into.AddKnown(id, name, value)
	}
}

func (l *fieldList) contentLength(value string) (malformed string) {
	if l.lengthSeen {
		return "several Content-Length fields"
	}
	l.lengthSeen = true
	length, err := strconv.ParseUint(value, 10, 63)
	if err != nil || value[0] == '+' {
		return "a malformed Content-Length"
	}
	l.length = int64(length)
	return ""
}

// validName tells whether a name is a token without upper-case letters.
func validName(name string) bool {
	for i := range len(name) {
		if c := name[i]; c < 'a' || c > 'z' {
			if c != '-' && (c < '0' || c > '9') && ('A' <= c && c <= 'Z' || !httpguts.IsTokenRune(rune(c))) {
				return false
			}
		}
	}
	return name != ""
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

// request completes the head of a request. When it is refused, the head has what was understood.
func (l *fieldList) request(endStream bool) (malformed string, refusal *http1.Error) {
	head := l.head
	head.Version = message.HTTP2
	if malformed = l.malformed; malformed == "" {
		malformed = l.pseudoFields()
	}
	if malformed != "" {
		l.tell()
		return malformed, nil
	}
	if len(l.cookie) > 0 {
		head.AddBytes(message.Cookie, l.cookie)
	}
	if !l.setMethod() {
		return "", errMethod
	}
	if l.protocol != "" && l.refusal == nil {
		if !strings.EqualFold(l.protocol, "websocket") {
			return "", errProtocol
		}
		head.Method, head.Protocol = "GET", "websocket"
	}
	if !message.ValidAuthority(l.authority) {
		return "", errAuthority
	}
	head.Authority = l.authority
	if len(l.path) > l.limits.TargetBytes {
		return "", errTargetSize
	}
	if !l.validPath() {
		return "", errTarget
	}
	head.Path, head.Query, head.HasQuery = strings.Cut(l.path, "?")
	if l.refusal != nil {
		return "", l.refusal
	}
	return l.framing(endStream), nil
}

// tell puts what is known of a malformed request into its head, for the log.
func (l *fieldList) tell() {
	if httpguts.ValidHeaderFieldName(l.method) {
		l.head.Method = l.method
	}
	if message.ValidAuthority(l.authority) {
		l.head.Authority = l.authority
	}
	if len(l.path) <= l.limits.TargetBytes {
		l.head.Path, l.head.Query, l.head.HasQuery = strings.Cut(l.path, "?")
	}
}

// pseudoFields checks that those are there that belong to a request (RFC 9113 section 8.3.1, RFC 8441 section 4).
func (l *fieldList) pseudoFields() (malformed string) {
	plain := l.method == "CONNECT" && l.pseudo&sawProtocol == 0
	switch {
	case l.pseudo&sawStatus != 0:
		return "a status in a request"
	case l.method == "", !httpguts.ValidHeaderFieldName(l.method):
		return "a malformed method"
	case plain && l.pseudo&(sawScheme|sawPath) != 0:
		return "a CONNECT with a scheme or a path"
	case plain:
		return ""
	case l.pseudo&sawProtocol != 0 && l.method != "CONNECT":
		return "a protocol without CONNECT"
	case l.scheme != "http" && l.scheme != "https":
		return "a scheme that is none of HTTP's"
	case l.path == "":
		return "an empty path"
	case l.hosts > 1:
		return "several Host fields"
	case l.pseudo&sawAuthority == 0 && l.hosts == 1 && l.protocol == "":
		l.authority = l.host
	case l.hosts == 1 && !strings.EqualFold(l.host, l.authority):
		return "a Host other than the authority"
	}
	return ""
}

// setMethod tells whether it is one that the edge forwards.
func (l *fieldList) setMethod() bool {
	switch {
	case l.protocol != "":
		return true
	case strings.EqualFold(l.method, "CONNECT"), strings.EqualFold(l.method, "TRACE"):
		return false
	}
	l.head.Method = l.method
	return true
}

func (l *fieldList) validPath() bool {
	if l.path[0] != '/' {
		return l.path == "*" && l.method == "OPTIONS"
	}
	for i := range len(l.path) {
		if c := l.path[i]; c <= ' ' || c == 0x7f || c == '#' {
			return false
		}
	}
	return true
}

// framing sets the length of the content, and checks it against the stream's end (RFC 9113 section 8.1.1).
func (l *fieldList) framing(endStream bool) (malformed string) {
	head := l.head
	switch {
	case endStream && l.length > 0:
		return "a Content-Length without content"
	case head.Protocol != "" && (endStream || l.lengthSeen):
		return "a switch of protocols with content"
	case head.Protocol != "":
		head.Length, head.Expect = 0, false // what follows belongs to the other protocol
	case endStream:
		head.Length, head.Expect = 0, false
	case l.length == 0:
		head.Length, head.Expect = 0, false
	default:
		head.Length = l.length
	}
	return ""
}

// response completes the head of an answer, an interim one too.
func (l *fieldList) response(method string, endStream bool) (malformed string) {
	head := l.head
	head.Version = message.HTTP2
	status, err := strconv.Atoi(l.status)
	switch {
	case l.malformed != "":
		return l.malformed
	case l.refusal != nil:
		return l.refusal.Reason
	case l.pseudo != sawStatus || len(l.status) != 3 || err != nil || status < 100:
		return "a malformed status"
	}
	head.Status, head.Trailers, head.Expect = status, false, false
	if len(l.cookie) > 0 {
		head.AddBytes(message.Cookie, l.cookie)
	}
	switch {
	case status < 200 && (endStream || status == 101):
		return "an interim answer that ends the stream"
	case status < 200:
		head.Length = 0
	case method == "HEAD" || status == 304:
		head.Length = l.length
	case endStream && l.length > 0 && status != 204:
		return "a Content-Length without content"
	case endStream || status == 204:
		head.Length = 0
	default:
		head.Length = l.length
	}
	return ""
}

// forget lets go of what the last block left behind.
func (l *fieldList) forget() { *l = fieldList{limits: l.limits} }
