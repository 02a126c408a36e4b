// Package fault is the vocabulary in which the inner layers tell the HTTP edge what went wrong: a kind, and a message that is
// safe to show to a client. The mapping from kinds to statuses lives in internal/httpx and nowhere else.
package fault

import (
	"errors"
	"slices"
	"strings"
	"time"
)

// Kind says what sort of failure an error is. The zero value is Internal: an error of which nothing is known is never shown.
type Kind int

const (
	Internal Kind = iota
	Invalid
	Unauthenticated
	Forbidden
	NotFound
	Conflict
	PreconditionFailed
	TooLarge
	UnsupportedMedia
	TooMany
	Unavailable
	MethodNotAllowed
)

// Error carries a kind, a message for the client in English (the catalogue key for other languages), and optionally a machine
// code, messages by field, and the cause. The cause is for logs only. Extra is told beside message and code; RetryAfter, when
// positive, says when the same request may succeed.
type Error struct {
	Kind       Kind
	Message    string
	Code       string
	Fields     map[string][]string
	Extra      map[string]any
	RetryAfter time.Duration
	Cause      error
}

func (e *Error) Error() string {
	text := e.Message
	if text == "" {
		names := make([]string, 0, len(e.Fields))
		for name, messages := range e.Fields {
			names = append(names, name+": "+strings.Join(messages, " "))
		}
		slices.Sort(names)
		text = strings.Join(names, "; ")
	}
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Cause }

// New makes an error of this kind whose message a client may read.
func New(kind Kind, message string) *Error { return &Error{Kind: kind, Message: message} }

// Wrap is New with a cause that is logged and never shown.
func Wrap(kind Kind, message string, cause error) *Error {
	return &Error{Kind: kind, Message: message, Cause: cause}
}

// Coded is New with a machine-readable code beside the message, as in {"detail": …, "code": …}.
func Coded(kind Kind, code, message string) *Error {
	return &Error{Kind: kind, Code: code, Message: message}
}

// NonField is the field name under which messages about the input as a whole are kept.
const NonField = "non_field_errors"

// Field makes an Invalid error about one field; NonField stands for the whole input.
func Field(name string, messages ...string) *Error {
	return &Error{Kind: Invalid, Fields: map[string][]string{name: messages}}
}

// With adds a message about a field and returns e, so that several faults of one input are told together.
func (e *Error) With(name string, messages ...string) *Error {
	if e.Fields == nil {
		e.Fields = map[string][]string{}
	}
	e.Fields[name] = append(e.Fields[name], messages...)
	return e
}

// KindOf finds the kind in err's chain; Internal when there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}
