// Package guard holds the edge's policies about a request: which methods and fields it may carry, who its client is, how
// many it may send. The policies take values, not requests, so that they are the same whatever engine speaks HTTP.
package guard

import (
	"bytes"
	"slices"

	"github.com/portico-web/portico/proxy/message"
)

// identityFields are names, besides X-Forwarded-*, by which some upstream may be told who the client is.
var identityFields = []string{
	"true-client-ip", "cf-connecting-ip", "fastly-client-ip", "x-client-ip", "x-cluster-client-ip", "x-original-url",
	"x-rewrite-url", "x-original-forwarded-for", "x-original-host", "x-envoy-external-address",
}

// FieldDropped tells whether a request's field must not reach an upstream. Names with an underscore do not, unless the route
// lets them: many applications cannot tell X_Real_IP from X-Real-IP. Fields that assert who the client is are dropped unless
// the peer is trusted to write them; Forwarded always is, since the edge writes X-Forwarded-* only.
func FieldDropped(field *message.Field, trustedPeer, underscores bool) bool {
	switch field.ID {
	case message.Forwarded, message.Proxy: // a CGI would take Proxy for its HTTP_PROXY setting
		return true
	case message.ProxyAuthorization: // it is meant for a proxy of the client's (RFC 9110 section 11.7.2)
		return true
	case message.XForwardedFor, message.XForwardedHost, message.XForwardedPort, message.XForwardedPrefix, message.XForwardedProto, message.XRealIP:
		return !trustedPeer
	case message.Other:
		return asserts(field.Name, trustedPeer, underscores)
	default:
		return false
	}
}

func asserts(name []byte, trustedPeer, underscores bool) bool {
	if underscore := bytes.IndexByte(name, '_') >= 0; underscore && !underscores {
		return true
	} else if underscore { // what is let through still does not pass for what is not
		trustedPeer = false // it writes the names themselves; this one it only handed on
		name = bytes.ReplaceAll(name, []byte("_"), []byte("-"))
		switch known := message.Known(name); known {
		case message.Other:
		case message.Connection, message.ContentLength, message.Expect, message.Host, message.HTTP2Settings, message.KeepAlive,
			message.ProxyConnection, message.TE, message.Trailer, message.TransferEncoding, message.Upgrade, message.XRequestID:
			return true // what frames a message, or belongs to one connection; or what the edge itself writes
		default:
			return FieldDropped(&message.Field{ID: known, Name: name}, trustedPeer, underscores)
		}
	}
	if trustedPeer {
		return false
	}
	switch name[0] | 0x20 {
	case 'c', 'f', 't', 'x':
	default:
		return false
	}
	const forwarded = "x-forwarded"
	if len(name) >= len(forwarded) && message.EqualFold(name[:len(forwarded)], forwarded) {
		return true
	}
	return slices.ContainsFunc(identityFields, func(identity string) bool { return message.EqualFold(name, identity) })
}
