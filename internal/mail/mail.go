// Package mail sends plain-text messages: to an SMTP server, or into a mailbox of the application's own where no mail leaves
// the machine.
package mail

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"strings"
	"unicode/utf8"
)

const (
	maxSubject = 255       // characters
	maxText    = 256 << 10 // bytes
	maxID      = 200       // characters
)

// Message is one mail to one person.
type Message struct {
	ID      string // names this delivery: a second one with the same id is the same message
	To      string // a bare address
	Subject string // any language, no control characters
	Text    string
}

// Sender delivers messages. Implementations may be called concurrently and return when ctx ends. A failure that no repetition
// can mend is told by IsPermanent.
type Sender interface {
	Send(ctx context.Context, message Message) error
}

// Deliver puts a message into a mailbox; delivering an ID again changes nothing.
type Deliver func(ctx context.Context, message Message) error

// Parse makes the sender that rawURL names: smtp://, smtps:// (TLS from the first byte), or mailbox:, which hands messages
// to deliver. from is the sender's address, with or without a name. Errors are one line and never hold the URL's password.
func Parse(rawURL, from string, deliver Deliver) (Sender, error) {
	scheme, _, _ := strings.Cut(rawURL, ":")
	switch strings.ToLower(scheme) {
	case "mailbox":
		if deliver == nil {
			return nil, errors.New("SMTP_URL: there is no mailbox here: use smtp://user:password@host:587")
		}
		return mailbox{deliver}, nil
	case "smtp", "smtps":
		parsed, err := url.Parse(rawURL)
		if err != nil || parsed.Hostname() == "" {
			return nil, errors.New("SMTP_URL: not a valid address: use smtp://user:password@host:587 or smtps://user:password@host:465, with special characters as %XX")
		}
		return newSMTP(parsed, from)
	case "":
		return nil, errors.New("SMTP_URL is required and not set: use smtp://user:password@host:587, or mailbox: to keep mail in the database")
	default:
		return nil, fmt.Errorf("SMTP_URL: unknown scheme %q: use smtp://user:password@host:587, smtps://…:465, or mailbox: to keep mail in the database", scheme)
	}
}

// permanentError is a failure that stays however often the delivery is tried.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// Permanent marks err as a failure that no repetition can mend.
func Permanent(err error) error { return permanentError{err} }

// IsPermanent tells whether trying the same message again is pointless.
func IsPermanent(err error) bool {
	_, ok := errors.AsType[permanentError](err)
	return ok
}

// check refuses what could break out of its header field, and what no server would take.
func (m Message) check() error {
	address, err := mail.ParseAddress(m.To)
	switch {
	case err != nil || address.Address != m.To || hasControl(m.To):
		return Permanent(errors.New("the recipient is not a mail address"))
	case m.Subject == "" || hasControl(m.Subject) || utf8.RuneCountInString(m.Subject) > maxSubject:
		return Permanent(fmt.Errorf("the subject must be one line of 1 to %d characters", maxSubject))
	case len(m.Text) > maxText || !utf8.ValidString(m.Text):
		return Permanent(fmt.Errorf("the text must be at most %d bytes of UTF-8", maxText))
	case !validID(m.ID):
		return Permanent(fmt.Errorf("the message's id must be 1 to %d letters, digits, dots and dashes", maxID))
	}
	return nil
}

func hasControl(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == 0x2028 || r == 0x2029
	})
}

func validID(id string) bool {
	return id != "" && len(id) <= maxID && !strings.ContainsFunc(id, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-' && r != '.' && r != '_'
	})
}

// mailbox is the Sender of mailbox:.
type mailbox struct{ deliver Deliver }

func (m mailbox) Send(ctx context.Context, message Message) error {
	if err := message.check(); err != nil {
		return err
	}
	return m.deliver(ctx, message)
}
