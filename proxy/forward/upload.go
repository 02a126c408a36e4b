package forward

import (
	"sync/atomic"
	"time"

	"github.com/portico-web/portico/proxy/message"
)

const (
	// continueTimeout is how long a target is waited for that was asked whether it wants the content.
	continueTimeout = time.Second
	// finishGrace is how long an upload may go on after the answer's end, before it is taken for one that nobody wants.
	finishGrace = 20 * time.Millisecond
)

// upload is the content of a request on its way to a target, as the exchange sees what push does.
type upload struct {
	body    message.Body
	waiting bool          // the client is to be told to begin; of the exchange's goroutine
	wanted  chan struct{} // closed once content may be sent
	quit    chan struct{} // closed to give up
	taken   atomic.Bool   // some content may be gone, so that it cannot be sent again

	done      chan struct{} // closed at the end; what follows is set before
	clientErr error         // the content broke off
	err       error         // the target took no more
}

// init makes an upload that waits if the client expects to be told to begin. A client that sent content already does not
// (RFC 9110 section 10.1.1).
func (u *upload) init(head *message.Head, body message.Body) {
	u.body, u.waiting = body, head.Expect && body.Buffered() == 0
	u.wanted, u.quit, u.done = make(chan struct{}), make(chan struct{}), make(chan struct{})
	if !u.waiting {
		close(u.wanted)
	}
}

// proceed lets content be sent.
func (u *upload) proceed() {
	u.waiting = false
	close(u.wanted)
}

// over tells whether the upload has ended, for whatever reason.
func (u *upload) over() bool {
	select {
	case <-u.done:
		return true
	default:
		return false
	}
}

// complete tells whether all was sent, once the answer has ended. An upload whose last bytes brought the answer about may be
// a moment behind it.
func (u *upload) complete() bool {
	if u.waiting {
		return false
	}
	if !u.over() {
		timer := time.NewTimer(finishGrace)
		defer timer.Stop()
		select {
		case <-u.done:
		case <-timer.C:
			return false
		}
	}
	return u.err == nil && u.clientErr == nil
}
