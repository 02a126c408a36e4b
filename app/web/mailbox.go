package web

import (
	"net/http"

	"github.com/portico-web/portico/app/mailbox"
)

// mailboxView is the page of outgoing mail.
type mailboxView struct {
	*view
	Messages []mailbox.Message
	Kept     int
}

func (p *Pages) showMailbox(w http.ResponseWriter, r *http.Request) error {
	var err error
	mailbox.Gate(p.MailboxAllow, http.HandlerFunc(p.NotFound), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err = p.mailbox(w, r)
	})).ServeHTTP(w, r)
	return err
}

func (p *Pages) mailbox(w http.ResponseWriter, r *http.Request) error {
	messages, err := p.Mailbox.Latest(r.Context())
	if err != nil {
		return err
	}
	v, err := p.viewOf(w, r, "Mailbox")
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, "mailbox", mailboxView{view: v, Messages: messages, Kept: mailbox.Kept})
}
