package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/portico-web/portico/app"
	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/expand"
	"github.com/portico-web/portico/internal/logging"
	"github.com/portico-web/portico/migrations"
)

type migrateCommand struct {
	ExpandOnly  bool          `help:"Apply nothing if the version before could not work with the schema that pending migrations make."`
	Plan        bool          `help:"Only tell what is pending and what of it --expand-only refuses; with --expand-only exit 1 if that is anything."`
	LockTimeout time.Duration `default:"3s" placeholder:"3s" help:"How long a statement waits for a table in use (PostgreSQL): meanwhile the site waits behind it."`
	LockRetries int           `default:"20" placeholder:"20" help:"How often it comes again for that table, after pauses as long as --lock-timeout."`
}

func (c migrateCommand) Run(ctx context.Context) error {
	if c.LockTimeout < time.Millisecond || c.LockRetries < 0 {
		return errors.New("--lock-timeout must be 1ms or more, --lock-retries 0 or more")
	}
	settings, err := app.LoadDatabaseSettings(os.Environ())
	if err != nil {
		return err
	}
	db, err := app.OpenDatabase(ctx, app.Config{Database: settings})
	if err != nil {
		return err
	}
	defer db.Close()
	if c.Plan {
		return c.tell(ctx, db)
	}
	log, err := logging.New(os.Stderr, "warn", "console")
	if err != nil {
		return err
	}
	applied, err := db.MigrateWith(ctx, migrations.FS, database.MigrateOptions{ExpandOnly: c.ExpandOnly, LockTimeout: c.LockTimeout, LockRetries: c.LockRetries}, log)
	for _, name := range applied {
		fmt.Println("applied", name)
	}
	if refused, ok := errors.AsType[*database.RefusedError](err); ok {
		for _, finding := range refused.Findings {
			fmt.Fprintf(os.Stderr, "app: %v\n", finding)
		}
	}
	if err != nil {
		return err
	}
	fmt.Println("the database is up to date")
	return nil
}

// tell prints the plan.
func (c migrateCommand) tell(ctx context.Context, db *database.DB) error {
	plan, err := db.Plan(ctx, migrations.FS)
	if err != nil {
		return err
	}
	for _, name := range plan.Pending {
		fmt.Println("pending:", name)
	}
	counts := map[expand.Severity]int{}
	for _, finding := range plan.Findings {
		counts[finding.Severity]++
		fmt.Printf("%s: %v\n", finding.Severity, finding)
	}
	switch {
	case len(plan.Pending) == 0:
		fmt.Println("nothing is pending")
	case plan.Empty:
		fmt.Printf("%d pending on an empty database, which nothing can break\n", len(plan.Pending))
	default:
		fmt.Printf("%d pending; %d statements refused by --expand-only, %d reviewed, %d hints\n",
			len(plan.Pending), counts[expand.Refused], counts[expand.Reviewed], counts[expand.Hint])
	}
	if c.ExpandOnly {
		return plan.Refusal()
	}
	return nil
}
