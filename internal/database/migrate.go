package database

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/migrate"
)

// migrationLock is the key of the advisory lock that lets one process migrate at a time: "portico" in ASCII.
const migrationLock = 0x706f727469636f

// MigrateOptions say how MigrateWith goes about it.
type MigrateOptions struct {
	// ExpandOnly applies nothing when something pending would break the version before: the error is a *RefusedError then.
	ExpandOnly bool
	// LockTimeout is how long a statement waits for a table on PostgreSQL. Whoever comes later for that table waits behind
	// it, the site too: so it gives up early, and comes again after as long a pause, LockRetries times.
	LockTimeout time.Duration
	LockRetries int
}

// DefaultMigrateOptions suit a site that serves meanwhile.
func DefaultMigrateOptions() MigrateOptions {
	return MigrateOptions{LockTimeout: 3 * time.Second, LockRetries: 20}
}

// Migrate is MigrateWith the default options.
func (db *DB) Migrate(ctx context.Context, files fs.FS, log *slog.Logger) ([]string, error) {
	return db.MigrateWith(ctx, files, DefaultMigrateOptions(), log)
}

// MigrateWith brings the job queue's tables and ours to their newest version; files holds a folder a dialect. It is safe to
// call from several processes at once and again after a crash. It returns the names of what it applied.
func (db *DB) MigrateWith(ctx context.Context, files fs.FS, options MigrateOptions, log *slog.Logger) ([]string, error) {
	run := migration{files: files, folder: db.folder(), options: options, log: log}
	if !db.IsPostgres() {
		unlock, err := lockFile(ctx, db.path+".migrating")
		if err != nil {
			return nil, err
		}
		defer unlock()
		run.db = db.DB
		run.queue, err = newQueueMigrator(riversqlite.New(db.DB.DB), log)
		if err != nil {
			return nil, err
		}
		return run.all(ctx)
	}
	unlock, err := db.lockMigrations(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	pool, err := db.impatientPool(ctx, options.LockTimeout)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	run.db = bun.NewDB(stdlib.OpenDBFromPool(pool), pgdialect.New())
	defer run.db.Close()
	run.queue, err = newQueueMigrator(riverpgxv5.New(pool), log)
	if err != nil {
		return nil, err
	}
	return run.all(ctx)
}

// folder is the folder of migrations for this database.
func (db *DB) folder() string {
	if db.IsPostgres() {
		return "postgres"
	}
	return "sqlite"
}

// lockMigrations lets one process at a time migrate; whoever comes later waits.
func (db *DB) lockMigrations(ctx context.Context) (unlock func(), err error) {
	conn, err := db.Pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("taking a connection: %w", err)
	}
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(migrationLock)); err != nil {
		conn.Release()
		return nil, fmt.Errorf("waiting for another migration: %w", err)
	}
	return func() {
		_, _ = conn.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", int64(migrationLock))
		conn.Release()
	}, nil
}

// impatientPool opens connections of their own for migrations, whose statements do not wait long for a table.
func (db *DB) impatientPool(ctx context.Context, timeout time.Duration) (*pgxpool.Pool, error) {
	config := db.Pool.Config()
	config.MinConns, config.MaxConns = 0, 4
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, lockTimeout(timeout))
		return err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("opening connections to migrate: %w", err)
	}
	return pool, nil
}

func lockTimeout(timeout time.Duration) string {
	return fmt.Sprintf("SET lock_timeout = %d", timeout.Milliseconds())
}

// migration is one run.
type migration struct {
	db      *bun.DB
	queue   queueMigrator
	files   fs.FS
	folder  string
	options MigrateOptions
	log     *slog.Logger
}

