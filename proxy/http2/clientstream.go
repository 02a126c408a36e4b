package http2

import (
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
	c.earn() // a head and trailers may be on their way
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
