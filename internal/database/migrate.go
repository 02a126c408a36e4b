package database

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/uptrace/bun/migrate"
)

// migrationLock is the key of the advisory lock that lets one process migrate at a time: "portico" in ASCII.
const migrationLock = 0x706f727469636f

// Migrate brings the job queue's tables and ours to their newest version; files holds a folder a dialect. It is safe to
// call from several processes at once and again after a crash. It returns the names of what it applied.
func (db *DB) Migrate(ctx context.Context, files fs.FS, log *slog.Logger) ([]string, error) {
	if db.IsPostgres() {
		conn, err := db.Pool.Acquire(ctx)
		if err != nil {
			return nil, fmt.Errorf("taking a connection: %w", err)
		}
		defer conn.Release()
		if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(migrationLock)); err != nil {
			return nil, fmt.Errorf("waiting for another migration: %w", err)
		}
		defer func() {
			_, _ = conn.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", int64(migrationLock))
		}()
		return db.migrate(ctx, files, "postgres", func() error { return migrateRiver(ctx, riverpgxv5.New(db.Pool), log) })
	}
	unlock, err := lockFile(ctx, db.path+".migrating")
	if err != nil {
		return nil, err
	}
	defer unlock()
	return db.migrate(ctx, files, "sqlite", func() error { return migrateRiver(ctx, riversqlite.New(db.DB.DB), log) })
}

func (db *DB) migrate(ctx context.Context, files fs.FS, folder string, queue func() error) ([]string, error) {
	if err := queue(); err != nil {
		return nil, err
	}
	migrations, err := discover(files, folder)
	if err != nil {
		return nil, err
	}
	migrator := migrate.NewMigrator(db.DB, migrations, migrate.WithMarkAppliedOnSuccess(true))
	if err := migrator.Init(ctx); err != nil {
		return nil, fmt.Errorf("making the table of migrations: %w", err)
	}
	group, err := migrator.Migrate(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrating: %w", err)
	}
	names := make([]string, 0, len(group.Migrations))
	for _, migration := range group.Migrations {
		names = append(names, migration.Name+"_"+migration.Comment)
	}
	return names, nil
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

func migrateRiver[TTx any](ctx context.Context, driver riverdriver.Driver[TTx], log *slog.Logger) error {
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: log})
	if err != nil {
		return fmt.Errorf("reading the job queue's migrations: %w", err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrating the job queue: %w", err)
	}
	return nil
}

// RequireMigrated fails unless the database has every migration in files: a program must not work on an older schema. A
// database that has newer ones is fine, since migrations are made so that the previous version runs on.
func (db *DB) RequireMigrated(ctx context.Context, files fs.FS) error {
	folder := "sqlite"
	if db.IsPostgres() {
		folder = "postgres"
	}
	migrations, err := discover(files, folder)
	if err != nil {
		return err
	}
	pending, err := migrate.NewMigrator(db.DB, migrations).MigrationsWithStatus(ctx)
	if err != nil || len(pending.Unapplied()) > 0 {
		return errors.New("the database is not at this version's schema: run `app migrate` first")
	}
	return nil
}
