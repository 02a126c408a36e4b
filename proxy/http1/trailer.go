package http1

import "github.com/portico-web/portico/proxy/message"

// mayTrail tells whether a field may stand behind the content (RFC 9110 section 6.5.1): not one that frames or routes a
// message, says who sends it, what the content is or how it is to be treated. All that was decided when the head was read.
func mayTrail(id message.Name, name []byte) bool {
	switch id {
	case message.Other:
		for _, leading := range leadingOnly {
			if message.EqualFold(name, leading) {
				return false
			}
		}
		return true
	case message.Accept, message.AcceptEncoding, message.AcceptLanguage, message.AcceptRanges, message.Age, message.Authorization,
		message.CacheControl, message.Connection, message.ContentEncoding, message.ContentLength, message.ContentRange,
		message.ContentType, message.Cookie, message.Date, message.Expect, message.Forwarded, message.Host, message.HTTP2Settings,
		message.IdempotencyKey, message.IfNoneMatch, message.KeepAlive, message.Location, message.Origin, message.Proxy,
		message.ProxyAuthenticate, message.ProxyAuthorization, message.ProxyConnection, message.Range, message.RetryAfter,
		message.SecWebSocketAccept, message.SecWebSocketKey, message.SetCookie, message.TE, message.Traceparent, message.Tracestate,
		message.Trailer, message.TransferEncoding, message.Upgrade, message.Vary, message.XForwardedFor, message.XForwardedHost,
		message.XForwardedPort, message.XForwardedPrefix, message.XForwardedProto, message.XRealIP, message.XRequestID:
		return false
	default:
		return true
	}
}

// leadingOnly are those of them that have no Name.
var leadingOnly = [...]string{
	"Allow", "Content-Disposition", "Content-Language", "Content-Location", "Expires", "If-Match", "If-Modified-Since", "If-Range",
	"If-Unmodified-Since", "Max-Forwards", "Pragma", "Referer", "Refresh", "Warning", "WWW-Authenticate",
}
