package mail_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/quotedprintable"
	netmail "net/mail"
	"strings"
	"testing"

	"github.com/portico-web/portico/internal/mail"
)

const from = "Portico <no-reply@campus.test>"

func sender(t *testing.T, url string) mail.Sender {
	t.Helper()
	s, err := mail.Parse(url, from, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func hello() mail.Message {
	return mail.Message{ID: "job-7-1", To: "kim@example.com", Subject: "가입을 환영합니다", Text: "안녕하세요!\n.\n점 하나로 된 줄도 본문입니다.\n"}
}

func TestSMTPDeliversKoreanWhole(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	if err := sender(t, "smtp://"+s.addr).Send(t.Context(), hello()); err != nil {
		t.Fatal(err)
	}
	got := <-s.messages
	if !strings.Contains(got.from, "<no-reply@campus.test>") || !strings.Contains(got.to, "<kim@example.com>") {
		t.Errorf("the envelope says from %s to %s", got.from, got.to)
	}
	letter, err := netmail.ReadMessage(strings.NewReader(got.data))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(letter.Header.Get("Subject"))
	if err != nil || subject != hello().Subject {
		t.Errorf("subject %q, %v", subject, err)
	}
	for name, want := range map[string]string{
		"Message-Id": "<job-7-1@campus.test>", "To": "<kim@example.com>", "From": `"Portico" <no-reply@campus.test>`, "Auto-Submitted": "auto-generated",
	} {
		if got := letter.Header.Get(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	body := letter.Body
	switch letter.Header.Get("Content-Transfer-Encoding") {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	text, err := io.ReadAll(body)
	if err != nil || strings.ReplaceAll(string(text), "\r\n", "\n") != hello().Text {
		t.Errorf("text %q, %v", text, err)
	}
}

func TestSMTPTellsPermanentFromTemporary(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answers   map[string]string
		permanent bool
	}{
		"unknown recipient":           {map[string]string{"RCPT": "550 5.1.1 no such user"}, true},
		"mailbox busy":                {map[string]string{"RCPT": "451 4.2.0 try later"}, false},
		"content refused":             {map[string]string{".": "554 5.7.1 looks like spam"}, true},
		"disk full":                   {map[string]string{".": "452 4.3.1 no space"}, false},
		"wants a login":               {map[string]string{"MAIL": "530 5.7.0 authentication required"}, false},
		"hangs up":                    {map[string]string{"DATA": ""}, false},
		"not now":                     {map[string]string{"EHLO": "421 too busy", "HELO": "421 too busy"}, false},
		"sender refused":              {map[string]string{"MAIL": "550 5.7.1 not from here"}, false},
		"talks nonsense":              {map[string]string{"MAIL": "\x00\xff what?"}, false},
		"knows no NOOP":               {map[string]string{"NOOP": "502 5.5.1 what?"}, false},
		"accepts and forgets to part": {map[string]string{"QUIT": ""}, false},
		"accepts and hangs up":        {map[string]string{"RSET": ""}, false},
		"accepts and fails to reset":  {map[string]string{"RSET": "500 5.5.1 what?"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, test.answers)
			err := sender(t, "smtp://"+s.addr).Send(t.Context(), hello())
			if accepted := len(s.messages) == 1; accepted != (err == nil) {
				t.Errorf("the server accepted: %v; Send returned %v", accepted, err)
			}
			if mail.IsPermanent(err) != test.permanent {
				t.Errorf("permanent is %v, want %v: %v", !test.permanent, test.permanent, err)
			}
		})
	}
}

func TestSMTPUnreachableIsTemporary(t *testing.T) {
	t.Parallel()
	err := sender(t, "smtp://127.0.0.1:1").Send(t.Context(), hello())
	if err == nil || mail.IsPermanent(err) {
		t.Errorf("got %v, want a failure that is tried again", err)
	}
}

func TestSMTPEndsWithItsContext(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"EHLO", "MAIL"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			s := serveUntil(t, nil, command)
			ctx, cancel := context.WithCancel(t.Context())
			result := make(chan error, 1)
			go func() { result <- sender(t, "smtp://"+s.addr).Send(ctx, hello()) }()
			<-s.hanging
			cancel()
			if err := <-result; !errors.Is(err, context.Canceled) || mail.IsPermanent(err) {
				t.Errorf("got %v, want the context's own error", err)
			}
		})
	}
}

