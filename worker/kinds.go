package worker

import (
	"context"
	"time"

	"github.com/portico-web/portico/app/account"
	"github.com/portico-web/portico/app/mailbox"
	"github.com/portico-web/portico/internal/mail"
	"github.com/portico-web/portico/worker/jobs"
)

// builtIn is the kinds that every worker knows.
func builtIn(cfg Config, around Surroundings) (*jobs.Set, error) {
	sender, err := mail.Parse(cfg.SMTPURL, cfg.MailFrom, mailbox.New(around.DB).Deliver)
	if err != nil {
		return nil, err
	}
	set := jobs.NewSet()
	addBuiltIn(set, sender, cfg, around)
	return set, nil
}

func addBuiltIn(set *jobs.Set, sender mail.Sender, cfg Config, around Surroundings) {
	jobs.Add(set, &jobs.Welcome{Sender: sender, PublicURL: cfg.PublicURL})
	jobs.Add(set, &jobs.Purge{Log: around.Log, Tokens: func(ctx context.Context) (int64, error) {
		return account.DeleteOldTokens(ctx, around.DB, time.Now())
	}})
}
