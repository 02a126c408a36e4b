package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/portico-web/portico/proxy/document"
	"github.com/portico-web/portico/proxy/message"
)

// FieldEdits changes the fields of a request or of an answer: first some are removed, then others are put in.
type FieldEdits struct {
	Set    map[string]string `yaml:"set"` // in the place of every field of that name
	Add    map[string]string `yaml:"add"`
	Remove []string          `yaml:"remove"`
}

// Some tells whether anything is to be changed.
func (e *FieldEdits) Some() bool { return len(e.Set)+len(e.Add)+len(e.Remove) > 0 }

func (c *checker) requestHeaders(path string, edits FieldEdits) {
	c.fieldEdits(path, edits, func(name message.Name) string {
		switch name {
		case message.XForwardedFor, message.XForwardedHost, message.XForwardedPrefix, message.XForwardedProto, message.XRealIP,
			message.XRequestID, message.Traceparent, message.Forwarded:
			return "is the edge's own word about who asks"
		default:
			return ""
		}
	})
}

func (c *checker) responseHeaders(path string, edits FieldEdits) {
	c.fieldEdits(path, edits, func(name message.Name) string {
		switch name {
		case message.XRequestID, message.AltSvc, message.Date:
			return "is the edge's own"
		case message.ContentEncoding, message.ContentRange:
			return "says what the content is, which does not change with it"
		default:
			return ""
		}
	})
}

// fieldEdits checks names and values. owned tells why a name is not to be edited; "" lets it.
func (c *checker) fieldEdits(path string, edits FieldEdits, owned func(message.Name) string) {
	if !edits.Some() {
		return
	}
	check := func(at, name string) {
		reason := owned(message.Known(name))
		if connectionField(message.Known(name)) {
			reason = "belongs to one connection and its framing, which the edge does itself"
		}
		switch {
		case !fieldName(name):
			c.doc.Faultf(at, "%s: %q is not the name of a field such as Cache-Control", at, name)
		case reason != "":
			c.doc.Faultf(at, "%s: %s %s; leave it out", at, name, reason)
		}
	}
	for _, part := range []struct {
		key    string
		values map[string]string
	}{{"set", edits.Set}, {"add", edits.Add}} {
		for _, name := range slices.Sorted(maps.Keys(part.values)) {
			at := path + "." + part.key + "." + name
			check(at, name)
			c.fieldValue(at, part.values[name])
		}
	}
	for i, name := range edits.Remove {
		check(fmt.Sprintf("%s.remove[%d]", path, i), name)
	}
}

// connectionField tells whether a field frames a message, routes it, or is about one connection (RFC 9110 section 7.6.1).
func connectionField(name message.Name) bool {
	switch name {
	case message.Connection, message.ContentLength, message.Expect, message.Host, message.HTTP2Settings, message.KeepAlive,
		message.Proxy, message.ProxyAuthenticate, message.ProxyAuthorization, message.ProxyConnection, message.SecWebSocketAccept,
		message.SecWebSocketKey, message.TE, message.Trailer, message.TransferEncoding, message.Upgrade:
		return true
	default:
		return false
	}
}

// fieldName tells whether text is a token (RFC 9110 section 5.6.2).
func fieldName(text string) bool {
	for i := range len(text) {
		c := text[i]
		letter, digit := 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9'
		if !letter && !digit && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return text != ""
}

func (c *checker) fieldValue(path, value string) {
	for i := range len(value) {
		if value[i] < ' ' && value[i] != '\t' || value[i] == 0x7f {
			c.doc.Faultf(path, "%s: a field's value has no line breaks and no control characters", path)
			return
		}
	}
	if strings.TrimSpace(value) != value {
		c.doc.Faultf(path, "%s: a field's value has no white space around it", path)
	}
}

// cacheDirectives are those that an answer may carry (RFC 9111 section 5.2.2, RFC 5861, RFC 8246).
var cacheDirectives = map[string]bool{ // whether a number of seconds belongs to it
	"max-age": true, "s-maxage": true, "stale-while-revalidate": true, "stale-if-error": true, "public": false, "private": false,
	"no-store": false, "no-cache": false, "must-revalidate": false, "proxy-revalidate": false, "must-understand": false,
	"no-transform": false, "immutable": false,
}

func (c *checker) cacheControl(path string, route *Route) {
	if route.CacheControl == "" {
		return
	}
	at := path + ".cache_control"
	if route.Files != nil && route.Files.MaxAge > 0 {
		c.doc.Faultf(at, "%s and files.max_age say the same: keep one of them", at)
	}
	for part := range strings.SplitSeq(route.CacheControl, ",") {
		name, value, given := strings.Cut(strings.TrimSpace(part), "=")
		seconds, known := cacheDirectives[name]
		_, err := strconv.ParseUint(value, 10, 31)
		switch {
		case !known:
			c.doc.Faultf(at, "%s: unknown directive %q%s", at, name, document.Suggest(name, slices.Collect(maps.Keys(cacheDirectives))))
		case seconds && err != nil:
			c.doc.Faultf(at, "%s: %s wants a number of seconds, such as %s=3600", at, name, name)
		case !seconds && given:
			c.doc.Faultf(at, "%s: %s has no value", at, name)
		}
	}
}
