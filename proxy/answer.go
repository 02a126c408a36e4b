package proxy

import (
	"net/http"
	"strconv"
	"time"

	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/proxy/handler"
	"github.com/portico-web/portico/proxy/message"
)

// Answer notes what is answered, and puts the edge's own fields on it.
func (x *exchange) Answer(head *message.Head) error {
	if head.Status >= http.StatusBadRequest && x.site != nil && x.site.Value.intercepts && !x.told {
		if page := x.errorPage(head.Status); page != nil {
			return x.intercept(head, page)
		}
	}
	return x.send(head)
}

func (x *exchange) send(head *message.Head) error {
	x.status = head.Status
	if x.route != nil {
		x.route.answerFields.apply(x, head)
	} else if x.site != nil {
		x.site.Value.answerFields.apply(x, head)
	}
	x.mark(head)
	return x.Stream.Answer(head)
}

// Tunnel does the same for a change of protocol.
func (x *exchange) Tunnel(head *message.Head) (message.Tunnel, error) {
	x.status = head.Status
	x.mark(head)
	return x.Stream.Tunnel(head)
}

func (x *exchange) mark(head *message.Head) {
	head.SetBytes(message.XRequestID, x.requestID)
	if x.limit != nil {
		x.describeLimit(head)
	}
	if x.canaryAssigned != "" {
		head.Add(message.SetCookie, x.canaryAssigned)
	}
	if x.route != nil && x.route.cors != nil {
		x.route.cors.mark(x.Head(), head)
	}
	if x.proxy.altSvc != "" && !x.plain && !x.trusted { // a balancer's clients would look for HTTP/3 there
		head.Set(message.AltSvc, x.proxy.altSvc)
	}
}

// Write counts the content. To HEAD none is sent, whatever handlers write.
func (x *exchange) Write(content []byte) (int, error) {
	if x.intercepted {
		return len(content), x.drop(len(content))
	}
	n, err := x.Stream.Write(content)
	if x.Head().Method != http.MethodHead {
		x.bytes += int64(n)
	}
	return n, err
}

// Flush is what somebody calls who waits for more to write.
func (x *exchange) Flush() error {
	if x.intercepted {
		return x.drop(0)
	}
	return x.Stream.Flush()
}

// End leaves out the trailer of content that was replaced.
func (x *exchange) End(trailer *message.Fields) error {
	if x.intercepted {
		return nil
	}
	return x.Stream.End(trailer)
}

// Abort notes that the answer is not whole.
func (x *exchange) Abort() {
	if x.intercepted { // the upstream's is not, but the page is
		return
	}
	x.aborted = true
	x.Stream.Abort()
}

// describeLimit tells the client how much it has left; an upstream that keeps limits of its own knows better.
func (x *exchange) describeLimit(head *message.Head) {
	if head.Get(message.RateLimitLimit) != nil && x.limited.Allowed {
		return
	}
	var digits [20]byte
	number := func(name message.Name, n int) { head.SetBytes(name, strconv.AppendInt(digits[:0], int64(n), 10)) }
	number(message.RateLimitLimit, x.limit.Burst)
	number(message.RateLimitRemaining, x.limited.Remaining)
	number(message.RateLimitReset, wholeSeconds(x.limited.ResetAfter))
	head.Set(message.RateLimitPolicy, x.limit.policy)
}

// serve lets a handler of net/http answer.
func (x *exchange) serve(handle http.HandlerFunc) {
	w := handler.NewWriter(x.out)
	handle(w, handler.Request(x.context(), x, x.path))
	x.finish(w.Finish())
}

// finish gives up an answer that did not come to its end: the client cannot be reached, or there was less content than
// announced.
func (x *exchange) finish(err error) {
	if err != nil {
		x.Abort()
	}
}

// fail answers with a failure that the client can read: a page for a browser, a status for gRPC, JSON for another program.
func (x *exchange) fail(status int, message string, values ...any) {
	x.failWith(nil, status, message, values...)
}

// failWith is fail with one more field.
func (x *exchange) failWith(field *message.Field, status int, text string, values ...any) {
	if isGRPC(x.Head()) {
		x.failGRPC(status, httpx.FailureText(text, values...))
		return
	}
	x.serve(func(w http.ResponseWriter, r *http.Request) {
		if field != nil {
			w.Header().Set(string(field.Name), string(field.Value))
		}
		x.writeFailure(w, r, status, text, values...)
	})
}

// failUnavailable answers that the service takes no request now. again is when the client may come back.
func (x *exchange) failUnavailable(again time.Duration) {
	x.failWith(retryAfter(again), http.StatusServiceUnavailable, "The service is not available right now. Please try again in a moment.")
}

// inAMoment is when a client may come back if nothing better is known.
const inAMoment = 5 * time.Second

// retryAfter is the field that tells a client how long to wait.
func retryAfter(wait time.Duration) *message.Field {
	return &message.Field{Name: []byte("Retry-After"), Value: strconv.AppendInt(nil, int64(wholeSeconds(wait)), 10)}
}

// redirect answers with another address.
func (x *exchange) redirect(status int, location string) {
	head := &message.Head{Status: status}
	head.Add(message.Location, location)
	x.answerBare(head)
}

// answerBare gives an answer without content.
func (x *exchange) answerBare(head *message.Head) {
	err := x.Answer(head)
	if err == nil {
		err = x.End(nil)
	}
	x.finish(err)
}

// wholeSeconds rounds up, so that who waits that long has waited long enough.
func wholeSeconds(d time.Duration) int {
	return max(int((d+time.Second-1)/time.Second), 1)
}
