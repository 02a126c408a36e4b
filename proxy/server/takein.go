package server

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/message"
)

var (
	errMethodName = malformed("a malformed method")
	errMethod     = &http1.Error{Status: http.StatusNotImplemented, Reason: "a method that is not supported"}
	errProtocol   = &http1.Error{Status: http.StatusNotImplemented, Reason: "a protocol that is not supported"}
	errTarget     = malformed("a malformed request target")
	errTargetSize = &http1.Error{Status: http.StatusRequestURITooLong, Reason: "the target is too long"}
	errAuthority  = malformed("an invalid authority")
	errFields     = &http1.Error{Status: http.StatusRequestHeaderFieldsTooLarge, Reason: "too many fields"}
	errValue      = malformed("a field value with white space around it")
	errLength     = malformed("a malformed Content-Length")
	errNoContent  = malformed("a Content-Length without content")
	errExpect     = &http1.Error{Status: http.StatusExpectationFailed, Reason: "an unknown expectation"}
)

func malformed(reason string) *http1.Error {
	return &http1.Error{Status: http.StatusBadRequest, Reason: reason}
}

// takeIn puts the head of a codec's request into the form of a message. It refuses what the codecs let through and HTTP/1.1
// could not carry on, or would read in another way (RFC 9113 sections 8.2 and 8.3, RFC 9114 section 4). When it refuses,
// head has what was known until then.
func takeIn(head *message.Head, r *http.Request, limits *http1.Limits) *http1.Error {
	head.Version = message.HTTP3
	refusal := takeTarget(head, r, limits)
	if refusal == nil {
		refusal = takeMethod(head, r)
	}
	if refusal == nil {
		refusal = takeFields(head, r.Header, limits)
	}
	if refusal == nil {
		refusal = takeLength(head, r)
	}
	return refusal
}

func takeTarget(head *message.Head, r *http.Request, limits *http1.Limits) *http1.Error {
	if !message.ValidAuthority(r.Host) {
		return errAuthority
	}
	head.Authority = r.Host
	if len(r.RequestURI) > limits.TargetBytes {
		return errTargetSize
	}
	valid := strings.HasPrefix(r.RequestURI, "/") || r.RequestURI == "*" && r.Method == http.MethodOptions
	if r.Method == http.MethodConnect && !valid {
		return nil // the method's refusal says more
	}
	for i := range len(r.RequestURI) {
		if c := r.RequestURI[i]; c <= ' ' || c == 0x7f || c == '#' {
			valid = false
		}
	}
	if !valid {
		return errTarget
	}
	head.Path, head.Query, head.HasQuery = strings.Cut(r.RequestURI, "?")
	return nil
}

// takeMethod turns an extended CONNECT into what HTTP/1.1 would have sent for it, apart from the key.
func takeMethod(head *message.Head, r *http.Request) *http1.Error {
	if !httpguts.ValidHeaderFieldName(r.Method) { // which is a token, too
		return errMethodName
	}
	switch {
	case r.Method == http.MethodConnect && r.Proto != "HTTP/3.0":
		if !strings.EqualFold(r.Proto, "websocket") {
			return errProtocol
		}
		head.Method, head.Protocol = http.MethodGet, "websocket"
	case strings.EqualFold(r.Method, http.MethodConnect), strings.EqualFold(r.Method, http.MethodTrace):
		return errMethod
	default:
		head.Method = r.Method
	}
	return nil
}

func takeFields(head *message.Head, header http.Header, limits *http1.Limits) *http1.Error {
	count := 0
	for name, values := range header {
		if count += len(values); count > limits.Fields {
			return errFields
		}
		switch message.Known(name) {
		case message.TE:
			head.Trailers = slices.Contains(values, "trailers") // the codecs allow nothing else
			continue
		case message.Expect:
			if len(values) != 1 || !strings.EqualFold(values[0], "100-continue") {
				return errExpect
			}
			head.Expect = true
			continue
		case message.Connection, message.ContentLength, message.Host, message.HTTP2Settings, message.KeepAlive,
			message.ProxyConnection, message.TransferEncoding, message.Upgrade:
			continue
		}
		for _, value := range values {
			if value != "" && (blank(value[0]) || blank(value[len(value)-1])) {
				return errValue
			}
			head.AddNamed(name, value)
		}
	}
	return nil
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

// takeLength believes the codecs, which count content against Content-Length, but not what they make of a bad one.
func takeLength(head *message.Head, r *http.Request) *http1.Error {
	head.Length = r.ContentLength
	if head.Protocol != "" {
		head.Length = 0 // what follows belongs to the other protocol
		return nil
	}
	announced, given := r.Header["Content-Length"]
	if !given {
		return nil
	}
	if len(announced) != 1 || strings.Trim(announced[0], "0123456789") != "" {
		return errLength
	}
	length, err := strconv.ParseInt(announced[0], 10, 64)
	if err != nil {
		return errLength
	}
	if length != r.ContentLength {
		return errNoContent // the stream ended with the head
	}
	if length == 0 {
		head.Expect = false
	}
	return nil
}
