package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// smtpTimeout bounds connecting, and then each step of a delivery.
const smtpTimeout = 15 * time.Second

// smtpSender delivers by one connection a message, so that no state is shared between deliveries.
type smtpSender struct {
	host    string
	tls     *tls.Config // for TLS from the first byte; nil when it starts in the clear
	options []gomail.Option
	from    *mail.Address
}

// newSMTP reads smtp://user:password@host:port?starttls=required|offered|off. STARTTLS is required by default except towards
// this very machine; a password is never sent in the clear to another one.
func newSMTP(address *url.URL, mailFrom string) (*smtpSender, error) {
	from, err := mail.ParseAddress(mailFrom)
	if err != nil || hasControl(mailFrom) {
		return nil, fmt.Errorf("MAIL_FROM: %q is not an address such as Portico <no-reply@example.com>", mailFrom)
	}
	policies := map[string]gomail.TLSPolicy{"required": gomail.TLSMandatory, "offered": gomail.TLSOpportunistic, "off": gomail.NoTLS}
	query := address.Query()
	for name := range query {
		if name != "starttls" {
			return nil, fmt.Errorf("SMTP_URL: unknown parameter %q: the only one is starttls=required, offered or off", name)
		}
	}
	host := address.Hostname()
	starttls := query.Get("starttls")
	if starttls == "" {
		starttls = "required"
		if isLocal(host) {
			starttls = "offered"
		}
	}
	policy, known := policies[starttls]
	if !known {
		return nil, fmt.Errorf("SMTP_URL: starttls=%s is not one of required, offered, off", starttls)
	}
	sender := &smtpSender{host: host, from: from}
	config := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	port := 587
	if strings.EqualFold(address.Scheme, "smtps") {
		port, policy, sender.tls = 465, gomail.TLSOpportunistic, config
	}
	if given := address.Port(); given != "" {
		if port, err = strconv.Atoi(given); err != nil || port < 1 || port > 65535 {
			return nil, fmt.Errorf("SMTP_URL: %q is not a port from 1 to 65535", given)
		}
	}
	sender.options = []gomail.Option{gomail.WithTimeout(smtpTimeout), gomail.WithTLSPolicy(policy), gomail.WithTLSConfig(config), gomail.WithPort(port)}
	if user := address.User.Username(); user != "" {
		auth := gomail.SMTPAuthAutoDiscover
		if policy == gomail.NoTLS && isLocal(host) {
			auth = gomail.SMTPAuthPlainNoEnc
		}
		password, _ := address.User.Password()
		sender.options = append(sender.options, gomail.WithSMTPAuth(auth), gomail.WithUsername(user), gomail.WithPassword(password))
	}
	if _, err := gomail.NewClient(host, sender.options...); err != nil {
		return nil, fmt.Errorf("SMTP_URL: %w", err)
	}
	return sender, nil
}

func isLocal(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// Send delivers message. What the server refuses for good (5xx to the recipient or the content) is permanent; an unreachable
// server, 4xx, and a refused password or sender, which the operator mends, are not.
func (s *smtpSender) Send(ctx context.Context, message Message) error {
	if err := message.check(); err != nil {
		return err
	}
	// The library closes nothing when it fails and does not look at ctx while it sends, so the connection is ours.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dial := gomail.WithDialContextFunc(func(dialing context.Context, network, address string) (net.Conn, error) {
		connection, err := s.dial(dialing, network, address)
		if err == nil {
			context.AfterFunc(ctx, func() { _ = connection.Close() })
		}
		return connection, err
	})
	client, err := gomail.NewClient(s.host, append(slices.Clip(s.options), dial)...)
	if err != nil {
		return err
	}
	letter := gomail.NewMsg()
	letter.FromMailAddress(s.from)
	if err := letter.To(message.To); err != nil {
		return Permanent(errors.New("the recipient is not a mail address"))
	}
	letter.Subject(message.Subject)
	letter.SetDate()
	letter.SetMessageIDWithValue(message.ID + "@" + s.from.Address[strings.LastIndexByte(s.from.Address, '@')+1:])
	letter.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office answers, please
	letter.SetBodyString(gomail.TypeTextPlain, message.Text)

	connection, err := client.DialToSMTPClientWithContext(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("reaching the mail server %s: %w", s.host, err)
	}
	// Once the message is accepted, nothing that goes wrong after it may send it again.
	if err := client.SendWithSMTPClient(connection, letter); err != nil && !letter.IsDelivered() {
		return sendError(ctx, err)
	}
	_ = client.CloseWithSMTPClient(connection)
	return nil
}

func (s *smtpSender) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if s.tls != nil {
		return (&tls.Dialer{Config: s.tls}).DialContext(ctx, network, address)
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

func sendError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	wrapped := fmt.Errorf("handing the message to the mail server: %w", err)
	refused, ok := errors.AsType[*gomail.SendError](err)
	wantsLogin := []int{530, 534, 535, 538} // RFC 4954 section 6
	ofMessage := []gomail.SendErrReason{gomail.ErrSMTPRcptTo, gomail.ErrSMTPData, gomail.ErrSMTPDataClose}
	if ok && slices.Contains(ofMessage, refused.Reason) && refused.ErrorCode() >= 500 && !slices.Contains(wantsLogin, refused.ErrorCode()) {
		return Permanent(wrapped)
	}
	return wrapped
}
