package database_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/dbtest"
	"github.com/portico-web/portico/internal/logging"
	"github.com/portico-web/portico/migrations"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

func open(t *testing.T, url string) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), url, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func migrated(t *testing.T, url string) *database.DB {
	t.Helper()
	db := open(t, url)
	if _, err := db.Migrate(t.Context(), migrations.FS, logging.Discard()); err != nil {
		t.Fatal(err)
	}
	return db
}

func insertSchool(ctx context.Context, tx database.Tx, name string) error {
	now := time.Now().UTC()
	_, err := tx.NewRaw("INSERT INTO schools (school_name, created_at, updated_at) VALUES (?, ?, ?)", name, now, now).Exec(ctx)
	return err
}

func schools(t *testing.T, db *database.DB) []string {
	t.Helper()
	var names []string
	if err := db.NewSelect().Table("schools").Column("school_name").Order("id").Scan(t.Context(), &names); err != nil {
		t.Fatal(err)
	}
	return names
}

func TestTransactionKeepsAllOrNothing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		db := migrated(t, url)
		refused := errors.New("refused")
		err := db.RunInTx(t.Context(), func(ctx context.Context, tx database.Tx) error {
			if err := insertSchool(ctx, tx, "rolled back"); err != nil {
				return err
			}
			return refused
		})
		if !errors.Is(err, refused) {
			t.Fatalf("RunInTx: %v", err)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_ = db.RunInTx(t.Context(), func(ctx context.Context, tx database.Tx) error {
				if err := insertSchool(ctx, tx, "panicked"); err != nil {
					return err
				}
				panic("test")
			})
		}()
		err = db.RunInTx(t.Context(), func(ctx context.Context, tx database.Tx) error { return insertSchool(ctx, tx, "kept") })
		if err != nil {
			t.Fatal(err)
		}
		if got := schools(t, db); !slices.Equal(got, []string{"kept"}) {
			t.Errorf("kept %q", got)
		}
	})
}

func TestDatabaseThatIsMissingIsNamed(t *testing.T) {
	t.Parallel()
	address, err := url.Parse(dbtest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	address.Path = "/absent"
	_, err = database.Open(t.Context(), address.String(), 0)
	if err == nil || !strings.Contains(err.Error(), `database "absent" does not exist`) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v does not say what is missing in one line", err)
	}
}

func TestNobodyElseMayReadTheFilesOfSQLite(t *testing.T) {
	t.Parallel()
	url := dbtest.SQLite(t)
	migrated(t, url)
	found, err := filepath.Glob(strings.TrimPrefix(url, "sqlite://") + "*")
	if err != nil || len(found) < 2 {
		t.Fatalf("files %q, %v", found, err)
	}
	for _, path := range found {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

func TestConcurrentWritersWaitForEachOther(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		db := migrated(t, url)
		const writers = 16
		var wg sync.WaitGroup
		failures := make(chan error, writers)
		for i := range writers {
			wg.Go(func() {
				failures <- db.RunInTx(t.Context(), func(ctx context.Context, tx database.Tx) error {
					var count int
					if err := tx.NewRaw("SELECT count(*) FROM schools").Scan(ctx, &count); err != nil {
						return err
					}
					return insertSchool(ctx, tx, fmt.Sprint("school ", i))
				})
			})
		}
		wg.Wait()
		close(failures)
		for err := range failures {
			if err != nil {
				t.Error(err)
			}
		}
		if got := len(schools(t, db)); got != writers {
			t.Errorf("%d rows, want %d", got, writers)
		}
	})
}

