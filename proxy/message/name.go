package message

// Name stands for the name of a field that the edge itself reads or writes. Comparing it costs nothing; all other names are
// Other, and are compared as text.
type Name uint8

// The names that the edge knows, in their usual spelling.
const (
	Other Name = iota
	Accept
	AcceptEncoding
	AcceptLanguage
	AcceptRanges
	Age
	AltSvc
	Authorization
	CacheControl
	Connection
	ContentEncoding
	ContentLength
	ContentRange
	ContentSecurityPolicy
	ContentType
	Cookie
	Date
	ETag
	Expect
	Forwarded
	Host
	HTTP2Settings
	IdempotencyKey
	IfNoneMatch
	KeepAlive
	Location
	Origin
	PermissionsPolicy
	Proxy
	ProxyAuthenticate
	ProxyAuthorization
	ProxyConnection
	Range
	ReferrerPolicy
	RetryAfter
	SecWebSocketAccept
	SecWebSocketKey
	Server
	SetCookie
	StrictTransportSecurity
	TE
	Traceparent
	Tracestate
	Trailer
	TransferEncoding
	Upgrade
	UserAgent
	Vary
	Via
	XContentTypeOptions
	XForwardedFor
	XForwardedHost
	XForwardedPort
	XForwardedPrefix
	XForwardedProto
	XFrameOptions
	XRealIP
	XRequestID
	RateLimitLimit
	RateLimitRemaining
	RateLimitReset
	RateLimitPolicy
	names // how many there are
)

var spellings = [names]string{
	Accept: "Accept", AcceptEncoding: "Accept-Encoding", AcceptLanguage: "Accept-Language", AcceptRanges: "Accept-Ranges", Age: "Age",
	AltSvc: "Alt-Svc", Authorization: "Authorization", CacheControl: "Cache-Control", Connection: "Connection",
	ContentEncoding: "Content-Encoding", ContentLength: "Content-Length", ContentRange: "Content-Range",
	ContentType: "Content-Type", Cookie: "Cookie", Date: "Date", ETag: "ETag", Expect: "Expect", Forwarded: "Forwarded",
	Host: "Host", HTTP2Settings: "HTTP2-Settings", IdempotencyKey: "Idempotency-Key", IfNoneMatch: "If-None-Match",
	KeepAlive: "Keep-Alive", Location: "Location", Origin: "Origin", Proxy: "Proxy", ProxyAuthenticate: "Proxy-Authenticate",
	ProxyAuthorization: "Proxy-Authorization", ProxyConnection: "Proxy-Connection", Range: "Range", RetryAfter: "Retry-After",
	SecWebSocketAccept: "Sec-WebSocket-Accept", SecWebSocketKey: "Sec-WebSocket-Key", Server: "Server", SetCookie: "Set-Cookie",
	TE: "TE", Traceparent: "Traceparent", Tracestate: "Tracestate", Trailer: "Trailer", TransferEncoding: "Transfer-Encoding",
	Upgrade: "Upgrade", UserAgent: "User-Agent", Vary: "Vary", Via: "Via", XForwardedFor: "X-Forwarded-For",
	XForwardedHost: "X-Forwarded-Host", XForwardedPort: "X-Forwarded-Port", XForwardedPrefix: "X-Forwarded-Prefix",
	XForwardedProto: "X-Forwarded-Proto", XRealIP: "X-Real-IP", XRequestID: "X-Request-ID",
	RateLimitLimit: "RateLimit-Limit", RateLimitRemaining: "RateLimit-Remaining", RateLimitReset: "RateLimit-Reset",
	RateLimitPolicy:       "RateLimit-Policy",
	ContentSecurityPolicy: "Content-Security-Policy", PermissionsPolicy: "Permissions-Policy", ReferrerPolicy: "Referrer-Policy",
	StrictTransportSecurity: "Strict-Transport-Security", XContentTypeOptions: "X-Content-Type-Options", XFrameOptions: "X-Frame-Options",
}

// String is the name's usual spelling; "" for Other.
func (n Name) String() string { return spellings[n] }

const buckets = 256

// index finds the candidates for a name by its length and its ends.
var index = func() (index [buckets][]Name) {
	for name := Other + 1; name < names; name++ {
		bucket := hash(spellings[name])
		index[bucket] = append(index[bucket], name)
	}
	return index
}()

func hash[T []byte | string](name T) uint8 {
	last := len(name) - 1
	return (name[0]|0x20)*7 ^ (name[last]|0x20)*31 ^ (name[last/2]|0x20)*5 ^ uint8(last)*17
}

// Known is the Name of a field's name in any case, or Other.
func Known[T []byte | string](name T) Name {
	if len(name) == 0 {
		return Other
	}
	for _, candidate := range index[hash(name)] {
		if EqualFold(name, spellings[candidate]) {
			return candidate
		}
	}
	return Other
}

// EqualFold tells whether two names or tokens are the same in any case of ASCII letters (RFC 9110 section 5.1).
func EqualFold[T []byte | string](a T, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if a[i] != b[i] && lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
