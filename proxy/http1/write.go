package http1

import (
	"net/http"
	"strconv"

	"github.com/portico-web/portico/proxy/message"
)

// AppendRequest appends the head of a request. A Length above 0 is announced, 0 only for methods that usually bring content;
// Unknown content is to be sent in chunks. Whatever the head holds, the result is one well-formed head: a byte that cannot
// stand in a target is escaped, one that cannot stand in a method or a value is replaced, a field whose name is none is left
// out.
func AppendRequest(dst []byte, head *message.Head) []byte {
	dst = appendMethod(dst, head.Method)
	dst = append(dst, ' ')
	if head.Path == "" {
		dst = append(dst, '/')
	}
	dst = appendTarget(dst, head.Path)
	if head.HasQuery {
		dst = append(dst, '?')
		dst = appendTarget(dst, head.Query)
	}
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = appendValue(dst, head.Authority)
	dst = append(dst, "\r\n"...)
	dst = appendFields(dst, &head.Fields)
	switch {
	case head.Length == message.Unknown:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case head.Length > 0 || head.Protocol == "" && announcesNone(head.Method):
		dst = appendLength(dst, head.Length)
	}
	if head.Expect {
		dst = append(dst, "Expect: 100-continue\r\n"...)
	}
	switch {
	case head.Protocol != "" && head.Trailers:
		dst = append(dst, "TE: trailers\r\nConnection: TE, Upgrade\r\nUpgrade: "...)
		dst = append(appendValue(dst, head.Protocol), "\r\n"...)
	case head.Protocol != "":
		dst = append(dst, "Connection: Upgrade\r\nUpgrade: "...)
		dst = append(appendValue(dst, head.Protocol), "\r\n"...)
	case head.Trailers:
		dst = append(dst, "TE: trailers\r\nConnection: TE\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// announcesNone tells whether a request of this method says so when it has no content (RFC 9110 section 8.6).
func announcesNone(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodDelete:
		return false
	default:
		return true
	}
}

// Answer is what an answer depends on besides its head.
type Answer struct {
	Version message.Version // the client's
	Head    bool            // to a HEAD request
	Close   bool            // the connection ends afterwards
	Date    []byte          // added when the head has none; nil for none
}

// AppendResponse appends the head of an answer, and tells whether its content is to be sent in chunks. Content of Unknown
// length without chunks ends with the connection, which a client of HTTP/1.0 is told whatever Answer says. The result is as
// well-formed as AppendRequest's.
func AppendResponse(dst []byte, head *message.Head, a Answer) (out []byte, chunked bool) {
	dst = appendStatus(dst, head.Status)
	dst = appendFields(dst, &head.Fields)
	if head.Status < 200 {
		if head.Status == http.StatusSwitchingProtocols {
			dst = append(dst, "Connection: Upgrade\r\nUpgrade: "...)
			dst = append(appendValue(dst, head.Protocol), "\r\n"...)
		}
		return append(dst, "\r\n"...), false
	}
	if a.Date != nil && head.Get(message.Date) == nil {
		dst = append(dst, "Date: "...)
		dst = append(append(dst, a.Date...), "\r\n"...)
	}
	switch {
	case head.Status == http.StatusNoContent:
	case head.Status == http.StatusNotModified:
		if head.Length > 0 { // 0 is what a head has of which nobody knows better
			dst = appendLength(dst, head.Length)
		}
	case head.Length >= 0:
		dst = appendLength(dst, head.Length)
	case a.Head:
	case a.Version == message.HTTP10:
		a.Close = true
	default:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
		chunked = true
	}
	switch {
	case a.Close:
		dst = append(dst, "Connection: close\r\n"...)
	case a.Version == message.HTTP10:
		dst = append(dst, "Connection: keep-alive\r\n"...)
	}
	return append(dst, "\r\n"...), chunked
}

func appendStatus(dst []byte, status int) []byte {
	if status == http.StatusOK {
		return append(dst, "HTTP/1.1 200 OK\r\n"...)
	}
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = append(dst, http.StatusText(status)...)
	return append(dst, "\r\n"...)
}

func appendLength(dst []byte, length int64) []byte {
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, length, 10)
	return append(dst, "\r\n"...)
}

func appendFields(dst []byte, fields *message.Fields) []byte {
	for i := range fields.All() {
		field := &fields.All()[i]
		if writable(field) {
			dst = appendField(dst, field)
		}
	}
	return dst
}

func appendField(dst []byte, field *message.Field) []byte {
	dst = append(dst, field.Name...)
	dst = append(dst, ": "...)
	dst = appendValue(dst, field.Value)
	return append(dst, "\r\n"...)
}

// writable tells whether a field has a name, and is not one that the codec itself writes.
func writable(field *message.Field) bool {
	switch field.ID {
	case message.Other:
		return token(field.Name)
	case message.Connection, message.ContentLength, message.Expect, message.Host, message.HTTP2Settings, message.KeepAlive,
		message.ProxyConnection, message.TE, message.TransferEncoding, message.Upgrade:
		return false
	default:
		return true
	}
}

// appendValue appends a field's value. A control character in it becomes a space (RFC 9110 section 5.5).
func appendValue[T []byte | string](dst []byte, value T) []byte {
	start := len(dst)
	dst = append(dst, value...)
	written := dst[start:]
	for {
		i := control(written)
		if i == len(written) {
			return dst
		}
		if written[i] != '\t' {
			written[i] = ' '
		}
		written = written[i+1:]
	}
}

// appendMethod appends a method, as one token whatever it is.
func appendMethod(dst []byte, method string) []byte {
	if method == "" {
		return append(dst, '-')
	}
	start := len(dst)
	dst = append(dst, method...)
	for i, c := range dst[start:] {
		if classes[c]&inToken == 0 {
			dst[start+i] = '-'
		}
	}
	return dst
}

const hexDigits = "0123456789ABCDEF"

// appendTarget appends a path or a query. What would end it, or the line, is escaped.
func appendTarget(dst []byte, part string) []byte {
	for i := range len(part) {
		if classes[part[i]]&inTarget == 0 {
			return appendEscaped(append(dst, part[:i]...), part[i:])
		}
	}
	return append(dst, part...)
}

func appendEscaped(dst []byte, part string) []byte {
	for _, c := range []byte(part) {
		if classes[c]&inTarget == 0 {
			dst = append(dst, '%', hexDigits[c>>4], hexDigits[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}
