// Package worker runs the jobs that the application enqueues and shows them in the dashboard under /flower/.
package worker

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/health"
	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/internal/queue"
	"github.com/portico-web/portico/migrations"
	"github.com/portico-web/portico/worker/dashboard"
	"github.com/portico-web/portico/worker/fleet"
	"github.com/portico-web/portico/worker/jobs"
)

const (
	// fetchCooldown bounds how often a worker asks for jobs: together with the concurrency it is the limit of throughput.
	fetchCooldown = 5 * time.Millisecond
	// jobs are kept for people to see for so long after their end.
	keepCompleted, keepFailed = 24 * time.Hour, 14 * 24 * time.Hour
	// stopGrace is what cancelled jobs have left to return before the process no longer waits for them.
	stopGrace = 5 * time.Second
	// drainPages bounds how long requests to the dashboard may go on when the worker stops.
	drainPages = 5 * time.Second
)

// Surroundings are what a worker is given; the one-process platform shares them with the other parts.
type Surroundings struct {
	DB       *database.DB // stays the caller's; its schema must be migrated
	Log      *slog.Logger
	Registry *prometheus.Registry
	Checks   *health.Checks
	Version  string
	// Listener is where the dashboard answers; nil opens Config.Listen. The worker closes it.
	Listener net.Listener
	// Operator tells whether somebody beyond FLOWER_BASIC_AUTH's users may use the dashboard; may be nil.
	Operator func(ctx context.Context, name, password string) (bool, error)
	// Register adds kinds of jobs beyond the built-in ones; may be nil.
	Register func(*jobs.Set)
}

// Worker works jobs and serves the dashboard, from Run on. Make one with New.
type Worker struct {
	cfg       Config
	around    Surroundings
	client    *queue.Client
	fleet     *fleet.Fleet
	pulse     *pulse
	dashboard *dashboard.Dashboard
	listener  net.Listener
}

