// Package guard holds the edge's policies about a request: which methods and fields it may carry, who its client is, how
// many it may send. The policies take values, not requests, so that they are the same whatever engine speaks HTTP.
package guard

import (
	"bytes"

	"github.com/portico-web/portico/proxy/message"
)

// reserved are the names, by their hashes, that reach no upstream in whatever spelling: those by which it may be told where a
// request comes from or what it asks for, and those that frame a message, belong to one connection, or are the edge's own word.
// What begins with X-Forwarded goes with them. Names without a hyphen have one spelling only, and are not among them.
var reserved = func() (index [256]Asserted) {
	for _, name := range []string{
		"CF-Connecting-IP", "CF-Connecting-IPv6", "Client-IP", "Fastly-Client-IP", "Front-End-HTTPS", "Proxy-Client-IP", "True-Client-IP",
		"WL-Proxy-Client-IP", "X-Client-IP", "X-Cluster-Client-IP", "X-Envoy-External-Address", "X-Host", "X-HTTP-Host-Override",
		"X-Original-Forwarded-For", "X-Original-Host", "X-Original-Method", "X-Original-URI", "X-Original-URL", "X-Originating-IP",
		"X-Real-IP", "X-Remote-Addr", "X-Remote-IP", "X-Rewrite-URL", "X-URL-Scheme",
		"Content-Length", "HTTP2-Settings", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "Transfer-Encoding", "X-Request-ID",
	} {
		bucket := hash(name)
		index[bucket] = index[bucket].And(name)
	}
	return index
}()

// hash is the same for all spellings of a name that begins and ends with a letter or a digit.
func hash[T []byte | string](name T) uint8 {
	last := len(name) - 1
	return (name[0]|0x20)*7 ^ (name[last]|0x20)*31 ^ uint8(last)*17
}

// FieldDropped tells whether a request's field must not reach an upstream, whoever sent it: what a trusted peer is believed, the
// edge says itself. Names with an underscore do not, unless the route lets them: many applications cannot tell X_Real_IP from
// X-Real-IP. What is let through still does not pass for what is not.
func FieldDropped(field *message.Field, underscores bool) bool {
	switch field.ID {
	case message.Forwarded, message.Proxy: // a CGI would take Proxy for its HTTP_PROXY setting
		return true
	case message.ProxyAuthorization: // it is meant for a proxy of the client's (RFC 9110 section 11.7.2)
		return true
	case message.XForwardedFor, message.XForwardedHost, message.XForwardedPort, message.XForwardedPrefix, message.XForwardedProto, message.XRealIP:
		return true
	case message.Other:
		return !underscores && bytes.IndexByte(field.Name, '_') >= 0 || isReserved(field.Name)
	default:
		return false
	}
}

func isReserved(name []byte) bool {
	const forwarded = "x-forwarded"
	return len(name) > 0 && reserved[hash(name)].Holds(name) ||
		len(name) >= len(forwarded) && folds(name[:len(forwarded)], forwarded)
}
