// Package message is what HTTP says, whatever version carries it: heads, fields, and the streams on which servers take in
// requests and are answered. The codecs (http1, http2, and the adapted one of HTTP/3) turn bytes into it and back; everything
// between them reads and edits it.
package message

// Version is a version of HTTP.
type Version uint8

// The versions that the edge speaks.
const (
	HTTP11 Version = iota
	HTTP10
	HTTP2
	HTTP3
)

func (v Version) String() string {
	return [...]string{"HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/3.0"}[v]
}

// Unknown is the Length of content that only its end tells.
const Unknown int64 = -1

// Head is the head of a request or of an answer. A codec takes out what is about one connection only (framing, persistence,
// Connection and the fields it names, Upgrade, TE, Expect) and keeps it in the plain members; Fields are end to end.
// Host, Content-Length and Transfer-Encoding are never among them. The zero value is an empty head.
type Head struct {
	Fields

	Version Version
	Length  int64 // of the content; Unknown, or 0 for none

	Method    string // of a request; a token
	Authority string // host or host:port that was asked for
	Path      string // as sent: begins with a slash, or is "*"
	Query     string // as sent, without the question mark
	HasQuery  bool   // "/?" has an empty one
	Protocol  string // what the sender wants to switch to, or an answer of 101 switches to: websocket; "" for nothing
	Expect    bool   // 100-continue is expected before the content
	Trailers  bool   // the sender takes trailers (TE: trailers)

	Status int // of an answer, 100 to 999
}

// Reset makes the head an empty one.
func (h *Head) Reset() {
	h.Fields.Reset()
	*h = Head{Fields: h.Fields}
}

// Target is the path with the query.
func (h *Head) Target() string {
	if !h.HasQuery {
		return h.Path
	}
	return h.Path + "?" + h.Query
}

// Bodiless tells whether an answer of this status never has content (RFC 9110 section 6.4.1).
func Bodiless(status int) bool { return status < 200 || status == 204 || status == 304 }