// New prepares a worker; nothing runs before Run. Its errors are one line and name the setting at fault.
func New(ctx context.Context, cfg Config, around Surroundings) (_ *Worker, err error) {
	cfg.complete(around.DB, around.Log)
	if err := cfg.check(); err != nil {
		return nil, err
	}
	set, err := builtIn(cfg, around)
	if err != nil {
		return nil, err
	}
	if err := around.DB.RequireMigrated(ctx, migrations.FS); err != nil {
		return nil, err
	}
	if around.Register != nil {
		around.Register(set)
	}
	tally, err := newTally(around.Registry, around.Log)
	if err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}
	w := &Worker{cfg: cfg, around: around}
	w.client, err = queue.New(around.DB, &river.Config{
		ID: newID(), Logger: quiet(around.Log), Workers: set.Workers(), Middleware: []rivertype.Middleware{tally},
		Queues:        map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: cfg.Concurrency}},
		FetchCooldown: fetchCooldown, JobTimeout: cfg.JobTimeout, SoftStopTimeout: max(cfg.StopTimeout, time.Millisecond),
		CompletedJobRetentionPeriod: keepCompleted, CancelledJobRetentionPeriod: keepCompleted, DiscardedJobRetentionPeriod: keepFailed,
		PeriodicJobs: []*river.PeriodicJob{jobs.PurgePeriodically()},
	})
	if err != nil {
		return nil, err
	}
	w.fleet = fleet.Open(around.DB)
	defer func() {
		if err != nil {
			err = errors.Join(err, w.fleet.Close())
		}
	}()
	w.pulse, err = newPulse(w.fleet, w.client, tally, cfg, around)
	if err != nil {
		return nil, err
	}
	w.dashboard, err = dashboard.New(dashboard.Config{
		Client: w.client, Fleet: w.fleet, Jobs: set, Log: around.Log, BasicAuth: cfg.FlowerBasicAuth, Operator: around.Operator, ReadOnly: cfg.FlowerReadOnly, Version: around.Version,
	})
	if err != nil {
		return nil, err
	}
	if err := around.Registry.Register(newDepth(w.client, around.Log)); err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}
	if w.listener = around.Listener; w.listener == nil {
		if w.listener, err = httpx.Listen("LISTEN", cfg.Listen); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func newPulse(members *fleet.Fleet, client *queue.Client, tally *tally, cfg Config, around Surroundings) (*pulse, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	queues, err := json.Marshal([]string{river.QueueDefault})
	if err != nil {
		return nil, err
	}
	self := fleet.Worker{ID: client.ID(), Host: host, PID: os.Getpid(), Version: around.Version, Queues: string(queues), Concurrency: cfg.Concurrency}
	return &pulse{fleet: members, client: client, tally: tally, self: self, log: around.Log, idleClaim: cfg.IdleClaim}, nil
}

// Addr is where the dashboard listens.
func (w *Worker) Addr() net.Addr { return w.listener.Addr() }

// ID names this worker in the table of workers and in its jobs' attempts.
func (w *Worker) ID() string { return w.client.ID() }

// Run works jobs and serves the dashboard until ctx ends. Then no new job is taken, running ones have Config.StopTimeout to
// finish before they are cancelled and made available again, and Run returns nil. Call it once.
func (w *Worker) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, w.fleet.Close()) }()
	// Jobs and pages outlive ctx for the time of an orderly stop.
	alive, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()

	// The row is there before the first job: a running job whose worker nobody knows counts as lost.
	w.pulse.self.StartedAt = time.Now()
	if err := w.pulse.first(alive); err != nil {
		return errors.Join(fmt.Errorf("announcing the worker: %w", err), w.listener.Close())
	}
	if err := w.client.Start(alive); err != nil {
		return errors.Join(fmt.Errorf("starting the job queue: %w", err), w.listener.Close())
	}
	w.around.Checks.Add("worker", w.pulse.check)
	w.around.Log.Info("worker runs", "id", w.ID(), "concurrency", w.cfg.Concurrency, "listen", w.Addr().String())

	var group sync.WaitGroup
	beating, still := context.WithCancel(alive)
	defer still()
	group.Go(func() { w.pulse.run(beating) })
	group.Go(func() { w.dashboard.Run(ctx) })
	served := make(chan error, 1)
	go func() {
		server := httpx.NewServer(alive, w.handler(), w.around.Log)
		served <- httpx.Serve(ctx, server, w.listener, drainPages)
	}()
	var failure error
	select {
	case <-ctx.Done():
	case failure = <-served: // the listener broke: a worker that nobody can look at stops
		served <- nil
	}
	stopped := w.stop(alive)
	still() // the heart beats as long as jobs run
	group.Wait()
	if stopped {
		failure = errors.Join(failure, w.goodbye(alive))
	}
	if err := <-served; err != nil {
		w.around.Log.Warn("the dashboard was cut off", "error", err)
	}
	return failure
}

func (w *Worker) handler() http.Handler {
	return httpx.WithRequest(httpx.Recover(w.around.Log, httpx.WithClient(w.cfg.TrustedProxies, w.dashboard.Handler())))
}

// stop lets the running jobs finish, cancels those that do not in time, and tells whether all of them returned.
func (w *Worker) stop(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.StopTimeout+stopGrace)
	defer cancel()
	w.around.Log.Info("worker stops: no new jobs, waiting for the running ones", "running", w.pulse.tally.active(), "timeout", w.cfg.StopTimeout.String())
	if err := w.client.Stop(ctx); err != nil {
		w.around.Log.Error("jobs did not return after they were cancelled; another worker will run them again", "running", w.pulse.tally.active())
		return false
	}
	return true
}

// goodbye notes the orderly end. That it cannot be noted is no failure: the row then ends by its age.
func (w *Worker) goodbye(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	if err := w.fleet.Stopped(ctx, w.pulse.row()); err != nil {
		w.around.Log.Warn("the worker's end could not be noted", "error", err)
	}
	w.around.Log.Info("worker stopped", "id", w.ID())
	return nil
}

// newID names a worker: host, process and a random end, so that a process that starts again with the same number is another
// worker.
func newID() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "worker"
	}
	host = strings.Map(func(r rune) rune {
		if (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') || (r >= '0' && r <= '9') || r == '-' || r == '.' {
			return r
		}
		return '-'
	}, host)
	return fmt.Sprintf("%.40s-%d-%s", host, os.Getpid(), strings.ToLower(rand.Text()[:6]))
}
