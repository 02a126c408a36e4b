package http2

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/socket"
)

// ClientStream is one request, and the answer to it. One goroutine may send content while another reads the answer; Interrupt
// and Close may come from any.
//
// Reads fail with os.ErrDeadlineExceeded when the time of ReadWithin is over, and may be repeated then; with
// socket.ErrInterrupted after Interrupt. Other errors say why the stream is over: see Untouched and Lost.
type ClientStream struct {
	stream
	client *ClientConn

	method     string
	bodiless   bool           // the answer has no content, whatever comes
	head       message.Head   // that came
	headed     bool           // it is there
	early      []message.Head // that came after it
	earlyBytes int            // of all since they were last read
	deadline   time.Time      // of reads
	ended      bool           // Next gave io.EOF
}

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
	case c.dismissed:
		return errUntaken
	}
	st.open(c.next)
	c.next += 2
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

// ReadWithin bounds reads from now on.
func (st *ClientStream) ReadWithin(now time.Time, d time.Duration) { st.deadline = now.Add(d) }

// Interrupt ends a read that waits, and all later ones.
func (st *ClientStream) Interrupt() {
	st.conn.mu.Lock()
	defer st.conn.mu.Unlock()
	st.quit = true
	st.readable.wake()
}

// putHead appends a head to those that are to be read, and leaves another in its place.
func (st *ClientStream) putHead(head *message.Head) {
	if !st.headed {
		st.head, *head = *head, st.head
		st.headed = true
		return
	}
	st.early = append(st.early, *head)
	*head = message.Head{}
}

// ReadHead reads the next head of the answer: an interim one, or the final one. What is left behind in head is used again.
func (st *ClientStream) ReadHead(head *message.Head) error {
	st.conn.mu.Lock()
	defer st.conn.mu.Unlock()
	for !st.headed && !st.quit && st.failure() == nil {
		if !st.readable.wait(st.deadline) {
			return os.ErrDeadlineExceeded
		}
	}
	switch {
	case st.quit:
		return socket.ErrInterrupted
	case !st.headed:
		return st.failure()
	}
	*head, st.head = st.head, *head
	if st.headed = len(st.early) > 0; st.headed {
		st.head = st.early[0]
		st.early = append(st.early[:0], st.early[1:]...)
	} else {
		st.earlyBytes = 0
	}
	return nil
}

// Next returns the content that comes next, valid until the following call. What came before an error of the stream is given
// first. At the exact end of the content the error is io.EOF itself.
func (st *ClientStream) Next() ([]byte, error) {
	st.conn.mu.Lock()
	defer st.conn.mu.Unlock()
	if st.bodiless || st.ended {
		st.ended = true
		return nil, io.EOF
	}
	st.release()
	for st.content.size == 0 && !st.received && !st.quit && st.failure() == nil {
		if !st.readable.wait(st.deadline) {
			return nil, os.ErrDeadlineExceeded
		}
	}
	switch {
	case st.quit:
		return nil, socket.ErrInterrupted
	case st.content.size > 0:
		return st.content.take(), nil
	case st.received: // whatever became of the stream afterwards (RFC 9113 section 8.1)
		st.ended = true
		return nil, io.EOF
	default:
		return nil, st.failure()
	}
}

// Buffered is how much content Next gives without waiting.
func (st *ClientStream) Buffered() int {
	st.conn.mu.Lock()
	defer st.conn.mu.Unlock()
	if st.bodiless {
		return 0
	}
	return st.content.size - st.content.taken
}

// Done tells whether no more content is to come than what is Buffered.
func (st *ClientStream) Done() bool {
	st.conn.mu.Lock()
	defer st.conn.mu.Unlock()
	return st.bodiless || st.received || st.failure() != nil
}

// Trailer is what followed the content; nil before its end, and when nothing followed. It is valid until Release.
func (st *ClientStream) Trailer() *message.Fields {
	if !st.ended || !st.trailed {
		return nil
	}
	return &st.trailer
}

// Close breaks the stream off, unless both directions have ended. What waits in it fails.
func (st *ClientStream) Close() {
	st.conn.mu.Lock()
	defer st.conn.mu.Unlock()
	st.giveUp()
}

func (st *ClientStream) giveUp() {
	c := st.conn
	if c.streams[st.id] != &st.stream || st.sent && st.received {
		return
	}
	c.forget(&st.stream, errGivenUp)
	st.reset(Cancel)
}

var errGivenUp = &StreamError{Code: Cancel, Reason: "given up"}

// Release is Close, and gives the stream back to its connection. It must be called once for every stream that was reserved,
// when nobody uses it any more.
func (st *ClientStream) Release() {
	c := st.client
	c.mu.Lock()
	defer c.mu.Unlock()
	st.giveUp()
	if c.streams[st.id] == &st.stream {
		delete(c.streams, st.id)
	}
	c.leave(&st.stream)
	st.discard()
	st.pending, st.early, st.headed, st.quit = nil, nil, false, false
	st.head.Reset()
	st.id, st.over = 0, nil
	c.spare = append(c.spare, st)
	if c.places--; c.places == 0 {
		c.since = time.Now()
		c.leaveIfIdle()
	}
}

// Untouched tells whether a stream ended because the server did not look at the request, which can be sent again.
func Untouched(err error) bool {
	fault, ofStream := errors.AsType[*StreamError](err)
	return ofStream && fault.Remote && fault.Code == RefusedStream
}

// Lost tells whether a stream ended because its connection did, and not for what came over it.
func Lost(err error) bool {
	_, ofStream := errors.AsType[*StreamError](err)
	_, ofConnection := errors.AsType[*ConnectionError](err)
	return !ofStream && !ofConnection
}

// Malformed tells whether a stream ended because what the server sent is not HTTP/2, or no answer.
func Malformed(err error) bool {
	ofStream, _ := errors.AsType[*StreamError](err)
	ofConnection, _ := errors.AsType[*ConnectionError](err)
	return ofStream != nil && !ofStream.Remote || ofConnection != nil && !ofConnection.Remote
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
