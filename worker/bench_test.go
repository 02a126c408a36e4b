package worker_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/riverqueue/river"

	"github.com/portico-web/portico/internal/dbtest"
	"github.com/portico-web/portico/worker"
	"github.com/portico-web/portico/worker/jobs"
)

// tiny is a job that does nothing, so that a benchmark measures the queue.
type tiny struct{}

func (tiny) Kind() string { return "test.tiny" }

type tinyHands struct {
	river.WorkerDefaults[tiny]
	left *atomic.Int64
	done chan struct{}
}

func (h *tinyHands) Work(context.Context, *river.Job[tiny]) error {
	if h.left.Add(-1) == 0 {
		close(h.done)
	}
	return nil
}

// BenchmarkWork works a queue of b.N jobs empty with one worker at its default concurrency; it reports jobs per second,
// each job's outcome written included. Try -benchtime=50000x.
func BenchmarkWork(b *testing.B) {
	for name, open := range map[string]func(testing.TB) string{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		b.Run(name, func(b *testing.B) {
			p := newPlatform(b, open(b))
			for left := b.N; left > 0; left -= 1000 {
				batch := make([]river.InsertManyParams, min(left, 1000))
				for i := range batch {
					batch[i].Args = tiny{}
				}
				if _, err := p.client.InsertManyFast(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
			h := &tinyHands{left: new(atomic.Int64), done: make(chan struct{})}
			h.left.Store(int64(b.N))
			cfg, err := worker.LoadConfig([]string{"SMTP_URL=mailbox:", "LISTEN=127.0.0.1:0", nobody})
			if err != nil {
				b.Fatal(err)
			}
			around := surroundings(p, nil)
			around.Register = func(set *jobs.Set) { jobs.Add(set, h) }
			w, err := worker.New(b.Context(), cfg, around)
			if err != nil {
				b.Fatal(err)
			}
			ctx, stop := context.WithCancel(b.Context())
			b.ResetTimer()
			ended := make(chan error, 1)
			go func() { ended <- w.Run(ctx) }()
			<-h.done
			stop()
			if err := <-ended; err != nil { // waits until all outcomes are written
				b.Fatal(err)
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
			b.ReportMetric(0, "ns/op")
			if counts, err := p.client.Counts(context.WithoutCancel(ctx)); err != nil || counts["completed"] != min(b.N, 10_000) {
				b.Fatalf("%v jobs are completed, %v; want %d", counts, err, b.N)
			}
		})
	}
}

// BenchmarkEnqueue enqueues one job a call, in a transaction of its own.
func BenchmarkEnqueue(b *testing.B) {
	for name, open := range map[string]func(testing.TB) string{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		b.Run(name, func(b *testing.B) {
			p := newPlatform(b, open(b))
			b.ResetTimer()
			for range b.N {
				p.enqueue(b, tiny{}, nil)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}
