package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// errLost is the cause by which a job is cancelled that another worker has taken over.
var errLost = errors.New("this job was given to another worker while this one was not heard of")

// tally sees every execution: it counts them, times them, and can cancel those that were lost.
type tally struct {
	river.MiddlewareDefaults

	log *slog.Logger

	processed, succeeded, failed, retried atomic.Int64

	mu      sync.Mutex
	running map[*rivertype.JobRow]context.CancelCauseFunc

	outcomes *prometheus.CounterVec
	runtimes *prometheus.HistogramVec
}

func newTally(registry prometheus.Registerer, log *slog.Logger) (*tally, error) {
	t := &tally{
		log:     log,
		running: map[*rivertype.JobRow]context.CancelCauseFunc{},
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "portico_jobs_total", Help: "Executions of jobs by kind and outcome: succeeded, retried, failed, cancelled, snoozed, interrupted or lost.",
		}, []string{"kind", "outcome"}),
		runtimes: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "portico_job_runtime_seconds", Help: "How long executions of jobs took.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
		}, []string{"kind"}),
	}
	running := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "portico_jobs_running", Help: "Jobs that this worker runs now."},
		func() float64 { return float64(t.active()) })
	for _, collector := range []prometheus.Collector{t.outcomes, t.runtimes, running} {
		if err := registry.Register(collector); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Work is River's middleware around each execution.
func (t *tally) Work(ctx context.Context, job *rivertype.JobRow, doInner func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	t.mu.Lock()
	t.running[job] = cancel
	t.mu.Unlock()
	start := time.Now()
	err := errPanic // stays if doInner panics; the panic goes on to River
	defer func() {
		t.mu.Lock()
		delete(t.running, job)
		t.mu.Unlock()
		outcome := outcomeOf(ctx, job, err)
		t.count(job.Kind, outcome, time.Since(start))
		t.tell(ctx, job, outcome, err)
	}()
	err = doInner(ctx)
	return err
}

// tell logs an execution that did not succeed.
func (t *tally) tell(ctx context.Context, job *rivertype.JobRow, outcome string, err error) {
	level := slog.LevelInfo
	switch outcome {
	case "succeeded", "snoozed":
		level = slog.LevelDebug
	case "failed":
		level = slog.LevelError
	case "retried", "lost":
		level = slog.LevelWarn
	}
	t.log.Log(ctx, level, "job "+outcome, "job", job.ID, "kind", job.Kind, "attempt", job.Attempt, "max_attempts", job.MaxAttempts, "error", err)
}

var errPanic = errors.New("panic")

func outcomeOf(ctx context.Context, job *rivertype.JobRow, err error) string {
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, errLost):
		return "lost"
	case err == nil:
		return "succeeded"
	case isA[*rivertype.JobSnoozeError](err):
		return "snoozed"
	case isA[*rivertype.JobCancelError](err), errors.Is(cause, rivertype.ErrJobCancelledRemotely):
		return "cancelled"
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return "interrupted" // the worker stops; the job is available again
	case job.Attempt >= job.MaxAttempts:
		return "failed"
	}
	return "retried"
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func (t *tally) count(kind, outcome string, took time.Duration) {
	t.outcomes.WithLabelValues(kind, outcome).Inc()
	t.runtimes.WithLabelValues(kind).Observe(took.Seconds())
	switch outcome {
	case "succeeded":
		t.succeeded.Add(1)
	case "failed":
		t.failed.Add(1)
	case "retried":
		t.retried.Add(1)
	case "cancelled":
	default:
		return // not finished here
	}
	t.processed.Add(1)
}

func (t *tally) active() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.running)
}

// mine are the jobs that run here.
func (t *tally) mine() []*rivertype.JobRow {
	t.mu.Lock()
	defer t.mu.Unlock()
	jobs := make([]*rivertype.JobRow, 0, len(t.running))
	for job := range t.running {
		jobs = append(jobs, job)
	}
	return jobs
}

// drop cancels those of the jobs running here that lost names; their outcome is nobody's business any more.
func (t *tally) drop(lost map[int64]bool) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	dropped := 0
	for job, cancel := range t.running {
		if lost[job.ID] {
			cancel(errLost)
			dropped++
		}
	}
	return dropped
}
