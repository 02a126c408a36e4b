package jobs

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/riverqueue/river"

	"github.com/portico-web/portico/app/account"
	"github.com/portico-web/portico/internal/mail"
)

// Welcome greets a new member by mail.
type Welcome struct {
	river.WorkerDefaults[account.WelcomeMail]
	Sender    mail.Sender
	PublicURL string
}

// mailTimeout bounds one attempt to hand a mail over.
const mailTimeout = 45 * time.Second

func (w *Welcome) Timeout(*river.Job[account.WelcomeMail]) time.Duration { return mailTimeout }

// Work sends the mail. A refusal for good cancels the job; anything else is tried again.
func (w *Welcome) Work(ctx context.Context, job *river.Job[account.WelcomeMail]) error {
	subject, text := welcome(job.Args, w.PublicURL)
	err := w.Sender.Send(ctx, mail.Message{ID: messageID(job.ID, job.CreatedAt), To: job.Args.Email, Subject: subject, Text: text})
	if mail.IsPermanent(err) {
		return river.JobCancel(err)
	}
	return err
}

// messageID names the mail of a job, the same in every attempt. The time belongs to it because SQLite may give the id of a
// deleted job to a new one.
func messageID(job int64, created time.Time) string {
	return fmt.Sprintf("job-%d-%d", job, created.UnixMicro())
}

func welcome(member account.WelcomeMail, publicURL string) (subject, text string) {
	name := plainName(member.Nickname)
	if strings.HasPrefix(strings.ToLower(member.Lang), "ko") {
		greeting := "안녕하세요!"
		if name != "" {
			greeting = name + "님, 안녕하세요!"
		}
		return "가입을 환영합니다", greeting + "\n\n회원이 되신 것을 환영합니다. 이제 게시판에 글을 쓰고 학교 친구들과 이야기를 나눌 수 있습니다.\n\n" +
			publicURL + "\n\n가입하신 적이 없다면 이 메일은 무시하셔도 됩니다.\n"
	}
	greeting := "Hello!"
	if name != "" {
		greeting = "Hello " + name + "!"
	}
	return "Welcome", greeting + "\n\nGood to have you with us. You can now post on the boards and talk with the people of your school.\n\n" +
		publicURL + "\n\nIf you did not register, you can ignore this message.\n"
}

// plainName is a nickname on one line, so that nobody can write whole paragraphs, or addresses of other sites, into a mail
// that a stranger receives from us.
func plainName(nickname string) string {
	name := strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, nickname)), " ")
	if runes := []rune(name); len(runes) > 40 {
		name = string(runes[:40])
	}
	if strings.Contains(name, "://") || strings.Contains(name, "www.") {
		return ""
	}
	return name
}
