package queue_test

import (
	"context"
	"errors"
	"testing"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/dbtest"
	"github.com/portico-web/portico/internal/logging"
	"github.com/portico-web/portico/internal/queue"
	"github.com/portico-web/portico/migrations"
)

// task is a job that does as its test says.
type task struct {
	Name string `json:"name"`
}

func (task) Kind() string { return "test.task" }

// hands are the code behind task: each execution is announced and then waits for its outcome.
type hands struct {
	river.WorkerDefaults[task]
	began chan *execution
}

// execution is one run of a job, in the hands of the test.
type execution struct {
	job     rivertype.JobRow
	ctx     context.Context
	outcome chan error
}

func (h *hands) Work(ctx context.Context, job *river.Job[task]) error {
	run := &execution{*job.JobRow, ctx, make(chan error, 1)}
	h.began <- run
	select {
	case err := <-run.outcome:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func newHands() *hands { return &hands{began: make(chan *execution, 100)} }

// open returns a migrated database.
func open(t *testing.T, url string) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), url, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Migrate(t.Context(), migrations.FS, logging.Discard()); err != nil {
		t.Fatal(err)
	}
	return db
}

// client returns a client that works one task at a time by h; nil h only enqueues.
func client(t *testing.T, db *database.DB, h *hands) *queue.Client {
	t.Helper()
	return clientOf(t, db, h, 1)
}

func clientOf(t *testing.T, db *database.DB, h *hands, atOnce int) *queue.Client {
	t.Helper()
	config := &river.Config{Logger: logging.Discard()}
	if h != nil {
		config.Workers = river.NewWorkers()
		river.AddWorker(config.Workers, h)
		config.Queues = map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: atOnce}}
	}
	c, err := queue.New(db, config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// start starts c; it stops with the test, its jobs cancelled, unless it was stopped before.
func start(t *testing.T, c *queue.Client) {
	t.Helper()
	if err := c.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.StopAndCancel(context.WithoutCancel(t.Context())) })
}

func enqueue(t *testing.T, c *queue.Client, name string, opts *river.InsertOpts) int64 {
	t.Helper()
	result, err := c.Insert(t.Context(), task{name}, opts)
	if err != nil {
		t.Fatal(err)
	}
	return result.Job.ID
}

func get(t *testing.T, c *queue.Client, id int64) *rivertype.JobRow {
	t.Helper()
	job, err := c.Job(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

var errRefused = errors.New("refused")

// each runs test on a migrated database of every kind.
func each(t *testing.T, test func(t *testing.T, db *database.DB)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, url string) { test(t, open(t, url)) })
}
