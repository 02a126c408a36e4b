package worker_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/portico-web/portico/app/account"
	"github.com/portico-web/portico/app/mailbox"
	"github.com/portico-web/portico/internal/dbtest"
	"github.com/portico-web/portico/internal/mail"
	"github.com/portico-web/portico/worker"
	"github.com/portico-web/portico/worker/jobs"
)

func TestWelcomeMailReachesTheMailboxOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *platform) {
		r := p.start(t, nil, "PUBLIC_URL=https://campus.test")
		english := p.enqueue(t, account.WelcomeMail{UserID: uuid.New(), Email: "alex@example.com", Nickname: "Alex", Lang: "en"}, nil)
		r.await(t, english, "SUCCESS")
		korean := p.enqueue(t, account.WelcomeMail{UserID: uuid.New(), Email: "minji@example.com", Nickname: "민지", Lang: "ko"}, nil)
		r.await(t, korean, "SUCCESS")
		// The same job once more, as after a crash between the delivery and its note.
		if a := r.request(t, http.MethodPost, "/task/1/retry", ""); a.status != http.StatusSeeOther {
			t.Fatalf("retry: %d", a.status)
		}
		r.await(t, korean, "SUCCESS")
		for p.job(t, english).Attempt < 2 || p.job(t, english).State != rivertype.JobStateCompleted {
			r.await(t, english, "SUCCESS")
		}

		messages, err := mailbox.New(p.db).Latest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(messages) != 2 {
			t.Fatalf("%d messages were delivered, want 2: %+v", len(messages), messages)
		}
		for i, want := range []struct{ to, subject, text string }{
			{"minji@example.com", "환영", "민지님"}, {"alex@example.com", "Welcome", "Hello Alex!"},
		} {
			m := messages[i]
			if m.To != want.to || !strings.Contains(m.Subject, want.subject) || !strings.Contains(m.Text, want.text) || !strings.Contains(m.Text, "https://campus.test") {
				t.Errorf("message %+v, want one to %s about %q", m, want.to, want.subject)
			}
		}
	})
}

func TestMailThatCanNeverBeDeliveredIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *platform) {
		r := p.start(t, nil)
		id := p.enqueue(t, account.WelcomeMail{Email: "not an address", Nickname: "x"}, nil)
		r.await(t, id, "REVOKED")
		if job := p.job(t, id); job.Attempt != 1 || len(job.Errors) != 1 {
			t.Errorf("the job ended after %d attempts with %d errors, want one of each", job.Attempt, len(job.Errors))
		}
	})
}

func TestMailServerThatIsGoneIsTriedAgain(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, dbtest.SQLite(t))
	r := p.start(t, nil, "SMTP_URL=smtp://127.0.0.1:1", "MAIL_FROM=no-reply@campus.test")
	id := p.enqueue(t, account.WelcomeMail{Email: "kim@example.com"}, &river.InsertOpts{MaxAttempts: 1})
	r.await(t, id, "FAILURE")
	if job := p.job(t, id); job.State != rivertype.JobStateDiscarded {
		t.Errorf("the job is %s: it was given up before its attempts were used", job.State)
	}
}

