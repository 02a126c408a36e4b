package demo_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/portico-web/portico/app/demo"
	"github.com/portico-web/portico/internal/apitest"
	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/dbtest"
	"github.com/portico-web/portico/migrations"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

func open(t *testing.T, url string) *database.DB {
	t.Helper()
	return apitest.Database(t, url, func(ctx context.Context, db *database.DB) error {
		_, err := db.Migrate(ctx, migrations.FS, slog.New(slog.DiscardHandler))
		return err
	})
}

func hash(password string) (string, error) {
	if len(password) < 20 {
		return "", errors.New("that password can be guessed")
	}
	return "hashed", nil
}

// line is one post with everything around it.
type line struct {
	ID                           int64
	SchoolName, Category, Name   string
	Email, Nickname, UserID      string
	Title, Content               string
	Anonymous                    bool
	CreatedAt, UpdatedAt, Joined time.Time
}

func lines(t *testing.T, db *database.DB) []line {
	t.Helper()
	var all []line
	err := db.NewSelect().TableExpr("posts AS p").Join("JOIN boards AS b ON b.id = p.board_id").Join("JOIN schools AS s ON s.id = b.school_id").
		Join("JOIN users AS u ON u.user_id = p.user_id AND u.school_id = s.id").
		ColumnExpr("p.id, s.school_name, b.category, b.name, u.email, u.nickname, u.user_id, p.title, p.content, p.anonymous, p.created_at, p.updated_at").
		ColumnExpr("u.created_at AS joined").OrderExpr("p.id").Scan(t.Context(), &all)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func digest(all []line) string {
	sum := sha256.New()
	for _, l := range all {
		l.CreatedAt, l.UpdatedAt, l.Joined = l.CreatedAt.UTC(), l.UpdatedAt.UTC(), l.Joined.UTC()
		_, _ = fmt.Fprintln(sum, l)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func TestTheCampusIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	digests := map[string]string{}
	t.Run("databases", func(t *testing.T) {
		dbtest.Each(t, func(t *testing.T, url string) {
			db := open(t, url)
			var group sync.WaitGroup
			for range 2 { // two processes that start at once
				group.Go(func() {
					if err := demo.Fill(t.Context(), db, hash); err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
			for table, want := range map[string]int64{"schools": 4, "boards": 20, "users": 40, "posts": 500} {
				if got, err := db.NewSelect().Table(table).Count(t.Context()); err != nil || int64(got) != want {
					t.Errorf("%d rows in %s, want %d (%v)", got, table, want, err)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			digests[digest(lines(t, db))] = t.Name()
		})
	})
	if len(digests) > 1 {
		t.Errorf("the databases hold different campuses: %v", digests)
	}
}

func TestTheCampusIsBelievable(t *testing.T) {
	t.Parallel()
	db := open(t, dbtest.SQLite(t))
	if err := demo.Fill(t.Context(), db, hash); err != nil {
		t.Fatal(err)
	}
	all := lines(t, db)
	if len(all) != 500 {
		t.Fatalf("%d posts are by members of the board's school, want 500", len(all))
	}
	contents, anonymous := map[string]bool{}, 0
	for i, l := range all {
		contents[l.Content] = true
		if l.Anonymous {
			anonymous++
		}
		if strings.ContainsAny(l.Title+l.Content, "{}|") || strings.Contains(l.Content, "  ") {
			t.Errorf("a slot was left open: %q %q", l.Title, l.Content)
		}
		if utf8.RuneCountInString(l.Title) > 70 || utf8.RuneCountInString(l.Content) < 30 {
			t.Errorf("an odd length: %q %q", l.Title, l.Content)
		}
		if i > 0 && l.CreatedAt.Before(all[i-1].CreatedAt) || l.UpdatedAt.Before(l.CreatedAt) || l.CreatedAt.Before(l.Joined) {
			t.Errorf("times run backwards at post %d", l.ID)
		}
		if !strings.HasSuffix(l.Email, ".example.com") {
			t.Errorf("the address %s may be somebody's", l.Email)
		}
	}
	if len(contents) < 480 {
		t.Errorf("only %d of 500 texts differ", len(contents))
	}
	if anonymous < 100 || anonymous > 250 {
		t.Errorf("%d posts are anonymous", anonymous)
	}
}

func TestAnInterruptedFillLeavesNothing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		db := open(t, url)
		if _, err := db.ExecContext(t.Context(), "ALTER TABLE posts RENAME TO posts_away"); err != nil {
			t.Fatal(err)
		}
		if err := demo.Fill(t.Context(), db, hash); err == nil {
			t.Fatal("filling succeeded without a table for posts")
		}
		if count, err := db.NewSelect().Table("schools").Count(t.Context()); err != nil || count != 0 {
			t.Errorf("%d schools were left behind (%v)", count, err)
		}
		if _, err := db.ExecContext(t.Context(), "ALTER TABLE posts_away RENAME TO posts"); err != nil {
			t.Fatal(err)
		}
		if err := demo.Fill(t.Context(), db, hash); err != nil {
			t.Error(err)
		}
	})
}

func TestASchoolOfThatNameIsUsed(t *testing.T) {
	t.Parallel()
	db := open(t, dbtest.SQLite(t))
	_, err := db.ExecContext(t.Context(), "INSERT INTO schools (id, school_name, created_at, updated_at) VALUES (7, '한빛누리대학교', ?, ?)", time.Now(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := demo.Fill(t.Context(), db, hash); err != nil {
		t.Fatal(err)
	}
	if count, err := db.NewSelect().Table("boards").Where("school_id = 7").Count(t.Context()); err != nil || count != 5 {
		t.Errorf("the school has %d boards, want 5 (%v)", count, err)
	}
}
