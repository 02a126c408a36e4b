package message

// MayTrail tells whether a field may stand behind the content (RFC 9110 section 6.5.1): not one that frames or routes a
// message, says who sends it, what the content is or how it is to be treated. All that was decided when the head was read.
func (f *Field) MayTrail() bool {
	switch f.ID {
	case Other:
		for _, leading := range leadingOnly {
			if f.Is(leading) {
				return false
			}
		}
		return true
	case Accept, AcceptEncoding, AcceptLanguage, AcceptRanges, Age, AltSvc, Authorization,
		CacheControl, Connection, ContentEncoding, ContentLength, ContentRange,
		ContentType, Cookie, Date, Expect, Forwarded, Host, HTTP2Settings,
		IdempotencyKey, IfNoneMatch, KeepAlive, Location, Origin, Proxy,
		ProxyAuthenticate, ProxyAuthorization, ProxyConnection, Range, RetryAfter,
		SecWebSocketAccept, SecWebSocketKey, SetCookie, TE, Traceparent, Tracestate,
		Trailer, TransferEncoding, Upgrade, Vary, XForwardedFor, XForwardedHost,
		XForwardedPort, XForwardedPrefix, XForwardedProto, XRealIP, XRequestID:
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