func (m migration) all(ctx context.Context) ([]string, error) {
	migrations, err := discover(m.files, m.folder)
	if err != nil {
		return nil, err
	}
	if m.options.ExpandOnly {
		plan, err := planOf(ctx, m.db, m.queue, m.files, m.folder)
		if err != nil {
			return nil, err
		}
		if err := plan.Refusal(); err != nil {
			return nil, err
		}
	}
	if err := m.patiently(ctx, m.queue.migrate); err != nil {
		return nil, err
	}
	migrator := migrate.NewMigrator(m.db, migrations, migrate.WithMarkAppliedOnSuccess(true), migrate.BeforeMigration(m.setLockTimeout))
	if err := migrator.Init(ctx); err != nil {
		return nil, fmt.Errorf("making the table of migrations: %w", err)
	}
	var names []string
	err = m.patiently(ctx, func(ctx context.Context) error {
		group, err := migrator.Migrate(ctx)
		done := group.Migrations
		if err != nil && len(done) > 0 {
			done = done[:len(done)-1] // the last is the one that failed
		}
		for _, migration := range done {
			names = append(names, migration.String())
		}
		if err != nil {
			return fmt.Errorf("migrating: %w", err)
		}
		return nil
	})
	return names, err
}

// setLockTimeout comes before each file. One that runs outside of a transaction makes indexes CONCURRENTLY, which keeps nobody
// waiting, itself waits for others' transactions, and would leave half an index when it gave up.
func (m migration) setLockTimeout(ctx context.Context, conn bun.IConn, migration *migrate.Migration) error {
	if m.folder != "postgres" {
		return nil
	}
	timeout := time.Duration(0)
	if _, err := fs.Stat(m.files, m.folder+"/"+migration.String()+inTransaction); err == nil {
		timeout = m.options.LockTimeout
	}
	_, err := conn.ExecContext(ctx, lockTimeout(timeout))
	return err
}

// The ends of migrations' names.
const (
	inTransaction = ".tx.up.sql"
	onItsOwn      = ".up.sql"
)

// patiently calls work again when it could not have a table that others use.
func (m migration) patiently(ctx context.Context, work func(context.Context) error) error {
	for retry := 1; ; retry++ {
		err := work(ctx)
		if err == nil || !isLockTimeout(err) {
			return err
		}
		if retry > m.options.LockRetries {
			return fmt.Errorf("a table stayed locked through %d attempts of %s: end the transaction that holds it (pg_stat_activity names it) and migrate again: %w",
				retry, m.options.LockTimeout, err)
		}
		m.log.WarnContext(ctx, "a migration waits for a table that is in use", "attempt", retry, "pause", m.options.LockTimeout.String())
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for a locked table: %w", ctx.Err())
		case <-time.After(m.options.LockTimeout):
		}
	}
}

func discover(files fs.FS, folder string) (*migrate.Migrations, error) {
	ours, err := fs.Sub(files, folder)
	if err != nil {
		return nil, err
	}
	migrations := migrate.NewMigrations()
	if err := migrations.Discover(ours); err != nil {
		return nil, fmt.Errorf("reading the migrations of %s: %w", folder, err)
	}
	return migrations, nil
}

// known returns our migrations in their order, each with whether it was applied. It changes nothing.
func known(ctx context.Context, db *bun.DB, files fs.FS, folder string) (migrate.MigrationSlice, error) {
	migrations, err := discover(files, folder)
	if err != nil {
		return nil, err
	}
	query := "SELECT count(*) > 0 FROM sqlite_schema WHERE type = 'table' AND name = 'bun_migrations'"
	if folder == "postgres" {
		query = "SELECT to_regclass('bun_migrations') IS NOT NULL"
	}
	var begun bool
	if err := db.NewRaw(query).Scan(ctx, &begun); err != nil {
		return nil, fmt.Errorf("looking for the table of migrations: %w", err)
	}
	if !begun {
		return migrations.Sorted(), nil
	}
	all, err := migrate.NewMigrator(db, migrations).MigrationsWithStatus(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the table of migrations: %w", err)
	}
	return all, nil
}

// RequireMigrated fails unless the database has every migration in files: a program must not work on an older schema. A
// database that has newer ones is fine, since migrations are made so that the previous version runs on.
func (db *DB) RequireMigrated(ctx context.Context, files fs.FS) error {
	all, err := known(ctx, db.DB, files, db.folder())
	if err != nil {
		return err
	}
	if missing := all.Unapplied(); len(missing) > 0 {
		var names []string
		for _, migration := range missing {
			names = append(names, migration.String())
		}
		return errors.New("the database is not at this version's schema, it lacks " + strings.Join(names, ", ") + ": run `app migrate` first")
	}
	return nil
}
