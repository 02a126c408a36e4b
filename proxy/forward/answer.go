package forward

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/socket"
)

const (
	statusContinue  = http.StatusContinue
	statusSwitching = http.StatusSwitchingProtocols
	// maxInterim bounds the interim heads of one exchange.
	maxInterim = 32
	// holding is how long content of a known length waits for what follows, to leave in one piece with it.
	holding = 50 * time.Millisecond
	// answerGrace is how long an answer is waited for after the target took no more of the request: it may be the reason.
	answerGrace = 2 * time.Second
)

var (
	errInterim  = errors.New("the target sends interim answers without end")
	errStalled  = errors.New("the target sends no more of the content in time")
	errNoSwitch = errors.New("the target answers a wish to switch protocols with success, and does not switch")
)

// awaitAnswer waits for the final head, or one of 101, and hands interim ones on.
func (x *exchange) awaitAnswer() error {
	for interim := 0; ; interim++ {
		if err := x.awaitHead(); err != nil {
			return err
		}
		switch status := x.answer.Status; {
		case status == statusSwitching && (x.head.Protocol == "" || !message.EqualFold(x.answer.Protocol, x.head.Protocol)):
			return &Failure{BadAnswer, errors.New("the target switches to a protocol that it was not asked for")}
		case status >= 200 && status <= 299 && x.head.Protocol != "" && x.head.Version != message.HTTP11:
			// An extended CONNECT takes it for the switch (RFC 8441 section 4).
			return &Failure{BadAnswer, errNoSwitch}
		case status == statusSwitching, status >= 200 && status <= 999:
			return nil
		case status < 100 || status > 999:
			return &Failure{BadAnswer, errors.New("the target's status is none")}
		case interim == maxInterim:
			return &Failure{BadAnswer, errInterim}
		}
		if err := x.relayInterim(); err != nil {
			return err
		}
	}
}

func (x *exchange) awaitHead() error {
	for {
		x.call.ReadWithin(x.tickedAt, tick)
		err := x.call.readHead(&x.answer, x.head.Method)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			if err := x.tickAwaiting(); err != nil {
				return err
			}
		case errors.Is(err, socket.ErrInterrupted):
			return x.uploadFailure()
		default:
			return err
		}
	}
}

// tickAwaiting looks after the client, and after the time, while an answer is awaited. The target's time begins when it has
// the whole request.
func (x *exchange) tickAwaiting() error {
	now := time.Now()
	x.tickedAt = now
	if x.gone() {
		return errGone
	}
	if u := x.upload; u != nil && x.uploaded.IsZero() {
		switch {
		case u.over():
			x.uploaded = now
			if errors.Is(u.err, os.ErrDeadlineExceeded) {
				return &Failure{TimedOut, errors.New("the target takes no more of the request in time")}
			}
			if u.err != nil {
				x.failedAt = now
			}
		case u.waiting && now.Sub(x.sentAt) >= continueTimeout:
			return x.letContinue(&message.Head{Status: statusContinue})
		}
		return nil
	}
	if !x.failedAt.IsZero() && now.Sub(x.failedAt) >= answerGrace {
		return &Failure{Unreachable, errors.New("the target takes no more of the request, and does not answer")}
	}
	since := x.sentAt
	if x.upload != nil {
		since = x.uploaded
	}
	if now.Sub(since) >= x.forwarder.pool.ResponseTimeout() {
		return &Failure{TimedOut, errors.New("the target does not answer in time")}
	}
	return nil
}

// uploadFailure is why the waiting for an answer was interrupted.
func (x *exchange) uploadFailure() *Failure {
	<-x.upload.done
	return clientFailure(x.upload.clientErr)
}

