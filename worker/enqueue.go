package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/riverqueue/river"

	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/logging"
	"github.com/portico-web/portico/internal/queue"
	"github.com/portico-web/portico/migrations"
	"github.com/portico-web/portico/worker/jobs"
)

// Enqueue puts a job of a built-in kind into the queue of the database that cfg names and returns its number. arguments is a
// JSON object; a positive delay puts the job off.
func Enqueue(ctx context.Context, cfg Config, kind string, arguments []byte, delay time.Duration) (_ int64, err error) {
	set := jobs.NewSet()
	addBuiltIn(set, nil, cfg, Surroundings{Log: logging.Discard()})
	args, err := set.Args(kind, arguments)
	if fault.KindOf(err) == fault.NotFound {
		return 0, fmt.Errorf("unknown kind %q: the kinds are %s", kind, strings.Join(set.Kinds(), ", "))
	}
	if err != nil {
		return 0, fmt.Errorf("arguments of %s: %w", kind, err)
	}
	db, err := OpenDatabase(ctx, cfg)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.RequireMigrated(ctx, migrations.FS); err != nil {
		return 0, err
	}
	client, err := queue.New(db, &river.Config{Logger: logging.Discard()})
	if err != nil {
		return 0, err
	}
	opts := &river.InsertOpts{}
	if delay > 0 {
		opts.ScheduledAt = time.Now().Add(delay)
	}
	result, err := client.Insert(ctx, args, opts)
	if err != nil {
		return 0, fmt.Errorf("enqueuing %s: %w", kind, err)
	}
	return result.Job.ID, nil
}
