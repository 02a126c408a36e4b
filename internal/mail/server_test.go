package mail_test

import (
	"net"
	"net/textproto"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a small SMTP server (RFC 5321) whose answers a test may replace.
type server struct {
	addr     string
	messages chan message
	answers  map[string]string // by command: the answer in place of the usual one; "" closes the connection
	hangsAt  string            // the command that is never answered
	hanging  chan struct{}     // closed when it came
}

type message struct{ from, to, data string }

func serve(t *testing.T, answers map[string]string) *server {
	t.Helper()
	return serveUntil(t, answers, "")
}

func serveUntil(t *testing.T, answers map[string]string, hangsAt string) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: listener.Addr().String(), messages: make(chan message, 10), answers: answers, hangsAt: hangsAt, hanging: make(chan struct{})}
	ended := make(chan struct{})
	t.Cleanup(func() { _ = listener.Close(); <-ended })
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.converse(conn)
		}
	}()
	return s
}

func (s *server) converse(conn net.Conn) {
	defer conn.Close()
	text := textproto.NewConn(conn)
	say := func(line string) { _ = text.PrintfLine("%s", line) }
	say("220 mail.test ready")
	var m message
	for {
		line, err := text.ReadLine()
		if err != nil {
			return
		}
		command, argument, _ := strings.Cut(line, " ")
		command = strings.ToUpper(command)
		if command == s.hangsAt {
			close(s.hanging)
			_, _ = text.ReadLine() // until the client goes
			return
		}
		if answer, replaced := s.answers[command]; replaced && answer != "" {
			say(answer)
			continue
		} else if replaced {
			return
		}
		switch command {
		case "EHLO", "HELO":
			say("250-mail.test")
			say("250-8BITMIME")
			say("250-SMTPUTF8")
			if s.answers["AUTH"] != "" || s.answers["login"] != "" {
				say("250-AUTH PLAIN LOGIN")
			}
			say("250 PIPELINING")
		case "MAIL":
			m = message{from: argument}
			say("250 ok")
		case "RCPT":
			m.to = argument
			say("250 ok")
		case "DATA":
			say("354 go on")
			data, err := text.ReadDotBytes()
			if err != nil {
				return
			}
			if answer, replaced := s.answers["."]; replaced {
				say(answer)
				continue
			}
			m.data = string(data)
			s.messages <- m
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		case "AUTH":
			s.messages <- message{data: line}
			say("235 welcome")
		default:
			say("250 ok")
		}
	}
}
