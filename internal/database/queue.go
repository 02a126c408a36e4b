package database

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/portico-web/portico/internal/expand"
)

// queueFiles begins the names of the job queue's migrations.
const queueFiles = "job queue/"

// queueMigrator migrates the job queue's tables, whose migrations come with the library.
type queueMigrator struct {
	migrate func(context.Context) error
	files   func(context.Context) (applied, pending []expand.File, err error)
}

func newQueueMigrator[TTx any](driver riverdriver.Driver[TTx], log *slog.Logger) (queueMigrator, error) {
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: log})
	if err != nil {
		return queueMigrator{}, fmt.Errorf("reading the job queue's migrations: %w", err)
	}
	return queueMigrator{
		migrate: func(ctx context.Context) error {
			if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
				return fmt.Errorf("migrating the job queue: %w", err)
			}
			return nil
		},
		files: func(ctx context.Context) (applied, pending []expand.File, err error) {
			existing, err := migrator.ExistingVersions(ctx)
			if err != nil {
				return nil, nil, fmt.Errorf("reading the job queue's migrations: %w", err)
			}
			has := map[int]bool{}
			for _, migration := range existing {
				has[migration.Version] = true
			}
			for _, migration := range migrator.AllVersions() {
				file := expand.File{Name: fmt.Sprintf("%s%03d_%s", queueFiles, migration.Version, migration.Name), SQL: migration.SQLUp, InTransaction: true}
				if has[migration.Version] {
					applied = append(applied, file)
				} else {
					pending = append(pending, file)
				}
			}
			return applied, pending, nil
		},
	}, nil
}
