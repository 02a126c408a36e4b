// Package mailbox takes outgoing mail in place of a mail server (SMTP_URL=mailbox:), and shows it to those on the machine
// itself and in networks that the operator allows.
package mailbox

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/internal/mail"
)

const (
	// Kept is how many messages the mailbox holds; older ones go.
	Kept = 1000
	// Shown is how many messages are shown at most.
	Shown = 200
)

// Message is a mail as the mailbox shows it.
type Message struct {
	bun.BaseModel `bun:"table:mailbox_messages,alias:message" json:"-"`

	ID         int64      `bun:"id,pk,autoincrement" json:"-"`
	MessageID  string     `bun:"message_id" json:"-"`
	To         string     `bun:"recipient" json:"to"`
	Subject    string     `bun:"subject" json:"subject"`
	Text       string     `bun:"text" json:"text"`
	ReceivedAt httpx.Time `bun:"received_at" json:"received_at"`
}

// Store is the mailbox in a database. Safe for concurrent use.
type Store struct{ DB *database.DB }

// New returns the mailbox in db.
func New(db *database.DB) *Store { return &Store{DB: db} }

// Deliver keeps a message and drops the oldest beyond Kept. Delivering an id again changes nothing. It is a mail.Deliver.
func (s *Store) Deliver(ctx context.Context, message mail.Message) error {
	row := &Message{
		MessageID: message.ID, To: message.To, Subject: message.Subject,
		Text:       strings.ReplaceAll(message.Text, "\x00", "\uFFFD"), // PostgreSQL keeps no null characters
		ReceivedAt: httpx.Time{Time: time.Now().UTC().Truncate(time.Microsecond)},
	}
	err := s.DB.RunInTx(ctx, func(ctx context.Context, tx database.Tx) error {
		if _, err := tx.NewInsert().Model(row).On("CONFLICT (message_id) DO NOTHING").Returning("NULL").Exec(ctx); err != nil {
			return err
		}
		oldest := tx.NewSelect().Model((*Message)(nil)).Column("id").Order("id DESC").Offset(Kept).Limit(1)
		_, err := tx.NewDelete().Model((*Message)(nil)).Where("id <= (?)", oldest).Exec(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("delivering to the mailbox: %w", err)
	}
	return nil
}

// Latest returns the newest messages, at most Shown, newest first.
func (s *Store) Latest(ctx context.Context) ([]Message, error) {
	messages := []Message{}
	if err := s.DB.NewSelect().Model(&messages).Order("id DESC").Limit(Shown).Scan(ctx); err != nil {
		return nil, fmt.Errorf("reading the mailbox: %w", err)
	}
	return messages, nil
}
