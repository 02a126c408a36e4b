package http1

import (
	"io"

	"github.com/portico-web/portico/proxy/message"
)

type Reader struct{ source io.Reader }

func NewReader(source io.Reader, size int) *Reader { return &Reader{source: source} }
func (r *Reader) Reset(source io.Reader)           { r.source = source }
func (r *Reader) Wait() error                      { return io.EOF }
func (r *Reader) Buffered() int                    { return 0 }
func (r *Reader) Detach() []byte                   { return nil }
func (r *Reader) Release()                         {}

func (r *Reader) ReadRequest(head *message.Head, limits Limits) (Framing, error) {
	return Framing{}, io.EOF
}

func (r *Reader) ReadResponse(head *message.Head, method string, limits Limits) (Framing, error) {
	return Framing{}, io.EOF
}