func TestSMTPSendsNoPasswordInTheClear(t *testing.T) {
	t.Parallel()
	s := serve(t, map[string]string{"login": "offered"})
	for _, parameters := range []string{"", "?starttls=offered", "?starttls=required"} {
		if err := sender(t, "smtp://user:s3cret@"+s.addr+parameters).Send(t.Context(), hello()); err == nil {
			t.Errorf("%q: the mail went out by a server that offers no TLS", parameters)
		} else if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: the error tells the password: %v", parameters, err)
		}
	}
	if len(s.messages) != 0 {
		t.Errorf("the server was sent %+v", <-s.messages)
	}
	// Told so, towards this very machine, it does.
	if err := sender(t, "smtp://user:s3cret@"+s.addr+"?starttls=off").Send(t.Context(), hello()); err != nil {
		t.Error(err)
	}
}

func TestSMTPWantsTLSUnlessTold(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	if err := sender(t, "smtp://"+s.addr+"?starttls=required").Send(t.Context(), hello()); err == nil || len(s.messages) != 0 {
		t.Errorf("got %v and %d messages without TLS", err, len(s.messages))
	}
	if err := sender(t, "smtps://"+s.addr).Send(t.Context(), hello()); err == nil {
		t.Error("a server without TLS took a message by smtps://")
	}
}

func TestMessageThatCannotBeSentIsPermanentAndReachesNobody(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*mail.Message){
		"line break in the subject":   func(m *mail.Message) { m.Subject = "Hi\r\nBcc: all@example.com" },
		"line separator":              func(m *mail.Message) { m.Subject = "Hi\u2028Bcc: all@example.com" },
		"empty subject":               func(m *mail.Message) { m.Subject = "" },
		"line break in the recipient": func(m *mail.Message) { m.To = "kim@example.com\nBcc: all@example.com" },
		"two recipients":              func(m *mail.Message) { m.To = "kim@example.com, lee@example.com" },
		"recipient with a name":       func(m *mail.Message) { m.To = "Kim <kim@example.com>" },
		"no recipient":                func(m *mail.Message) { m.To = "" },
		"smuggled command":            func(m *mail.Message) { m.To = "kim@example.com>\r\nDATA" },
		"line break in the id":        func(m *mail.Message) { m.ID = "1>\r\nBcc: all@example.com" },
		"no id":                       func(m *mail.Message) { m.ID = "" },
		"endless text":                func(m *mail.Message) { m.Text = strings.Repeat("a", 300<<10) },
		"broken UTF-8":                func(m *mail.Message) { m.Text = "\xff" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			message := hello()
			spoil(&message)
			deliver := func(context.Context, mail.Message) error { t.Error("it was delivered"); return nil }
			mailbox, err := mail.Parse("mailbox:", from, deliver)
			if err != nil {
				t.Fatal(err)
			}
			for kind, s := range map[string]mail.Sender{"mailbox": mailbox, "smtp": sender(t, "smtp://127.0.0.1:1")} {
				if err := s.Send(t.Context(), message); !mail.IsPermanent(err) {
					t.Errorf("%s: %v, want a permanent failure", kind, err)
				}
			}
		})
	}
}

func TestMailboxHandsMessagesOver(t *testing.T) {
	t.Parallel()
	full := errors.New("full")
	var got mail.Message
	s, err := mail.Parse("mailbox:", "", func(_ context.Context, m mail.Message) error { got = m; return full })
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), hello()); !errors.Is(err, full) || got != hello() {
		t.Errorf("handed over %+v, returned %v", got, err)
	}
}

func TestParseNamesTheSettingAtFault(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"":                                        "SMTP_URL is required",
		"http://mail":                             `SMTP_URL: unknown scheme "http"`,
		"mail.example.com:587":                    `SMTP_URL: unknown scheme "mail.example.com"`,
		"smtp://":                                 "SMTP_URL: not a valid address",
		"smtp://user:s3cr%et@mail":                "SMTP_URL: not a valid address",
		"smtp://user:s3cret@mail:x":               "SMTP_URL",
		"smtp://user:s3cret@mail:99999":           "SMTP_URL",
		"smtp://user:s3cret@mail?starttls=maybe":  "SMTP_URL: starttls=maybe",
		"smtp://user:s3cret@mail?timeout=3":       `SMTP_URL: unknown parameter "timeout"`,
		"mailbox:":                                "SMTP_URL: there is no mailbox here",
		"smtps://mail.example.com with a bad end": "SMTP_URL",
	} {
		_, err := mail.Parse(url, from, nil)
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "s3cr") {
			t.Errorf("%s: %v; want one line that begins %q and keeps the password to itself", url, err, want)
		}
	}
	for _, sender := range []string{"", "nobody", "a@b\r\nBcc: c@d"} {
		if _, err := mail.Parse("smtp://mail.example.com", sender, nil); err == nil || !strings.HasPrefix(err.Error(), "MAIL_FROM") {
			t.Errorf("sender %q: %v, want a fault of MAIL_FROM", sender, err)
		}
	}
}
