// Package http1 is the HTTP/1.1 codec of both sides (RFC 9112): it reads the requests of clients and the answers of
// upstreams, and writes either. It is strict: what two implementations could read in two ways is refused.
package http1

import "net/http"

// Limits bounds one head, or one trailer section. All of its members must be set.
type Limits struct {
	HeadBytes   int // of the section, its empty line included
	TargetBytes int // of the request target as it was sent
	Fields      int
}

// Error says that a message is refused. Reason is for the log: constant text, without any bytes of the other side.
type Error struct {
	Status int // what the client is to be answered; 502 when the message came from an upstream
	Reason string
}

func (e *Error) Error() string { return e.Reason }

func malformed(reason string) *Error { return &Error{http.StatusBadRequest, reason} }

// Kind is how the end of a message's content is found (RFC 9112 section 6.3).
type Kind uint8

// The kinds of framing.
const (
	Bodiless   Kind = iota // there is no content; also with a Content-Length of 0
	Sized                  // Content-Length
	Chunked                // Transfer-Encoding: chunked
	UntilClose             // the connection's end is the content's; answers only
)

// Framing is what the head of a message says about the connection.
type Framing struct {
	Kind       Kind
	Length     int64 // of Sized content
	Persistent bool  // the connection may carry another message after this one
}
