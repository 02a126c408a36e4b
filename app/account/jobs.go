package account

import "github.com/google/uuid"

// WelcomeMail greets somebody who has just registered, in the language they registered in ("en" or "ko").
type WelcomeMail struct {
	UserID   uuid.UUID `json:"user_id"`
	Email    string    `json:"email"`
	Nickname string    `json:"nickname"`
	Lang     string    `json:"lang"`
}

// Kind implements river.JobArgs.
func (WelcomeMail) Kind() string { return "account.welcome_mail" }

// PurgeTokens deletes refresh tokens that are of no more use, as DeleteOldTokens does.
type PurgeTokens struct{}

// Kind implements river.JobArgs.
func (PurgeTokens) Kind() string { return "maintenance.purge_tokens" }
