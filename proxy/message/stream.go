package message

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/netip"
)

// What may end the reading of a request's content before its end. Errors of Body wrap them.
var (
	// ErrGone says that the client has left, or that its connection broke.
	ErrGone = errors.New("the client is gone")
	// ErrTooSlow says that the client keeps the content waiting, beyond the stall limit or below the minimum rate.
	ErrTooSlow = errors.New("the request's content comes too slowly")
	// ErrMalformed says that the content breaks its framing.
	ErrMalformed = errors.New("the request's content is malformed")
	// ErrTooLarge says that the content exceeds a limit.
	ErrTooLarge = errors.New("the request's content is too large")
	// ErrInterrupted says that Interrupt was called.
	ErrInterrupted = errors.New("interrupted")
)

// Body is the content of a message on its way in. It is used by one goroutine at a time, except for Interrupt.
type Body interface {
	// Next returns the content that comes next, at least one byte, and waits for it if need be. The bytes are valid until
	// the next call. At the exact end of the content the error is io.EOF itself, every time.
	Next() ([]byte, error)
	// Buffered is how many bytes Next can give without waiting.
	Buffered() int
	// Trailer is what followed the content; nil before its end, and when nothing followed.
	Trailer() *Fields
	// Interrupt makes a Next that waits, and all later ones, fail with ErrInterrupted.
	Interrupt()
}

// Responder takes an answer: interim heads, one final head, its content and the end. It is used by one goroutine at a time.
// An error means that the client cannot be reached; nothing more need be sent.
type Responder interface {
	// Interim sends a head of status 1xx other than 101, at once.
	Interim(head *Head) error
	// Answer takes the final head, and copies what it needs of it. It may be held back until content comes, Flush or End.
	// A Length of 0 or more announces the content's length; Unknown content goes on until End. For a HEAD request, or a
	// bodiless status, nothing is to be written.
	Answer(head *Head) error
	// Write takes content.
	Write(content []byte) (int, error)
	// Flush sends on what was held back.
	Flush() error
	// End completes the answer, with trailers where the version has them; trailer may be nil.
	End(trailer *Fields) error
}

// Tunnel is a connection that switched to another protocol. Reading and writing may happen at the same time.
type Tunnel interface {
	io.ReadWriter
	// CloseWrite says that nothing more will be written.
	CloseWrite() error
	// Close ends both directions, also what waits in them. It may be called at any time, and twice.
	Close() error
}

// Stream is one request that a server took in, and the way to answer it. Its Body may be read by one goroutine while
// another answers; the rest belongs to the goroutine that serves it. Nothing of it is valid after that has returned.
type Stream interface {
	Responder
	// Head is the request's. It may be edited.
	Head() *Head
	// Body is the request's content; without content its Next gives io.EOF.
	Body() Body
	// Peer is the other end of the connection.
	Peer() netip.AddrPort
	// TLS is the connection's state; nil on a plain one.
	TLS() *tls.ConnectionState
	// Context ends when the server stops for good, and with versions that tell, when the client has gone.
	Context() context.Context
	// Gone tells, without waiting, whether the client is known to have left.
	Gone() bool
	// Tunnel answers with head and switches protocols: head's status is 101, which HTTP/2 and HTTP/3 write as 200. What the
	// client sent ahead comes first out of the tunnel. After Tunnel, only the tunnel is used.
	Tunnel(head *Head) (Tunnel, error)
	// Abort gives the answer up: what was sent never looks like a whole one.
	Abort()
}

// Handler serves a stream. When it returns without a complete answer, the server aborts the stream.
type Handler func(Stream)
