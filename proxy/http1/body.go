package http1

import (
	"io"

	"github.com/portico-web/portico/proxy/message"
)

type Body struct{ trailer message.Fields }

func (b *Body) Reset(r *Reader, framing Framing, limits Limits) {}
func (b *Body) Next() ([]byte, error)                           { return nil, io.EOF }
func (b *Body) Buffered() int                                   { return 0 }
func (b *Body) Trailer() *message.Fields                        { return nil }
func (b *Body) Done() bool                                      { return true }
