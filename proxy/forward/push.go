package forward

import (
	"io"
	"sync"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/upstream"
)

// push is an upload to a target in HTTP/1.1, by a goroutine of its own.
type push struct {
	upload
	conn   *upstream.Conn
	length int64
}

func startPush(head *message.Head, body message.Body, conn *upstream.Conn) *push {
	p := &push{conn: conn, length: head.Length}
	p.init(head, body)
	go p.run()
	return p
}

func (p *push) run() {
	defer close(p.done)
	select {
	case <-p.wanted:
	case <-p.quit:
		return
	}
	p.taken.Store(true)
	if p.length == message.Unknown {
		p.sendChunks()
	} else {
		p.sendSized()
	}
	if p.clientErr != nil {
		p.conn.Interrupt() // there is no answer to half a request
	}
}

func (p *push) sendSized() {
	for left := p.length; ; {
		content, err := p.body.Next()
		switch {
		case err == io.EOF && left == 0: //nolint:errorlint // a Body's end is io.EOF itself
			return
		case err == io.EOF, err == nil && int64(len(content)) > left: //nolint:errorlint // as above
			p.clientErr = message.ErrMalformed
			return
		case err != nil:
			p.clientErr = err
			return
		}
		if _, p.err = p.conn.Write(content); p.err != nil {
			return
		}
		left -= int64(len(content))
	}
}

func (p *push) sendChunks() {
	chunk, _ := buffers.Get().(*buffer)
	defer chunk.free()
	for {
		content, err := p.body.Next()
		ended := err == io.EOF //nolint:errorlint // a Body's end is io.EOF itself
		switch {
		case ended:
			chunk.bytes = http1.AppendLastChunk(chunk.bytes[:0], cleanTrailer(p.body.Trailer()))
		case err == nil:
			chunk.bytes = http1.AppendChunk(chunk.bytes[:0], content)
		default:
			p.clientErr = err
			return
		}
		if _, p.err = p.conn.Write(chunk.bytes); p.err != nil || ended {
			return
		}
	}
}

// stop ends the upload, and the connection with it unless it is over, and waits for it.
func (p *push) stop() {
	close(p.quit)
	if !p.over() {
		p.conn.Close()
		if !p.waiting {
			p.taken.Store(true) // even if run has not come to it: who is interrupted reads nothing any more
			p.body.Interrupt()
		}
		<-p.done
	}
}

// buffers are for what is put together, or copied.
var buffers = sync.Pool{New: func() any { return &buffer{make([]byte, 0, bufferSize)} }}

type buffer struct{ bytes []byte }

const bufferSize = 32 << 10

func (b *buffer) free() {
	if cap(b.bytes) <= keptBytes {
		buffers.Put(b)
	}
}
