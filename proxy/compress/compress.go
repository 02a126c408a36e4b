// Package compress shrinks answers on their way to clients that accept zstd, gzip or brotli. What is streamed as events is
// never touched, and what an application flushes leaves at once. Answers that could give a secret away by their length pass as
// they are.
package compress

import (
	"bytes"

	"github.com/portico-web/portico/proxy/message"
)

// smallest is the length in bytes below which compression does not pay.
const smallest = 1024

// Compressor keeps encoders for reuse. It is safe for concurrent use.
type Compressor struct{ encoders encoders }

// New returns a compressor.
func New() *Compressor { return &Compressor{} }

// Wrap returns the responder through which to answer a request, by one of the offered codings, which stand in the order of
// preference. Release must be called when the answer is over. The request's fields must stay as long.
func (c *Compressor) Wrap(out message.Responder, request *message.Head, offered []Coding) Responder {
	wrapped := Responder{Responder: out, encoders: &c.encoders, held: request.Get(message.IfNoneMatch)}
	if request.Method != "HEAD" && !watched(request) {
		wrapped.coding = choose(request.Fields.All(), offered)
	}
	return wrapped
}

// Responder compresses the content of an answer where that pays and the client takes it. The zero value must not be used.
type Responder struct {
	message.Responder
	encoders *encoders
	held     []byte // If-None-Match: what the client has
	coding   Coding
	encoder  encoder // nil: content passes as it is
}

// Answer implements message.Responder.
func (r *Responder) Answer(head *message.Head) error {
	tag := head.Get(message.ETag)
	strong := len(tag) > 0 && tag[0] == '"'
	if head.Status == 304 && strong && bytes.Contains(r.held, append([]byte("W/"), tag...)) {
		head.Set(message.ETag, "W/"+string(tag)) // what the client has was compressed; it must know it again (RFC 9111 section 4.3.4)
	}
	if head.Status != 200 || !worthwhile(head) {
		return r.Responder.Answer(head)
	}
	if !head.Lists(message.Vary, "Accept-Encoding") && !head.Lists(message.Vary, "*") {
		head.Add(message.Vary, "Accept-Encoding")
	}
	if r.coding == Identity {
		return r.Responder.Answer(head)
	}
	if r.encoder = r.encoders.take(r.coding, r.Responder); r.encoder == nil {
		return r.Responder.Answer(head)
	}
	head.Set(message.ContentEncoding, r.coding.String())
	head.Del(message.AcceptRanges)
	head.Length = message.Unknown
	if strong {
		head.Set(message.ETag, "W/"+string(tag)) // other bytes, so not the same strong validator (RFC 9110 section 8.8.1)
	}
	return r.Responder.Answer(head)
}

// Write implements message.Responder.
func (r *Responder) Write(p []byte) (int, error) {
	if r.encoder == nil {
		return r.Responder.Write(p)
	}
	return r.encoder.Write(p)
}

// Flush implements message.Responder: what was written so far leaves at once.
func (r *Responder) Flush() error {
	if r.encoder != nil {
		if err := r.encoder.Flush(); err != nil {
			return err
		}
	}
	return r.Responder.Flush()
}

// End implements message.Responder.
func (r *Responder) End(trailer *message.Fields) error {
	if r.encoder != nil {
		if err := r.encoder.Close(); err != nil {
			return err
		}
	}
	return r.Responder.End(trailer)
}

// Release gives the encoder back; of an answer that was given up, too.
func (r *Responder) Release() {
	if r.encoder != nil {
		r.encoders.giveBack(r.coding, r.encoder)
		r.encoder = nil
	}
}
