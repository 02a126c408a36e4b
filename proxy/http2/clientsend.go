package http2

import (
	"errors"
	"os"

	"github.com/portico-web/portico/proxy/message"
)

// Send sends the request: its head and, when whole says that there is no more than that, its content. It does not wait: what
// the server leaves no window for yet is sent later, and must stay as it is until Release. Only the first Send of a stream
// fails with nothing sent.
func (st *ClientStream) Send(head *message.Head, secure bool, content []byte, whole bool) error {
	c := st.client
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return c.err
	case c.dismissed || c.next > maxStream:
		return errUntaken
	}
	st.open(c.next)
	c.next += 2
	c.earn()
	st.method, st.headless, st.bodiless, st.ended, st.earlyBytes = head.Method, true, false, false, 0
	c.streams[st.id] = &st.stream
	c.fields = c.encoder.appendRequest(c.encoder.begin(c.fields[:0]), head, secure)
	var flags uint8
	if whole && len(content) == 0 {
		flags = flagEndStream
	}
	st.sendBlock(c.fields, flags)
	if whole && len(content) > 0 {
		st.sendAlong(content)
	}
	c.flush()
	return nil
}

// sendAlong sends all content that there is, as soon as it can be.
func (st *ClientStream) sendAlong(content []byte) {
	c := st.conn
	if len(c.waiting) == 0 || st.mayPass() {
		content = st.send(content, outputSize)
	}
	if len(content) == 0 {
		st.finish()
		return
	}
	st.pending, st.last = content, true
	c.wait(&st.stream)
}

// Reused tells whether the connection carried a request before.
func (st *ClientStream) Reused() bool { return st.id > 1 }

// Write sends content, and waits while the server leaves no window for it. After StallTimeout it fails with
// os.ErrDeadlineExceeded.
func (st *ClientStream) Write(content []byte) (int, error) {
	c := st.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := st.write(content, c.common.StallTimeout); err != nil {
		if errors.Is(err, errStalled) {
			err = os.ErrDeadlineExceeded
		}
		return 0, err
	}
	c.flush()
	return len(content), nil
}

// End says that all content was sent; trailer may be nil.
func (st *ClientStream) End(trailer *message.Fields) error {
	c := st.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := st.failure(); err != nil {
		return err
	}
	if trailer != nil && trailer.Len() > 0 {
		c.fields = c.encoder.appendFields(c.encoder.begin(c.fields[:0]), trailer)
		st.sendBlock(c.fields, flagEndStream)
	} else {
		st.finish()
	}
	c.flush()
	return nil
}

// appendRequest appends the fields of a request (RFC 9113 section 8.3.1).
func (e *encoder) appendRequest(dst []byte, head *message.Head, secure bool) []byte {
	whole := 0
	switch head.Method {
	case "GET":
		whole = indexMethod
	case "POST":
		whole = indexPost
	}
	dst = appendPseudo(dst, whole, indexMethod, head.Method)
	scheme := byte(indexHTTP)
	if secure {
		scheme = indexHTTPS
	}
	dst = append(dst, 0x80|scheme)
	if head.Authority != "" {
		dst = appendPseudo(dst, 0, indexAuthority, head.Authority)
	}
	dst = appendTarget(dst, head)
	dst = e.appendFields(dst, &head.Fields)
	switch {
	case head.Length > 0, head.Length == 0 && head.Method != "GET" && head.Method != "HEAD" && head.Method != "OPTIONS" && head.Method != "DELETE":
		dst = appendLength(dst, head.Length)
	}
	if head.Trailers {
		dst = appendLiteral(dst, 0, 4, 0, nameTE, valueTrailers)
	}
	if head.Expect {
		dst = appendLiteral(dst, 0, 4, staticNames[message.Expect], nil, valueContinue)
	}
	return dst
}

var (
	nameTE        = []byte("te")
	valueTrailers = []byte("trailers")
	valueContinue = []byte("100-continue")
)

// appendTarget appends :path, never indexed when it has a query, where secrets are.
func appendTarget(dst []byte, head *message.Head) []byte {
	if !head.HasQuery {
		whole := 0
		if head.Path == "/" {
			whole = indexPath
		}
		return appendPseudo(dst, whole, indexPath, head.Path)
	}
	dst = appendInt(appendInt(dst, 0x10, 4, indexPath), 0, 7, len(head.Path)+1+len(head.Query))
	return append(append(append(dst, head.Path...), '?'), head.Query...)
}
