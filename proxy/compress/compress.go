// Package compress shrinks answers on their way to clients that accept gzip. What is streamed as events is never touched,
// and what an application flushes leaves at once.
package compress

import (
	"mime"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"

	"github.com/portico-web/portico/proxy/message"
)

const (
	// level trades a little size for much speed.
	level = 5
	// smallest is the length in bytes below which compression does not pay.
	smallest = 1024
)

// Compressor keeps encoders for reuse. It is safe for concurrent use.
type Compressor struct{ encoders sync.Pool }

// New returns a compressor.
func New() *Compressor {
	return &Compressor{encoders: sync.Pool{New: func() any {
		encoder, err := gzip.NewWriterLevel(nil, level)
		if err != nil {
			panic(err) // the level is a constant
		}
		return encoder
	}}}
}

// Wrap returns the responder through which to answer a request. Release must be called when the answer is over.
func (c *Compressor) Wrap(out message.Responder, request *message.Head) *Responder {
	return &Responder{
		Responder: out, compressor: c,
		held:     string(request.Get(message.IfNoneMatch)),
		accepted: request.Method != "HEAD" && accepts(request.Fields.All()),
	}
}

// accepts tells whether Accept-Encoding admits gzip (RFC 9110 section 12.5.3).
func accepts(fields []message.Field) bool {
	anything := false
	for i := range fields {
		if fields[i].ID != message.AcceptEncoding {
			continue
		}
		for member := range strings.SplitSeq(string(fields[i].Value), ",") {
			coding, parameter, _ := strings.Cut(member, ";")
			weight, weighted := strings.CutPrefix(strings.TrimSpace(parameter), "q=")
			number, err := strconv.ParseFloat(weight, 64)
			admitted := !weighted || err == nil && number > 0
			switch strings.ToLower(strings.TrimSpace(coding)) {
			case "gzip", "x-gzip":
				return admitted
			case "*":
				anything = admitted
			}
		}
	}
	return anything
}

// Responder compresses the content of an answer where that pays and the client takes it.
type Responder struct {
	message.Responder
	compressor *Compressor
	held       string // If-None-Match: what the client has
	accepted   bool
	encoder    *gzip.Writer // nil: content passes as it is
}

// Answer implements message.Responder.
func (r *Responder) Answer(head *message.Head) error {
	tag := head.Get(message.ETag)
	strong := len(tag) > 0 && tag[0] == '"'
	if head.Status == 304 && strong && strings.Contains(r.held, "W/"+string(tag)) {
		head.Set(message.ETag, "W/"+string(tag)) // what the client has was compressed; it must know it again (RFC 9111 section 4.3.4)
	}
	if head.Status != 200 || !worthwhile(head) {
		return r.Responder.Answer(head)
	}
	head.Add(message.Vary, "Accept-Encoding")
	if !r.accepted {
		return r.Responder.Answer(head)
	}
	head.Set(message.ContentEncoding, "gzip")
	head.Del(message.AcceptRanges)
	head.Length = message.Unknown
	if strong {
		head.Set(message.ETag, "W/"+string(tag)) // other bytes, so not the same strong validator (RFC 9110 section 8.8.1)
	}
	r.encoder, _ = r.compressor.encoders.Get().(*gzip.Writer)
	r.encoder.Reset(r.Responder)
	return r.Responder.Answer(head)
}

// worthwhile tells whether an answer is long enough, compressible, and its author's leave given.
func worthwhile(head *message.Head) bool {
	if head.Get(message.ContentEncoding) != nil || head.Length >= 0 && head.Length < smallest {
		return false
	}
	for _, field := range head.All() {
		if field.ID == message.CacheControl && strings.Contains(strings.ToLower(string(field.Value)), "no-transform") {
			return false
		}
	}
	kind, _, err := mime.ParseMediaType(string(head.Get(message.ContentType)))
	if err != nil || kind == "text/event-stream" {
		return false
	}
	switch kind {
	case "application/json", "application/javascript", "application/xml", "application/wasm", "application/manifest+json",
		"application/vnd.ms-fontobject", "font/ttf", "font/otf", "image/svg+xml", "image/bmp", "image/x-icon":
		return true
	default:
		return strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "+json") || strings.HasSuffix(kind, "+xml")
	}
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
		r.encoder.Reset(nil)
		r.compressor.encoders.Put(r.encoder)
		r.encoder = nil
	}
}
