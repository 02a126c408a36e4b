package http1

import (
	"bytes"
	"math"
	"net/http"

	"github.com/portico-web/portico/proxy/message"
)

var (
	errLengths      = malformed("several Content-Length fields")
	errLength       = malformed("a malformed Content-Length")
	errCodings      = malformed("several Transfer-Encoding fields")
	errCoding       = malformed("a transfer coding other than chunked")
	errCodingOld    = malformed("a transfer coding in HTTP/1.0")
	errCodingLength = malformed("Transfer-Encoding with Content-Length")
	errOptions      = malformed("too many connection options")
	errExpectation  = &Error{http.StatusExpectationFailed, "an unknown expectation"}
)

// How many fields a message may name in Connection: each is compared with every field.
const maxOptions = 64

// hop is what the fields of one head say about this connection only.
type hop struct {
	length  int64 // Content-Length; message.Unknown without
	chunked bool

	close, keepAlive, upgrade bool   // options of Connection
	names                     bool   // Connection names fields
	protocol                  []byte // the one of Upgrade
	protocols                 int    // how many Upgrade fields there are

	host  []byte
	hosts int

	expect bool
}

// parseFields parses the field lines of a head, which begin at a place of the section, into end-to-end fields and the rest.
func (h *hop) parseFields(head *message.Head, section []byte, at int, limits *Limits) *Error {
	h.length = message.Unknown
	for count := 0; at < len(section)-2; count++ {
		if count == limits.Fields {
			return errFields
		}
		name, value, next, refusal := field(section, at)
		if refusal != nil {
			return refusal
		}
		at = next
		id := message.Known(name)
		switch id {
		default:
			head.AddStored(id, name, value)
		case message.Connection:
			if h.options(value) {
				head.AddStored(id, name, value)
			}
		case message.ContentLength:
			refusal = h.contentLength(value)
		case message.TransferEncoding:
			refusal = h.transferEncoding(value)
		case message.Host:
			h.host = value
			h.hosts++
		case message.Upgrade:
			h.protocol = value
			h.protocols++
		case message.TE:
			head.Trailers = head.Trailers || takesTrailers(value)
		case message.Expect:
			h.expect = true
			if !message.EqualFold(value, "100-continue") {
				refusal = errExpectation
			}
		case message.KeepAlive, message.ProxyConnection, message.HTTP2Settings:
		}
		if refusal != nil {
			return refusal
		}
	}
	if h.chunked && h.length != message.Unknown {
		return errCodingLength
	}
	if h.chunked && head.Version == message.HTTP10 {
		return errCodingOld
	}
	if h.names {
		return dropNamed(head)
	}
	return nil
}

func (h *hop) contentLength(value []byte) *Error {
	if h.length != message.Unknown {
		return errLengths
	}
	length, ok := decimal(value)
	if !ok {
		return errLength
	}
	h.length = length
	return nil
}

// decimal is a number of digits only. More of them than the largest number has are refused, leading zeros or not.
func decimal(text []byte) (int64, bool) {
	if len(text) == 0 || len(text) > 19 || !all(text, isDigit) {
		return 0, false
	}
	number := uint64(0)
	for _, c := range text {
		number = number*10 + uint64(c-'0')
	}
	return int64(number), number <= math.MaxInt64
}

func (h *hop) transferEncoding(value []byte) *Error {
	if h.chunked {
		return errCodings
	}
	if !message.EqualFold(value, "chunked") {
		return errCoding
	}
	h.chunked = true
	return nil
}

// options reads a value of Connection, and tells whether it names fields. What is no token cannot name one.
func (h *hop) options(value []byte) bool {
	if message.EqualFold(value, "keep-alive") {
		h.keepAlive = true
		return false
	}
	names := false
	for member := range bytes.SplitSeq(value, comma) {
		switch member = trim(member); {
		case message.EqualFold(member, "close"):
			h.close = true
		case message.EqualFold(member, "keep-alive"):
			h.keepAlive = true
		case message.EqualFold(member, "upgrade"):
			h.upgrade = true
		case token(member):
			names = true
		}
	}
	h.names = h.names || names
	return names
}

var comma = []byte(",")

// dropNamed drops the fields that Connection names, and Connection (RFC 9110 section 7.6.1). What was taken out of the head
// before keeps its meaning: no client can make a message lose its length or its host.
func dropNamed(head *message.Head) *Error {
	named := make([][]byte, 0, maxOptions)
	for _, field := range head.All() {
		if field.ID != message.Connection {
			continue
		}
		for member := range bytes.SplitSeq(field.Value, comma) {
			if len(named) == maxOptions {
				return errOptions
			}
			if member = trim(member); token(member) {
				named = append(named, member)
			}
		}
	}
	head.DeleteFunc(func(field *message.Field) bool {
		if field.ID == message.Connection {
			return true
		}
		for _, name := range named {
			if bytes.EqualFold(name, field.Name) {
				return true
			}
		}
		return false
	})
	return nil
}

func takesTrailers(value []byte) bool {
	for member := range bytes.SplitSeq(value, comma) {
		if message.EqualFold(trim(member), "trailers") {
			return true
		}
	}
	return false
}

// switches is the protocol that the sender offers or takes, when it is one that can be handed through: named alone, as a
// connection option too, and no version of HTTP or TLS. Otherwise it is "", which ignores the offer.
func (h *hop) switches(version message.Version) string {
	if !h.upgrade || h.protocols != 1 || version != message.HTTP11 {
		return ""
	}
	if message.EqualFold(h.protocol, "websocket") {
		return "websocket"
	}
	name, number, versioned := bytes.Cut(h.protocol, []byte("/"))
	if !token(name) || versioned && !token(number) {
		return ""
	}
	for _, own := range [...]string{"h2c", "h2", "http", "tls"} {
		if message.EqualFold(name, own) {
			return ""
		}
	}
	return string(h.protocol)
}

// persistent is RFC 9112 section 9.3.
func (h *hop) persistent(version message.Version) bool {
	return !h.close && (version == message.HTTP11 || h.keepAlive)
}
