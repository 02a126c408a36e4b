package forward

import (
	"time"

	"github.com/portico-web/portico/proxy/message"
)

// call is a request that is under way with a target, and the answer to it, in one version of HTTP. It is used by the
// exchange's goroutine. Reads fail with an os.ErrDeadlineExceeded when ReadWithin's time is over, and may then be repeated;
// and with socket.ErrInterrupted after Interrupt, for good.
type call interface {
	// readHead reads the next head of the answer. Errors other than the above are a *Failure, or what exchange.again judges.
	readHead(head *message.Head, method string) error
	// Next, Buffered, Done and Trailer are the answer's content, after its final head; see http1.Body.
	Next() ([]byte, error)
	Buffered() int
	Done() bool
	Trailer() *message.Fields

	// ReadWithin bounds reads from now on.
	ReadWithin(now time.Time, d time.Duration)
	// Interrupt ends reads. It may be called from any goroutine while the call lasts.
	Interrupt()
	// finish says that the answer was read whole, and whether the connection may be used again.
	finish(reusable bool)
	// hangUp ends the call, and whatever of it is still under way unless that is just about to end. It may be called twice.
	hangUp()
}
