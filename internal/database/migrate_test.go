package database_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/dbtest"
	"github.com/portico-web/portico/internal/expand"
	"github.com/portico-web/portico/internal/logging"
)

// release is the migrations of a version: the first one, and others by the ends of their names.
func release(more map[string]string) fs.FS {
	files := fstest.MapFS{}
	for _, folder := range []string{"postgres", "sqlite"} {
		files[folder+"/1_first.tx.up.sql"] = &fstest.MapFile{Data: []byte("CREATE TABLE IF NOT EXISTS notes (id BIGINT PRIMARY KEY, body TEXT);")}
		for name, sql := range more {
			files[folder+"/"+name] = &fstest.MapFile{Data: []byte(sql)}
		}
	}
	return files
}

func exists(t *testing.T, db *database.DB, table string) bool {
	t.Helper()
	query := "SELECT count(*) > 0 FROM sqlite_schema WHERE name = ?"
	if db.IsPostgres() {
		query = "SELECT to_regclass(?) IS NOT NULL"
	}
	var found bool
	if err := db.NewRaw(query, table).Scan(t.Context(), &found); err != nil {
		t.Fatal(err)
	}
	return found
}

func migrate(t *testing.T, db *database.DB, files fs.FS) []string {
	t.Helper()
	names, err := db.Migrate(t.Context(), files, logging.Discard())
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestNothingIsAppliedWhenAnythingPendingIsRefused(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		db := open(t, url)
		expandOnly := database.DefaultMigrateOptions()
		expandOnly.ExpandOnly = true
		fresh := release(map[string]string{"2_swap.tx.up.sql": "DROP TABLE notes;"})
		if names, err := db.MigrateWith(t.Context(), fresh, expandOnly, logging.Discard()); err != nil || len(names) != 2 {
			t.Fatalf("an empty database, which no version uses: %q, %v", names, err)
		}
		next := release(map[string]string{"2_swap.tx.up.sql": "", "3_tags.tx.up.sql": "CREATE TABLE IF NOT EXISTS tags (id BIGINT);", "4_drop.tx.up.sql": "SELECT 1;\nDROP TABLE bun_migration_locks;"})
		names, err := db.MigrateWith(t.Context(), next, expandOnly, logging.Discard())
		refused, ok := errors.AsType[*database.RefusedError](err)
		if !ok || len(names) > 0 || len(refused.Findings) != 1 || refused.Findings[0].Line != 2 || !strings.HasSuffix(refused.Findings[0].File, "/4_drop.tx.up.sql") {
			t.Fatalf("applied %q: %v", names, err)
		}
		if exists(t, db, "tags") {
			t.Error("a migration was applied beside the one that was refused")
		}
		if names := migrate(t, db, next); !slices.Equal(names, []string{"3_tags", "4_drop"}) {
			t.Errorf("without --expand-only %q were applied", names)
		}
	})
}

func TestAPlanChangesNothing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		db := open(t, url)
		plan, err := db.Plan(t.Context(), release(nil))
		if err != nil || !plan.Empty || len(plan.Pending) < 2 || len(plan.Findings) != 0 {
			t.Errorf("an empty database: %+v, %v", plan, err)
		}
		for _, table := range []string{"bun_migrations", "river_migration", "notes"} {
			if exists(t, db, table) {
				t.Errorf("the plan made the table %s", table)
			}
		}
		migrate(t, db, release(nil))
		plan, err = db.Plan(t.Context(), release(map[string]string{"2_column.tx.up.sql": "-- expand: reviewed: unused\nALTER TABLE notes DROP COLUMN body;"}))
		if err != nil || plan.Empty || len(plan.Pending) != 1 || len(plan.Findings) != 1 || plan.Findings[0].Severity != expand.Reviewed || plan.Refusal() != nil {
			t.Errorf("one pending: %+v, %v", plan, err)
		}
	})
}

func TestAVersionWorksOnTheSchemaOfALaterOne(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		db := open(t, url)
		later := release(map[string]string{"2_tags.tx.up.sql": "CREATE TABLE IF NOT EXISTS tags (id BIGINT);"})
		migrate(t, db, later)
		if err := db.RequireMigrated(t.Context(), release(nil)); err != nil {
			t.Errorf("the version before does not start: %v", err)
		}
		if names := migrate(t, db, release(nil)); len(names) != 0 {
			t.Errorf("the version before applied %q", names)
		}
		missing := release(map[string]string{"2_tags.tx.up.sql": "", "3_more.tx.up.sql": ""})
		if err := db.RequireMigrated(t.Context(), missing); err == nil || !strings.Contains(err.Error(), "lacks 3_more: run `app migrate`") {
			t.Errorf("a migration is missing: %v", err)
		}
	})
}

