package worker_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"go.uber.org/goleak"

	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/dbtest"
	"github.com/portico-web/portico/internal/health"
	"github.com/portico-web/portico/internal/logging"
	"github.com/portico-web/portico/internal/telemetry"
	"github.com/portico-web/portico/worker"
	"github.com/portico-web/portico/worker/jobs"
)

// childURL is set in the environment of a test process that is to be a worker of its own on that database.
const childURL = "WORKER_TEST_DATABASE_URL"

func TestMain(m *testing.M) {
	if url := os.Getenv(childURL); url != "" {
		if err := beWorker(url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(dbtest.Suite{M: m})
}

// hold is a job that lasts until it is told to end.
type hold struct {
	Name string `json:"name"`
}

func (hold) Kind() string { return "test.hold" }

// childHold is its code in a child process: it says what happens on standard output, and ends when the file that its job's
// name is appears.
type childHold struct{ river.WorkerDefaults[hold] }

func (childHold) Work(ctx context.Context, job *river.Job[hold]) error {
	fmt.Println("began", job.ID)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			fmt.Println("cancelled", job.ID)
			return ctx.Err()
		case <-ticker.C:
			if _, err := os.Stat(job.Args.Name); err == nil {
				fmt.Println("ended", job.ID)
				return nil
			}
		}
	}
}

func beWorker(url string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg, err := worker.LoadConfig(append(os.Environ(), "SMTP_URL=mailbox:", "LISTEN=127.0.0.1:0"))
	if err != nil {
		return err
	}
	db, err := database.Open(ctx, url, 0)
	if err != nil {
		return err
	}
	defer db.Close()
	w, err := worker.New(ctx, cfg, worker.Surroundings{
		DB: db, Log: logging.Discard(), Registry: telemetry.NewRegistry("worker", "test"), Checks: &health.Checks{}, Version: "test",
		Register: func(set *jobs.Set) { jobs.Add(set, childHold{}) },
	})
	if err != nil {
		return err
	}
	fmt.Println("worker", w.ID())
	return w.Run(ctx)
}