func TestNicknameCannotPutAnotherSitesAddressIntoTheMail(t *testing.T) {
	t.Parallel()
	sent := make(chan mail.Message, 1)
	sender, err := mail.Parse("mailbox:", "", func(_ context.Context, m mail.Message) error { sent <- m; return nil })
	if err != nil {
		t.Fatal(err)
	}
	welcome := &jobs.Welcome{Sender: sender, PublicURL: "https://campus.test"}
	for _, nickname := range []string{"Win at https://evil.test", "www.evil.test", "two\nlines\r\nhere", strings.Repeat("long ", 50)} {
		job := &river.Job[account.WelcomeMail]{JobRow: &rivertype.JobRow{ID: 1}, Args: account.WelcomeMail{Email: "kim@example.com", Nickname: nickname}}
		if err := welcome.Work(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		m := <-sent
		first, _, _ := strings.Cut(m.Text, "\n")
		if strings.Contains(m.Text, "evil") || len(first) > 60 || strings.Contains(m.Text, "lines\n") {
			t.Errorf("nickname %.30q made the mail %q", nickname, m.Text)
		}
	}
}

func TestPurgeDeletesTokensThatExpired(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *platform) {
		r := p.start(t, nil)
		now := time.Now().UTC()
		member := uuid.NewString()
		for _, statement := range []struct {
			query string
			args  []any
		}{
			{"INSERT INTO users (user_id, email, email_key, password, created_at, updated_at) VALUES (?, 'a@b.test', 'a@b.test', '!', ?, ?)", []any{member, now, now}},
			{"INSERT INTO refresh_tokens (id, family, user_id, hash, expires_at, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)", []any{uuid.NewString(), uuid.NewString(), member, []byte{1}, now.Add(-90 * 24 * time.Hour), now, now}},
			{"INSERT INTO refresh_tokens (id, family, user_id, hash, expires_at, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)", []any{uuid.NewString(), uuid.NewString(), member, []byte{2}, now.Add(time.Hour), now, now}},
		} {
			if _, err := p.db.NewRaw(statement.query, statement.args...).Exec(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		r.await(t, p.enqueue(t, account.PurgeTokens{}, nil), "SUCCESS")
		var left int
		if err := p.db.NewRaw("SELECT count(*) FROM refresh_tokens").Scan(t.Context(), &left); err != nil || left != 1 {
			t.Errorf("%d tokens are left (%v), want the one that is still good", left, err)
		}
	})
}

func TestPurgeIsDueAtEachFullHour(t *testing.T) {
	t.Parallel()
	for at, want := range map[string]string{
		"2026-01-31T23:59:59Z": "2026-02-01T00:00:00Z", "2026-01-31T10:00:00Z": "2026-01-31T11:00:00Z", "2026-01-31T10:30:00+05:30": "2026-01-31T06:00:00Z",
	} {
		moment, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := (jobs.Hourly{}).Next(moment).Format(time.RFC3339); got != want {
			t.Errorf("after %s it is due %s, want %s", at, got, want)
		}
	}
}

func TestEnqueueByCommand(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *platform) {
		cfg, err := worker.LoadConfig([]string{"DATABASE_URL=" + p.url})
		if err != nil {
			t.Fatal(err)
		}
		id, err := worker.Enqueue(t.Context(), cfg, "maintenance.purge_tokens", nil, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if job := p.job(t, id); job.State != rivertype.JobStateScheduled || job.Kind != "maintenance.purge_tokens" {
			t.Errorf("enqueued %s as %s, want maintenance.purge_tokens, scheduled", job.Kind, job.State)
		}
		for kind, arguments := range map[string]string{"nothing.known": "{}", "account.welcome_mail": `{"mail": "x"}`, "maintenance.purge_tokens": `{`} {
			if _, err := worker.Enqueue(t.Context(), cfg, kind, []byte(arguments), 0); err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), kind) {
				t.Errorf("%s %s: %v, want one line that names the kind", kind, arguments, err)
			}
		}
	})
}

func TestSettingsAtFaultAreNamed(t *testing.T) {
	t.Parallel()
	_, err := worker.LoadConfig([]string{"WORKER_CONCURRENCY=many", "WORKER_STOP_TIMEOUT=-1s", "WORKER_JOB_TIMEOUT=1000h"})
	for _, name := range []string{"WORKER_CONCURRENCY", "WORKER_STOP_TIMEOUT", "WORKER_JOB_TIMEOUT"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not name %s", err, name)
		}
	}
	p := newPlatform(t, dbtest.SQLite(t))
	for setting, want := range map[string]string{"SMTP_URL=": "SMTP_URL is required", "SMTP_URL=ftp://x": "SMTP_URL: unknown scheme", "LISTEN=127.0.0.1:x": "LISTEN: cannot listen"} {
		environ := []string{"LISTEN=127.0.0.1:0", setting}
		if !strings.HasPrefix(setting, "SMTP_URL") {
			environ = append(environ, "SMTP_URL=mailbox:")
		}
		cfg, err := worker.LoadConfig(environ)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := worker.New(t.Context(), cfg, surroundings(p, nil)); err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line that begins %q", setting, err, want)
		}
	}
}
