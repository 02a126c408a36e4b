package forward

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/upstream"
)

// errElsewhere says that a target's answer is to be had from another.
var errElsewhere = errors.New("the target answers a status for which another is asked")

// again tells whether the request may be sent once more after err. That is so when no target can have seen it: it was not
// sent, or none of it was taken. When it may have been seen, that is so only if nothing of an answer came, over a connection
// that the target may just have closed for its age, and a second time does no harm. Content that is gone cannot be sent again.
// What the settings allow besides goes to another target.
func (x *exchange) again(err error) bool {
	upload := x.upload
	x.hangUp()
	_, final := errors.AsType[*Failure](err)
	if final || upload != nil && upload.taken.Load() || !x.inTime() {
		return false
	}
	_, refused := errors.AsType[*upstream.DialError](err)
	cut, _ := errors.AsType[*broken](err)
	retries := x.forwarder.pool.Retries()
	switch {
	case refused && x.gone():
		return false
	case refused:
		x.refused(err)
		return true
	case errors.Is(err, upstream.ErrHTTP2), errors.Is(err, upstream.ErrHTTP1):
	case cut != nil && (cut.untouched || cut.aged && x.repeatable()):
		x.fresh = true
	case errors.Is(err, errElsewhere), cut != nil && retries.Broken && x.repeatable() && !x.gone():
		if x.tries+1 >= retries.Tries {
			return false
		}
		x.tellRefusals()
		x.leave(err)
	default:
		return false
	}
	x.tries++
	return x.tries < retries.Tries
}

// inTime tells whether another attempt may begin.
func (x *exchange) inTime() bool {
	if x.failing.IsZero() {
		x.failing = time.Now()
		return true
	}
	return time.Since(x.failing) < x.forwarder.pool.Retries().Within
}

// elsewhere tells whether another target is asked instead of handing on the answer of this one.
func (x *exchange) elsewhere() bool {
	retries := x.forwarder.pool.Retries()
	if len(retries.Statuses) == 0 || !slices.Contains(retries.Statuses, x.answer.Status) {
		return false
	}
	return x.whole && x.repeatable() && x.tries+1 < retries.Tries && (x.failing.IsZero() || x.inTime()) &&
		x.forwarder.pool.Others(append(x.tried, x.target))
}

// refused puts the target aside: it took no connection.
func (x *exchange) refused(err error) {
	x.refuser = x.target
	x.refusals++
	x.target.Refused()
	x.leave(err)
}

// tellRefusals logs that targets took no connection: in one line, since an upstream that is away may have many.
func (x *exchange) tellRefusals() {
	if x.refusals == 0 {
		return
	}
	x.forwarder.log.Warn("upstream target takes no connection", "upstream", x.forwarder.pool.Settings().Name, "target", x.refuser.String(), "endpoint", x.refuser.Endpoint(), "error", x.refusal, "targets", x.refusals)
	x.refusals = 0
}

// leave lets another target have the request.
func (x *exchange) leave(err error) {
	x.refusal = err
	x.tried = append(x.tried, x.target)
	x.target.Retried()
	x.fresh = false
	if !x.moved {
		x.moved = true
		x.forwarder.moved.Add(1)
	}
	x.release()
}

// repeatable tells whether sending the request twice does what sending it once does (RFC 9110 section 9.2.2).
func (x *exchange) repeatable() bool {
	switch x.head.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return true
	default:
		return x.head.Get(message.IdempotencyKey) != nil
	}
}
