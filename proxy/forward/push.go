package forward

import (
	"io"
	"sync"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/upstream"
)

// push is an upload to a target, by a goroutine of its own.
type push struct {
	upload
	over   carrier
	way    way
	length int64
}

// carrier is the connection, or the stream of one, that carries a call.
type carrier interface {
	// Interrupt ends the reading of the answer.
	Interrupt()
	// Close ends everything.
	Close()
}

// way is how content is written in a version of HTTP.
type way interface {
	Write(content []byte) (int, error)
	// End writes what follows the content; trailer may be nil.
	End(trailer *message.Fields) error
}

func startPush(head *message.Head, body message.Body, over carrier, way way) *push {
	p := &push{over: over, way: way, length: head.Length}
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
	p.clientErr, p.err = p.send()
	if p.clientErr != nil {
		p.over.Interrupt() // there is no answer to half a request
	}
}

// send sends the content until its end, or until either side fails.
func (p *push) send() (clientErr, err error) {
	sized := p.length != message.Unknown
	for left := p.length; ; {
		content, err := p.body.Next()
		ended := err == io.EOF //nolint:errorlint // a Body's end is io.EOF itself
		switch {
		case sized && (ended && left > 0 || int64(len(content)) > left):
			return message.ErrMalformed, nil
		case ended:
			return nil, p.way.End(cleanTrailer(p.body.Trailer()))
		case err != nil:
			return err, nil
		}
		if _, err := p.way.Write(content); err != nil {
			return nil, err
		}
		left -= int64(len(content))
	}
}

// stop ends the upload, and what carries it with it unless it is over, and waits for it.
func (p *push) stop() {
	close(p.quit)
	if !p.upload.over() {
		p.over.Close()
		if !p.waiting {
			p.taken.Store(true) // even if run has not come to it: who is interrupted reads nothing any more
			p.body.Interrupt()
		}
		<-p.done
	}
}

// wayOf is how the content of a request is written on a connection of HTTP/1.1.
func wayOf(head *message.Head, conn *upstream.Conn) way {
	if head.Length == message.Unknown {
		return chunkedWay{conn}
	}
	return sizedWay{conn}
}

type sizedWay struct{ *upstream.Conn }

func (sizedWay) End(*message.Fields) error { return nil }

type chunkedWay struct{ conn *upstream.Conn }

func (w chunkedWay) Write(content []byte) (int, error) {
	chunk, _ := buffers.Get().(*buffer)
	defer chunk.free()
	chunk.bytes = http1.AppendChunk(chunk.bytes[:0], content)
	return w.conn.Write(chunk.bytes)
}

func (w chunkedWay) End(trailer *message.Fields) error {
	_, err := w.conn.Write(http1.AppendLastChunk(nil, trailer))
	return err
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