// relayInterim hands an interim answer on. 100 is the client's only when it waits for that.
func (x *exchange) relayInterim() error {
	cleanAnswer(&x.answer)
	if x.answer.Status == statusContinue {
		if x.upload == nil || !x.upload.waiting {
			return nil
		}
		return x.letContinue(&x.answer)
	}
	if x.head.Version == message.HTTP10 { // it knows none (RFC 9110 section 15.2)
		return nil
	}
	if err := x.out.Interim(&x.answer); err != nil {
		return &Failure{ClientGone, err}
	}
	return nil
}

// letContinue tells the client that its content is wanted.
func (x *exchange) letContinue(head *message.Head) error {
	if err := x.out.Interim(head); err != nil {
		return &Failure{ClientGone, err}
	}
	x.upload.proceed()
	return nil
}

// relay hands on the final answer: head, content and trailers.
func (x *exchange) relay() error {
	cleanAnswer(&x.answer)
	x.assign()
	events := isEventStream(&x.answer)
	if events {
		stream := x.forwarder.streams.add(x.forwarder, x.call.Interrupt)
		defer x.forwarder.streams.remove(stream)
	}
	if err := x.out.Answer(&x.answer); err != nil {
		return clientLost(err)
	}
	if err := x.relayContent(events); err != nil {
		return err
	}
	x.call.finish(!events && x.failedAt.IsZero()) // a stream's connection may still be interrupted
	if err := x.out.End(cleanTrailer(x.call.Trailer())); err != nil {
		return clientLost(err)
	}
	return nil
}

// relayContent hands on the content until its end. What comes without a known length is sent on at once: somebody may wait
// for just this part. Of a known length, what follows is waited for a moment, and no longer than for an answer.
func (x *exchange) relayContent(events bool) error {
	streaming := events || x.answer.Length == message.Unknown
	held := true // first of all, the head
	var stalled time.Time
	for {
		if x.call.Buffered() == 0 && !x.call.Done() {
			if err := x.beforeWaiting(held && !streaming); err != nil {
				return err
			}
		}
		content, err := x.call.Next()
		switch {
		case err == nil:
			held, stalled = true, time.Time{}
			if _, err := x.out.Write(content); err != nil {
				return clientLost(err)
			}
		case err == io.EOF: //nolint:errorlint // the end is io.EOF itself
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			held = false
			if now := time.Now(); streaming || x.upload != nil && !x.upload.over() || stalled.IsZero() {
				stalled = now
			} else if now.Sub(stalled) >= x.forwarder.pool.ResponseTimeout() {
				return fmt.Errorf("%w: %w", ErrAborted, errStalled)
			}
		case errors.Is(err, socket.ErrInterrupted) && events && x.forwarder.streams.ended(x.forwarder):
			return nil // a regular end: the client comes again
		case errors.Is(err, socket.ErrInterrupted):
			return fmt.Errorf("%w: %w", ErrAborted, x.uploadFailure().Err)
		default:
			return fmt.Errorf("%w: %w", ErrAborted, err)
		}
	}
}

// beforeWaiting looks after the client at ticks, and sends on what was written, unless that is to be held back a moment for
// what follows.
func (x *exchange) beforeWaiting(hold bool) error {
	now := time.Now()
	if now.Sub(x.tickedAt) >= tick {
		x.tickedAt = now
		if x.gone() {
			return clientLost(message.ErrGone)
		}
	}
	if hold && x.heldUntil.IsZero() {
		x.heldUntil = now.Add(holding)
	}
	if hold && now.Before(x.heldUntil) {
		x.call.ReadWithin(now, x.heldUntil.Sub(now))
		return nil
	}
	x.heldUntil = time.Time{}
	x.call.ReadWithin(x.tickedAt, tick)
	if err := x.out.Flush(); err != nil {
		return clientLost(err)
	}
	return nil
}

// clientLost is the end of an answer that the client does not take.
func clientLost(err error) error {
	if errors.Is(err, message.ErrGone) {
		return fmt.Errorf("%w: %w", ErrAborted, err)
	}
	return fmt.Errorf("%w: %w: %w", ErrAborted, message.ErrGone, err)
}
