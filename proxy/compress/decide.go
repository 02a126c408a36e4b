package compress

import (
	"bytes"

	"github.com/portico-web/portico/proxy/message"
)

// watched tells whether another site may have made a browser send the request, with its user's cookies, to watch how long the
// answer becomes. When the request's own text stands in the answer, beside a secret, its length tells how much of the secret
// was guessed (the attack called BREACH). Following a link is not that: it takes a hand for each request.
func watched(request *message.Head) bool {
	return request.Get(message.Cookie) != nil &&
		message.EqualFold(request.Lookup("Sec-Fetch-Site"), "cross-site") && request.Lookup("Sec-Fetch-User") == nil
}

// worthwhile tells whether an answer is long enough, compressible, and its author's leave given.
func worthwhile(head *message.Head) bool {
	if head.Length >= 0 && head.Length < smallest || !compressible(head.Get(message.ContentType)) {
		return false
	}
	for i := range head.All() {
		switch field := &head.All()[i]; field.ID {
		case message.ContentEncoding, message.ContentRange:
			return false
		case message.CacheControl:
			if bytes.Contains(bytes.ToLower(field.Value), []byte("no-transform")) {
				return false
			}
		case message.Other: // a digest is one of the bytes that are sent (RFC 9530)
			if field.Is("Content-Digest") || field.Is("Repr-Digest") || field.Is("Digest") || field.Is("Content-MD5") {
				return false
			}
		}
	}
	return true
}

// compressibleTypes are media types beside text/*, *+json and *+xml whose content is no dense code already.
var compressibleTypes = [...]string{
	"application/json", "application/javascript", "application/x-javascript", "application/xml", "application/x-ndjson",
	"application/wasm", "application/vnd.ms-fontobject", "font/ttf", "font/otf", "image/bmp", "image/x-icon", "image/vnd.microsoft.icon",
}

func compressible(contentType []byte) bool {
	kind, _, _ := bytes.Cut(contentType, []byte(";"))
	kind = bytes.TrimSpace(kind)
	if len(kind) > 5 && message.EqualFold(kind[:5], "text/") {
		return !message.EqualFold(kind, "text/event-stream")
	}
	if suffix := bytes.LastIndexByte(kind, '+'); suffix > 0 {
		return message.EqualFold(kind[suffix:], "+json") || message.EqualFold(kind[suffix:], "+xml")
	}
	for _, known := range compressibleTypes {
		if message.EqualFold(kind, known) {
			return true
		}
	}
	return false
}
