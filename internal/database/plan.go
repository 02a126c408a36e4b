package database

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/migrate"

	"github.com/portico-web/portico/internal/expand"
	"github.com/portico-web/portico/internal/logging"
)

// Plan is what a migration would do.
type Plan struct {
	Pending []string // names, in their order
	// Empty tells that no version has worked with this database yet, so that nothing can break it.
	Empty    bool
	Findings []expand.Finding
}

// RefusedError says that pending migrations were not applied, since the version before could not work with them.
type RefusedError struct{ Findings []expand.Finding }

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%d statements of pending migrations are refused, and nothing was applied: without --expand-only they are allowed, for a time when the version before need not run any more",
		len(e.Findings))
}

// Refusal is a *RefusedError if something is to be refused, or nil.
func (p Plan) Refusal() error {
	var refused []expand.Finding
	for _, finding := range p.Findings {
		if finding.Severity == expand.Refused {
			refused = append(refused, finding)
		}
	}
	if len(refused) == 0 {
		return nil
	}
	return &RefusedError{refused}
}

// Plan tells what MigrateWith would do, and changes nothing.
func (db *DB) Plan(ctx context.Context, files fs.FS) (Plan, error) {
	var queue queueMigrator
	var err error
	if db.IsPostgres() {
		queue, err = newQueueMigrator(riverpgxv5.New(db.Pool), logging.Discard())
	} else {
		queue, err = newQueueMigrator(riversqlite.New(db.DB.DB), logging.Discard())
	}
	if err != nil {
		return Plan{}, err
	}
	return planOf(ctx, db.DB, queue, files, db.folder())
}

func planOf(ctx context.Context, db *bun.DB, queue queueMigrator, files fs.FS, folder string) (Plan, error) {
	applied, pending, err := queue.files(ctx)
	if err != nil {
		return Plan{}, err
	}
	all, err := known(ctx, db, files, folder)
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{Empty: len(all.Applied()) == 0}
	for _, migration := range all {
		file, err := fileOf(files, folder, migration)
		if err != nil {
			return Plan{}, err
		}
		if migration.IsApplied() {
			applied = append(applied, file)
		} else {
			pending = append(pending, file)
		}
	}
	for _, file := range pending {
		plan.Pending = append(plan.Pending, file.Name)
	}
	if !plan.Empty {
		dialect := expand.SQLite
		if folder == "postgres" {
			dialect = expand.Postgres
		}
		plan.Findings = expand.Judge(dialect, applied, pending)
		for i := range plan.Findings {
			if finding := &plan.Findings[i]; finding.Severity == expand.Refused && strings.HasPrefix(finding.File, queueFiles) {
				finding.WayOut = "read the release notes of River, the job queue, and migrate without --expand-only if they allow it"
			}
		}
	}
	return plan, nil
}

// fileOf is the text of a migration that discover found.
func fileOf(files fs.FS, folder string, migration migrate.Migration) (expand.File, error) {
	for _, end := range []string{inTransaction, onItsOwn} {
		name := folder + "/" + migration.String() + end
		sql, err := fs.ReadFile(files, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return expand.File{}, fmt.Errorf("reading %s: %w", name, err)
		}
		return expand.File{Name: name, SQL: string(sql), InTransaction: end == inTransaction}, nil
	}
	return expand.File{}, fmt.Errorf("the migration %s of %s has no file that ends with %s", migration, folder, onItsOwn)
}
