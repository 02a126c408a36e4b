package queue_test

import (
	"context"
	"errors"
	"testing"

	"github.com/riverqueue/river"

	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/dbtest"
	"github.com/portico-web/portico/internal/logging"
	"github.com/portico-web/portico/internal/queue"
	"github.com/portico-web/portico/migrations"
)

type greet struct {
	Name string `json:"name"`
}

func (greet) Kind() string { return "test.greet" }

type greeter struct {
	river.WorkerDefaults[greet]
	seen chan seen
}

type seen struct{ name, requestID string }

func (g *greeter) Work(ctx context.Context, job *river.Job[greet]) error {
	g.seen <- seen{job.Args.Name, logging.RequestID(ctx)}
	return nil
}

func TestJobExistsIffItsTransactionCommits(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		db, err := database.Open(ctx, url, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		if _, err := db.Migrate(ctx, migrations.FS, logging.Discard()); err != nil {
			t.Fatal(err)
		}
		workers := river.NewWorkers()
		worker := &greeter{seen: make(chan seen, 10)}
		river.AddWorker(workers, worker)
		client, err := queue.New(db, &river.Config{
			Logger: logging.Discard(), Workers: workers,
			Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 2}},
		})
		if err != nil {
			t.Fatal(err)
		}

		refused := errors.New("refused")
		err = db.RunInTx(ctx, func(ctx context.Context, tx database.Tx) error {
			if _, err := client.InsertTx(ctx, tx, greet{"rolled back"}, nil); err != nil {
				return err
			}
			return refused
		})
		if !errors.Is(err, refused) {
			t.Fatalf("RunInTx: %v, want %v", err, refused)
		}
		err = db.RunInTx(logging.WithRequestID(ctx, "request-1"), func(ctx context.Context, tx database.Tx) error {
			_, err := client.InsertTx(ctx, tx, greet{"committed"}, nil)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}

		jobs, err := client.JobList(ctx, river.NewJobListParams())
		if err != nil {
			t.Fatal(err)
		}
		if len(jobs.Jobs) != 1 {
			t.Fatalf("%d jobs exist, want 1", len(jobs.Jobs))
		}
		if err := client.Start(ctx); err != nil {
			t.Fatal(err)
		}
		got := <-worker.seen
		if want := (seen{"committed", "request-1"}); got != want {
			t.Errorf("worked %+v, want %+v", got, want)
		}
		if err := client.Stop(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	})
}