// signalling is a log whose first line opens a channel.
type signalling struct {
	slog.Handler
	once *sync.Once
	said chan struct{}
}

func (s signalling) Enabled(context.Context, slog.Level) bool { return true }
func (s signalling) Handle(_ context.Context, record slog.Record) error {
	if strings.Contains(record.Message, "in use") {
		s.once.Do(func() { close(s.said) })
	}
	return nil
}

// locked returns a database whose table notes somebody uses until release is called, and a migration that needs it alone.
func locked(t *testing.T) (db *database.DB, next fs.FS, unlock func()) {
	t.Helper()
	db = open(t, dbtest.Postgres(t))
	migrate(t, db, release(nil))
	tx, err := open(t, dbURL(db)).Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "SELECT * FROM notes"); err != nil {
		t.Fatal(err)
	}
	return db, release(map[string]string{"2_tags.tx.up.sql": "CREATE TABLE IF NOT EXISTS tags (id BIGINT);", "3_column.tx.up.sql": "ALTER TABLE notes ADD COLUMN IF NOT EXISTS note TEXT;"}),
		func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }
}

func dbURL(db *database.DB) string { return db.Pool.Config().ConnString() }

func TestAMigrationComesAgainForATableInUse(t *testing.T) {
	t.Parallel()
	db, next, unlock := locked(t)
	defer unlock()
	log := signalling{slog.DiscardHandler, new(sync.Once), make(chan struct{})}
	done := make(chan error, 1)
	go func() {
		names, err := db.MigrateWith(t.Context(), next, database.MigrateOptions{LockTimeout: 20 * time.Millisecond, LockRetries: 10000}, slog.New(log))
		if err == nil && !slices.Equal(names, []string{"2_tags", "3_column"}) {
			err = errors.New("applied " + strings.Join(names, ", "))
		}
		done <- err
	}()
	<-log.said
	// The table is still held, and the migration still wants it; others read on all the same.
	for range 20 {
		if _, err := db.ExecContext(t.Context(), "SELECT * FROM notes"); err != nil {
			t.Fatal(err)
		}
	}
	unlock()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestAMigrationThatNeverGetsItsTableFails(t *testing.T) {
	t.Parallel()
	db, next, unlock := locked(t)
	defer unlock()
	names, err := db.MigrateWith(t.Context(), next, database.MigrateOptions{LockTimeout: 10 * time.Millisecond, LockRetries: 1}, logging.Discard())
	if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != "55P03" || !strings.Contains(err.Error(), "through 2 attempts of 10ms") {
		t.Errorf("it ended with %v", err)
	}
	if !slices.Equal(names, []string{"2_tags"}) {
		t.Errorf("%q were applied before", names)
	}
	unlock()
	if names := migrate(t, db, next); !slices.Equal(names, []string{"3_column"}) {
		t.Errorf("then %q were applied", names)
	}
}

func TestOnlyMigrationsInTransactionsHurryForLocks(t *testing.T) {
	t.Parallel()
	db := open(t, dbtest.Postgres(t))
	migrate(t, db, release(map[string]string{
		"2_in.tx.up.sql":    "CREATE TABLE inside AS SELECT current_setting('lock_timeout') AS waits;",
		"3_out.up.sql":      "CREATE TABLE outside AS SELECT current_setting('lock_timeout') AS waits;\n--bun:split\nCREATE INDEX CONCURRENTLY notes_body ON notes (body);",
		"4_again.tx.up.sql": "CREATE TABLE again AS SELECT current_setting('lock_timeout') AS waits;",
	}))
	var waits []string
	if err := db.NewRaw("SELECT waits FROM inside UNION ALL SELECT waits FROM outside UNION ALL SELECT waits FROM again").Scan(t.Context(), &waits); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(waits, []string{"3s", "0", "3s"}) {
		t.Errorf("lock_timeout was %q in, out of and again in a transaction", waits)
	}
	var valid bool
	if err := db.NewRaw("SELECT indisvalid FROM pg_index WHERE indexrelid = 'notes_body'::regclass").Scan(t.Context(), &valid); err != nil || !valid {
		t.Errorf("the index that was made concurrently is valid: %v, %v", valid, err)
	}
}
