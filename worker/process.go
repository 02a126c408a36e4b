package worker

import (
	"context"
	"errors"
	"log/slog"
	"net/url"

	"golang.org/x/sync/errgroup"

	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/health"
	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/internal/telemetry"
)

// OpenDatabase opens the database that cfg names, with as many connections as the worker's jobs can use.
func OpenDatabase(ctx context.Context, cfg Config) (*database.DB, error) {
	address, err := cfg.Database.URL()
	if err != nil {
		return nil, err
	}
	connections := 0
	if parsed, err := url.Parse(address); err == nil && parsed.Scheme != "sqlite" && !parsed.Query().Has("pool_max_conns") {
		jobs := cfg.Concurrency
		if jobs == 0 {
			jobs = postgresConcurrency
		}
		connections = min(max(jobs/5, 8), 40)
	}
	return database.Open(ctx, address, connections)
}

// Run is the worker as a process of its own: it opens the database, works jobs, serves the dashboard on cfg.Listen and the
// internal port until ctx ends, and returns nil after an orderly stop.
func Run(ctx context.Context, cfg Config, version string, log *slog.Logger) (err error) {
	db, err := OpenDatabase(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	around := Surroundings{
		DB: db, Log: log, Version: version,
		Registry: telemetry.NewRegistry("worker", version), Checks: &health.Checks{},
	}
	around.Checks.Add("database", db.Check)
	internal, err := httpx.Listen("INTERNAL_LISTEN", cfg.InternalListen)
	if err != nil {
		return err
	}
	w, err := New(ctx, cfg, around)
	if err != nil {
		return errors.Join(err, internal.Close())
	}
	log.Info("internal port serves", "internal", internal.Addr().String())

	// The internal port answers until the jobs are done, so that readiness can be seen to be off.
	alive, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		server := httpx.NewServer(alive, httpx.Internal(around.Registry, around.Checks), log)
		return httpx.Serve(alive, server, internal, drainPages)
	})
	group.Go(func() error {
		defer end()
		return w.Run(ctx)
	})
	group.Go(func() error {
		<-ctx.Done()
		around.Checks.Drain()
		return nil
	})
	return group.Wait()
}
