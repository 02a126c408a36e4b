package mailbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/portico-web/portico/app/mailbox"
	"github.com/portico-web/portico/internal/apitest"
	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/dbtest"
	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/internal/mail"
	"github.com/portico-web/portico/migrations"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

func open(t *testing.T, url string) *mailbox.Store {
	t.Helper()
	return mailbox.New(apitest.Database(t, url, func(ctx context.Context, db *database.DB) error {
		_, err := db.Migrate(ctx, migrations.FS, slog.New(slog.DiscardHandler))
		return err
	}))
}

func TestAMessageIsDeliveredOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		box := open(t, url)
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				err := box.Deliver(t.Context(), mail.Message{ID: "job-1", To: "a@example.com", Subject: "환영합니다", Text: "안\x00녕"})
				if err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if err := box.Deliver(t.Context(), mail.Message{ID: "job-2", To: "b@example.com", Subject: "s", Text: "t"}); err != nil {
			t.Fatal(err)
		}
		got, err := box.Latest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 2 || got[0].To != "b@example.com" || got[1].Subject != "환영합니다" || got[1].Text != "안\uFFFD녕" {
			t.Errorf("the mailbox holds %+v", got)
		}
	})
}

func TestTheMailboxKeepsTheNewest(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		box := open(t, url)
		old := make([]mailbox.Message, mailbox.Kept)
		for i := range old {
			old[i] = mailbox.Message{MessageID: fmt.Sprint("old", i), ReceivedAt: httpx.Time{Time: time.Unix(0, 0)}}
		}
		if _, err := box.DB.NewInsert().Model(&old).Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			if err := box.Deliver(t.Context(), mail.Message{ID: fmt.Sprint("new", i), Subject: "new"}); err != nil {
				t.Fatal(err)
			}
		}
		var first string
		count, err := box.DB.NewSelect().Table("mailbox_messages").Count(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := box.DB.NewSelect().Table("mailbox_messages").Column("message_id").Order("id").Limit(1).Scan(t.Context(), &first); err != nil {
			t.Fatal(err)
		}
		if count != mailbox.Kept || first != "old3" {
			t.Errorf("%d messages, the oldest %s; want %d and old3", count, first, mailbox.Kept)
		}
		if got, err := box.Latest(t.Context()); err != nil || len(got) != mailbox.Shown || got[0].MessageID != "new2" {
			t.Errorf("%d messages shown, error %v", len(got), err)
		}
	})
}

func TestOnlyThoseOnTheMachineOrAllowedReadTheMailbox(t *testing.T) {
	t.Parallel()
	box := open(t, dbtest.SQLite(t))
	if err := box.Deliver(t.Context(), mail.Message{ID: "1", To: "a@example.com", Subject: "s", Text: "t"}); err != nil {
		t.Fatal(err)
	}
	allow := []netip.Prefix{netip.MustParsePrefix("172.17.0.0/16"), netip.MustParsePrefix("fd00::/8")}
	trusted := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.9/32")}
	handler := httpx.WithClient(trusted, mailbox.Gate(allow, http.NotFoundHandler(), box.Messages(slog.Default())))
	for _, c := range []struct {
		name, peer, forwarded string
		status                int
	}{
		{"this machine by the edge", "127.0.0.1:5", "127.0.0.1", 200},
		{"this machine by IPv6", "127.0.0.1:5", "::1", 200},
		{"this machine, mapped", "127.0.0.1:5", "::ffff:127.0.0.1", 200},
		{"an allowed network", "10.0.0.9:5", "172.17.0.1", 200},
		{"an allowed network by IPv6", "10.0.0.9:5", "fd00::1", 200},
		{"the internet", "127.0.0.1:5", "203.0.113.7", 404},
		{"the internet that claims to be local", "127.0.0.1:5", "127.0.0.1, 203.0.113.7", 404},
		{"next to the allowed network", "10.0.0.9:5", "172.18.0.1", 404},
		{"past the edge, without a claim", "127.0.0.1:5", "", 404},
		{"past the edge, from an allowed network", "172.17.0.1:5", "", 404},
		{"past the edge, with a claim", "203.0.113.7:5", "127.0.0.1", 404},
		{"an untrusted peer of an allowed network, with a claim", "172.17.0.1:5", "127.0.0.1", 404},
		{"nonsense", "127.0.0.1:5", "localhost", 404},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/mailbox/messages.json", http.NoBody)
		r.RemoteAddr = c.peer
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%s: %d, want %d", c.name, w.Code, c.status)
		}
		if w.Code == 200 {
			var messages []map[string]string
			if err := json.Unmarshal(w.Body.Bytes(), &messages); err != nil || len(messages) != 1 || len(messages[0]) != 4 ||
				messages[0]["to"] != "a@example.com" || messages[0]["received_at"] == "" {
				t.Errorf("%s: %s", c.name, w.Body)
			}
		}
	}
}
