// Package guard holds the edge's policies about a request: which methods and fields it may carry, who its client is, how
// many it may send. The policies take values, not requests, so that they are the same whatever engine speaks HTTP.
package guard

import (
	"strings"
)

// MethodRefused tells whether a method is never let through: CONNECT would make the edge a tunnel, TRACE would echo fields
// that a script may not read.
// Some servers do not mind the case.
func MethodRefused(method string) bool {
	return strings.EqualFold(method, "CONNECT") || strings.EqualFold(method, "TRACE")
}

// identityFields are names, besides X-Forwarded-*, by which some upstream may be told who the client is.
var identityFields = map[string]bool{
	"forwarded": true, "x-real-ip": true, "true-client-ip": true, "cf-connecting-ip": true, "fastly-client-ip": true,
	"x-client-ip": true, "x-cluster-client-ip": true, "x-original-url": true, "x-rewrite-url": true,
	"x-original-forwarded-for": true, "x-original-host": true, "x-envoy-external-address": true,
}

// FieldDropped tells whether a request's field must not reach an upstream. Names with an underscore never do: many
// applications cannot tell X_Real_IP from X-Real-IP. Fields that assert who the client is are dropped unless the peer is
// trusted to write them; Forwarded always is, since the edge writes X-Forwarded-* only.
func FieldDropped(name string, trustedPeer bool) bool {
	if strings.IndexByte(name, '_') >= 0 {
		return true
	}
	switch name[0] | 0x20 {
	case 'c', 'f', 'p', 't', 'x':
	default:
		return false
	}
	lower := strings.ToLower(name)
	switch {
	case lower == "forwarded", lower == "proxy": // a CGI would take Proxy for its HTTP_PROXY setting
		return true
	case trustedPeer:
		return false
	default:
		return identityFields[lower] || strings.HasPrefix(lower, "x-forwarded")
	}
}

// UpgradeAllowed tells whether an Upgrade field may be forwarded: one protocol, and not a change to HTTP/2, which would
// carry requests past the edge.
func UpgradeAllowed(protocol string) bool {
	if protocol == "" || strings.ContainsAny(protocol, ", \t") {
		return false
	}
	lower := strings.ToLower(protocol)
	return lower != "h2c" && lower != "h2" && !strings.HasPrefix(lower, "http/") && !strings.HasPrefix(lower, "tls/")
}
