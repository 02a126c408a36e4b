package e2e

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/portico-web/portico/internal/database"
)

func register(email string) map[string]any {
	return map[string]any{"email": email, "password1": "long enough 77", "password2": "long enough 77"}
}

// stallingSMTP is a mail server that leaves its first client hanging in the middle of a message, and serves the others.
type stallingSMTP struct {
	listener net.Listener
	stalled  chan struct{} // closed when the first client hangs
	accepted chan string   // the messages that were taken over

	mu    sync.Mutex
	first bool
	conns []net.Conn
}

func startStallingSMTP(t *testing.T) *stallingSMTP {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &stallingSMTP{listener: listener, stalled: make(chan struct{}), accepted: make(chan string, 10), first: true}
	var clients sync.WaitGroup
	clients.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			clients.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		s.mu.Lock()
		for _, conn := range s.conns {
			_ = conn.Close()
		}
		s.mu.Unlock()
		clients.Wait()
	})
	return s
}

func (s *stallingSMTP) url() string { return "smtp://" + s.listener.Addr().String() }

func (s *stallingSMTP) serve(conn net.Conn) {
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	say := func(text string) { _, _ = fmt.Fprintf(conn, "%s\r\n", text) }
	say("220 mail.test ready")
	for lines.Scan() {
		switch verb, _, _ := strings.Cut(strings.ToUpper(lines.Text()), " "); verb {
		case "DATA":
			s.mu.Lock()
			first := s.first
			s.first = false
			s.mu.Unlock()
			if first {
				close(s.stalled)
				for lines.Scan() { // never answered: the client waits until it is killed
				}
				return
			}
			say("354 go on")
			var message strings.Builder
			for lines.Scan() && lines.Text() != "." {
				message.WriteString(lines.Text() + "\n")
			}
			s.accepted <- message.String()
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 mail.test")
		}
	}
}

// Ten seconds are promised; the test allows three times as many.
func TestJobOfAKilledWorkerRunsAgain(t *testing.T) {
	t.Parallel()
	smtp := startStallingSMTP(t)
	p := startProcesses(t, "SMTP_URL="+smtp.url(), "MAIL_FROM=portico@example.com")
	c := p.client()
	c.do(http.StatusCreated, http.MethodPost, "/accounts/registration/", register("kim@example.com"))
	<-smtp.stalled
	p.worker.kill()
	p.startWorker()
	eventually(t, patience, func() (bool, string) {
		select {
		case message := <-smtp.accepted:
			return strings.Contains(message, "kim@example.com"), message
		default:
			return false, "no mail yet"
		}
	})
}

func TestJobOfAKilledPlatformRunsAgain(t *testing.T) {
	t.Parallel()
	smtp := startStallingSMTP(t)
	data := t.TempDir()
	p := startEmbedded(t, data, "SMTP_URL="+smtp.url())
	p.client().do(http.StatusCreated, http.MethodPost, "/accounts/registration/", register("lee@example.com"))
	<-smtp.stalled
	p.embedded.kill()
	startEmbedded(t, data, "SMTP_URL="+smtp.url())
	eventually(t, patience, func() (bool, string) {
		select {
		case message := <-smtp.accepted:
			return strings.Contains(message, "lee@example.com"), message
		default:
			return false, "no mail yet"
		}
	})
}

// A storm of registrations meets kill -9 of what answers them. Whatever was acknowledged must exist afterwards, every user
// must have a job, and no job may be without its user.
func TestKillAmidRegistrationsLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	t.Run("one process on SQLite", func(t *testing.T) {
		t.Parallel()
		data := t.TempDir()
		p := startEmbedded(t, data)
		acknowledged := p.registerUntil(func() { p.embedded.kill() })
		startEmbedded(t, data)
		checkRegistrations(t, p.database, acknowledged)
	})
	t.Run("three processes on PostgreSQL and Redis", func(t *testing.T) {
		t.Parallel()
		p := startProcesses(t)
		acknowledged := p.registerUntil(func() { p.app.kill() })
		checkRegistrations(t, p.database, acknowledged)
	})
}

// registerUntil registers from several clients at once, kills in the middle, and returns the addresses whose registration
// was answered 201.
func (p *platform) registerUntil(kill func()) []string {
	const clients, each, killAfter = 4, 40, 12
	var (
		mu           sync.Mutex
		acknowledged []string
		wg           sync.WaitGroup
		enough       = make(chan struct{})
	)
	for i := range clients {
		c := p.client()
		wg.Go(func() {
			for j := range each {
				email := fmt.Sprintf("storm-%d-%d@example.com", i, j)
				got, err := c.try(http.MethodPost, "/accounts/registration/", register(email))
				if err != nil || got.status != http.StatusCreated {
					return
				}
				mu.Lock()
				acknowledged = append(acknowledged, email)
				if len(acknowledged) == killAfter {
					close(enough)
				}
				mu.Unlock()
			}
		})
	}
	<-enough
	kill()
	wg.Wait()
	return acknowledged
}

func checkRegistrations(t *testing.T, url string, acknowledged []string) {
	t.Helper()
	db, err := database.Open(t.Context(), url, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var users []struct {
		UserID   uuid.UUID `bun:"user_id"`
		EmailKey string    `bun:"email_key"`
	}
	if err := db.NewSelect().Table("users").Column("user_id", "email_key").Where("email_key LIKE 'storm-%'").Scan(t.Context(), &users); err != nil {
		t.Fatal(err)
	}
	var args []string
	if err := db.NewSelect().Table("river_job").ColumnExpr("args").Where("kind = 'account.welcome_mail'").Scan(t.Context(), &args); err != nil {
		t.Fatal(err)
	}
	exists := map[string]bool{}
	for _, user := range users {
		exists[user.EmailKey] = true
		jobs := 0
		for _, arg := range args {
			if strings.Contains(arg, user.UserID.String()) {
				jobs++
			}
		}
		if jobs != 1 {
			t.Errorf("%s has %d jobs, want 1", user.EmailKey, jobs)
		}
	}
	for _, email := range acknowledged {
		if !exists[email] {
			t.Errorf("%s was acknowledged and does not exist", email)
		}
	}
	if len(args) != len(users) {
		t.Errorf("%d jobs for %d users", len(args), len(users))
	}
	t.Logf("%d acknowledged, %d users, %d jobs", len(acknowledged), len(users), len(args))
}