func TestSavepointWithinThePostgresTransaction(t *testing.T) {
	t.Parallel()
	db := migrated(t, dbtest.Postgres(t))
	err := db.RunInTx(t.Context(), func(ctx context.Context, tx database.Tx) error {
		outer := tx.Postgres()
		if err := outer.Commit(ctx); err == nil {
			t.Error("the pinned transaction let itself be committed")
		}
		for name, keep := range map[string]bool{"kept": true, "dropped": false} {
			inner, err := outer.Begin(ctx)
			if err != nil {
				return err
			}
			if _, err := inner.Exec(ctx, "INSERT INTO schools (school_name, created_at, updated_at) VALUES ($1, now(), now())", name); err != nil {
				return err
			}
			end := inner.Rollback
			if keep {
				end = inner.Commit
			}
			if err := end(ctx); err != nil {
				return err
			}
			if err := end(ctx); err == nil {
				t.Error("a savepoint ended twice")
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := schools(t, db); !slices.Equal(got, []string{"kept"}) {
		t.Errorf("kept %q", got)
	}
}

func TestViolationsAreRecognised(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		db := migrated(t, url)
		insert := func(ctx context.Context, tx database.Tx) error { return insertSchool(ctx, tx, "twice") }
		if err := db.RunInTx(t.Context(), insert); err != nil {
			t.Fatal(err)
		}
		if err := db.RunInTx(t.Context(), insert); !database.IsUniqueViolation(err) || database.IsForeignKeyViolation(err) {
			t.Errorf("a second row of the same name: %v", err)
		}
		err := db.RunInTx(t.Context(), func(ctx context.Context, tx database.Tx) error {
			now := time.Now().UTC()
			_, err := tx.NewRaw("INSERT INTO boards (school_id, category, name, created_at, updated_at) VALUES (99, '', '', ?, ?)", now, now).Exec(ctx)
			return err
		})
		if !database.IsForeignKeyViolation(err) || database.IsUniqueViolation(err) {
			t.Errorf("a board of no school: %v", err)
		}
	})
}

func TestMigrateMayRunAtOnceAndAgain(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		db := open(t, url)
		if err := db.RequireMigrated(t.Context(), migrations.FS); err == nil || !strings.Contains(err.Error(), "app migrate") {
			t.Errorf("an empty database counts as migrated: %v", err)
		}
		var wg sync.WaitGroup
		failures := make(chan error, 3)
		for range cap(failures) {
			other := open(t, url)
			wg.Go(func() {
				_, err := other.Migrate(t.Context(), migrations.FS, logging.Discard())
				failures <- err
			})
		}
		wg.Wait()
		close(failures)
		for err := range failures {
			if err != nil {
				t.Error(err)
			}
		}
		applied, err := db.Migrate(t.Context(), migrations.FS, logging.Discard())
		if err != nil || len(applied) != 0 {
			t.Errorf("another run applied %q: %v", applied, err)
		}
		if err := db.RequireMigrated(t.Context(), migrations.FS); err != nil {
			t.Error(err)
		}
	})
}

// Both dialects must describe the same tables: names, columns, and which columns may be null.
func TestSchemasAreEqual(t *testing.T) {
	t.Parallel()
	postgres, sqlite := migrated(t, dbtest.Postgres(t)), migrated(t, dbtest.SQLite(t))
	const ours = "%s NOT LIKE 'river_%%' AND %s NOT LIKE 'bun_%%' AND %s NOT LIKE 'sqlite_%%'"
	columns := func(db *database.DB, query string) []string {
		var rows []string
		if err := db.NewRaw(query).Scan(t.Context(), &rows); err != nil {
			t.Fatal(err)
		}
		slices.Sort(rows)
		return rows
	}
	fromPostgres := columns(postgres, "SELECT table_name || '.' || column_name || CASE WHEN is_nullable = 'YES' THEN ' null' ELSE '' END FROM information_schema.columns WHERE table_schema = 'public' AND "+
		fmt.Sprintf(ours, "table_name", "table_name", "table_name"))
	fromSQLite := columns(sqlite, `SELECT t.name || '.' || c.name || CASE WHEN c."notnull" = 0 AND c.pk = 0 THEN ' null' ELSE '' END FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table' AND `+
		fmt.Sprintf(ours, "t.name", "t.name", "t.name"))
	if diff := cmp.Diff(fromPostgres, fromSQLite); diff != "" {
		t.Errorf("columns differ (-postgres +sqlite):\n%s", diff)
	}
	indexesPostgres := columns(postgres, "SELECT tablename || '.' || indexname FROM pg_indexes WHERE schemaname = 'public' AND indexname NOT LIKE '%_key' AND indexname NOT LIKE '%_pkey' AND "+
		fmt.Sprintf(ours, "tablename", "tablename", "tablename"))
	indexesSQLite := columns(sqlite, "SELECT tbl_name || '.' || name FROM sqlite_schema WHERE type = 'index' AND name NOT LIKE 'sqlite_%' AND "+
		fmt.Sprintf(ours, "tbl_name", "tbl_name", "tbl_name"))
	if diff := cmp.Diff(indexesPostgres, indexesSQLite); diff != "" {
		t.Errorf("indexes differ (-postgres +sqlite):\n%s", diff)
	}
}

func TestOpenNamesTheSettingAndHidesThePassword(t *testing.T) {
	t.Parallel()
	notADatabase := filepath.Join(t.TempDir(), "text.db")
	if err := os.WriteFile(notADatabase, []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{
		"mysql://u:hidden@localhost/x", "postgres://u:hidden@127.0.0.1:1/x", "postgres://u:hid%zzden@[::1", "sqlite://",
		"sqlite:///does/not/exist/x.db", "sqlite://" + notADatabase, "hidden",
	} {
		db, err := database.Open(t.Context(), url, 0)
		if err == nil {
			_ = db.Close()
			t.Errorf("%s was opened", url)
			continue
		}
		if !strings.Contains(err.Error(), "DATABASE_URL") || strings.Contains(err.Error(), "u:hid") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %q", url, err)
		}
	}
}
