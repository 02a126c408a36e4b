package app

import (
	"context"
	"errors"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/health"
	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/internal/telemetry"
)

// Run is the application as a process of its own: it opens the database, serves cfg.Listen and the internal port until ctx
// ends, finishes what is in flight, and returns nil.
func Run(ctx context.Context, cfg Config, version string, log *slog.Logger) (err error) {
	db, err := OpenDatabase(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	around := Surroundings{
		DB: db, Log: log, Version: version,
		Registry: telemetry.NewRegistry("app", version), Checks: &health.Checks{},
	}
	a, err := New(ctx, cfg, around)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	internal, err := httpx.Listen("INTERNAL_LISTEN", cfg.InternalListen)
	if err != nil {
		return err
	}
	public, err := httpx.Listen("LISTEN", cfg.Listen)
	if err != nil {
		return errors.Join(err, internal.Close())
	}
	log.Info("app serves", "listen", public.Addr().String(), "internal", internal.Addr().String(), "version", version)

	// The internal port answers until the public one has drained, so that readiness can be seen to be off.
	internalCtx, stopInternal := context.WithCancel(context.WithoutCancel(ctx))
	defer stopInternal()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		server := httpx.NewServer(internalCtx, httpx.Internal(around.Registry, around.Checks), log)
		return httpx.Serve(internalCtx, server, internal, cfg.StopTimeout)
	})
	group.Go(func() error {
		defer stopInternal()
		return a.Serve(ctx, public)
	})
	group.Go(func() error {
		<-ctx.Done()
		around.Checks.Drain()
		return nil
	})
	return group.Wait()
}

// OpenDatabase opens the database that cfg names.
func OpenDatabase(ctx context.Context, cfg Config) (*database.DB, error) {
	url, err := cfg.Database.URL()
	if err != nil {
		return nil, err
	}
	return database.Open(ctx, url, 0)
}
