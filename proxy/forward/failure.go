package forward

import (
	"errors"
	"net/http"

	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/upstream"
)

// ErrAborted says that an answer began and cannot be completed, for whoever's fault: an error that wraps message.ErrGone
// besides is the client's. The caller aborts the stream, so that what was sent never looks whole.
var ErrAborted = errors.New("the answer broke off")

// Kind is why there is no answer.
type Kind uint8

const (
	// NoTarget means that all targets are unhealthy, or that they fail so much that they are spared.
	NoTarget Kind = iota
	// Busy means that all targets work on as many requests as they may, and that too many wait, or for too long.
	Busy
	// Unreachable means that no target took the connection, or that it broke before an answer.
	Unreachable
	// BadAnswer means that the target answered something that is not HTTP, or nothing that may be handed on.
	BadAnswer
	// TimedOut means that the target did not begin to answer in time.
	TimedOut
	// TooLarge means that the request's content exceeds a limit.
	TooLarge
	// TooSlow means that the client keeps the request's content waiting.
	TooSlow
	// Malformed means that the request's content breaks its framing.
	Malformed
	// ClientGone means that the client has left. Nobody reads an answer.
	ClientGone
)

// StatusClientGone stands in logs and metrics for a request whose client left before the answer.
const StatusClientGone = 499

// Status is how a client is told, StatusClientGone apart.
func (k Kind) Status() int {
	switch k {
	case NoTarget, Busy:
		return http.StatusServiceUnavailable
	case TimedOut:
		return http.StatusGatewayTimeout
	case TooLarge:
		return http.StatusRequestEntityTooLarge
	case TooSlow:
		return http.StatusRequestTimeout
	case Malformed:
		return http.StatusBadRequest
	case ClientGone:
		return StatusClientGone
	default:
		return http.StatusBadGateway
	}
}

// Failure says that nothing final was answered, and why: the caller may answer. Err is for the log only.
type Failure struct {
	Kind Kind
	Err  error
}

func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap is the reason.
func (f *Failure) Unwrap() error { return f.Err }

var errGone = &Failure{ClientGone, message.ErrGone}

// clientFailure is the failure that an error of the request's content makes.
func clientFailure(err error) *Failure {
	switch {
	case errors.Is(err, message.ErrTooLarge):
		return &Failure{TooLarge, err}
	case errors.Is(err, message.ErrTooSlow):
		return &Failure{TooSlow, err}
	case errors.Is(err, message.ErrMalformed):
		return &Failure{Malformed, err}
	default:
		return &Failure{ClientGone, err}
	}
}

// broken says that a connection to a target broke before a byte of an answer came.
type broken struct {
	err       error
	untouched bool // nothing of the request had been taken
	aged      bool // the connection carried an exchange before
}

func (b *broken) Error() string { return b.err.Error() }
func (b *broken) Unwrap() error { return b.err }

// note tells the pool that a target failed a request, when that is what err says. That a kept connection was closed just when
// it was used again is no failure, nor is anything that the client does: any client may ask to switch protocols where none is
// switched.
func (x *exchange) note(err error) {
	if x.target == nil || x.gone() || errors.Is(err, errNoSwitch) {
		return
	}
	failure, explained := errors.AsType[*Failure](err)
	cut, _ := errors.AsType[*broken](err)
	_, refused := errors.AsType[*upstream.DialError](err)
	switch {
	case explained && (failure.Kind == Unreachable || failure.Kind == BadAnswer || failure.Kind == TimedOut),
		cut != nil && !cut.untouched && !cut.aged, refused:
		x.forwarder.pool.Note(&x.asks, x.target, true)
	}
}
