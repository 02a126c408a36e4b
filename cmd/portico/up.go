package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portico-web/portico/app"
	"github.com/portico-web/portico/app/demo"
	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/health"
	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/internal/logging"
	"github.com/portico-web/portico/internal/telemetry"
	"github.com/portico-web/portico/migrations"
	"github.com/portico-web/portico/proxy"
	"github.com/portico-web/portico/proxy/config"
	"github.com/portico-web/portico/worker"
)

type upCommand struct {
	Data   string `default:"./.portico" placeholder:"DIR" help:"Where everything is kept: database, certificates, secrets."`
	HTTPS  string `name:"https" default:"127.0.0.1:8443" placeholder:"ADDR" help:"Where the edge serves HTTPS, over TCP and UDP."`
	HTTP   string `name:"http" default:"127.0.0.1:8080" placeholder:"ADDR" help:"Where plain HTTP is redirected to HTTPS."`
	Config string `placeholder:"FILE" help:"A proxy.yaml of your own; without it DATA/proxy.yaml, which the first run makes. It may use $${HTTP_ADDR}, $${HTTPS_ADDR}, $${APP_ADDR} and $${WORKER_ADDR}."`
	Demo   bool   `help:"Fill the database with a campus: schools, boards, posts."`
}

//go:embed proxy.yaml
var defaultProxyConfig []byte

// Run brings the platform up and keeps it up until ctx ends.
func (c upCommand) Run(ctx context.Context) (err error) {
	data, err := openData(c.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, data.close()) }()
	set, err := loadSettings(data, os.Environ())
	if err != nil {
		return err
	}
	log, err := logging.New(os.Stderr, set.app.LogLevel, set.app.LogFormat)
	if err != nil {
		return err
	}
	db, err := app.OpenDatabase(ctx, set.app)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.Migrate(ctx, migrations.FS, logging.Discard()); err != nil {
		return unlessStopped(ctx, err)
	}
	p := &platform{command: c, data: data, settings: set, log: log, db: db, registry: telemetry.NewRegistry("portico", version), checks: &health.Checks{}}
	return p.run(ctx)
}

// run starts the parts and stops them in the order in which requests pass them, so that each finishes what it took on.
func (p *platform) run(ctx context.Context) error {
	appListener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("opening a port on 127.0.0.1: %w", err)
	}
	defer appListener.Close()
	workerListener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("opening a port on 127.0.0.1: %w", err)
	}
	defer workerListener.Close()
	edge, err := p.newEdge(appListener.Addr().String(), workerListener.Addr().String())
	if err != nil {
		return err
	}
	parts := newParts(ctx)
	parts.start("edge", edge.Run)
	select {
	case <-edge.Ready():
	case <-parts.ending():
		return unlessStopped(ctx, parts.stop())
	}
	err = p.startInner(ctx, parts, edge.Addrs(), appListener, workerListener)
	if err == nil {
		stopReloading := reloadOnHangup(ctx, edge, p.log)
		defer stopReloading()
		<-parts.ending()
	}
	return errors.Join(unlessStopped(ctx, err), parts.stop())
}

// unlessStopped is err, or nil when all that went wrong at the start is that the operator stopped it.
func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// startInner starts application and worker, whose links need to know where the edge listens.
func (p *platform) startInner(ctx context.Context, parts *parts, addrs proxy.Addrs, appListener, workerListener net.Listener) error {
	if !p.settings.hasPublicURL {
		public := fmt.Sprintf("https://localhost:%d", addrs.HTTPS.Port)
		p.settings.app.PublicURL, p.settings.worker.PublicURL = public, public
	}
	application, err := app.New(ctx, p.settings.app, app.Surroundings{
		DB: p.db, Log: p.log, Registry: p.registry, Checks: p.checks, Version: version,
		// A public URL means that something on this machine lets strangers in.
		Local: addrs.HTTPS.IP.IsLoopback() && !p.settings.hasPublicURL,
	})
	if err != nil {
		return err
	}
	parts.onStop(application.Close)
	if p.command.Demo {
		if err := demo.Fill(ctx, p.db, func(password string) (string, error) {
			return application.Accounts.HashPassword(ctx, password)
		}); err != nil {
			return fmt.Errorf("--demo: %w", err)
		}
	}
	jobs, err := worker.New(ctx, p.settings.worker, worker.Surroundings{
		DB: p.db, Log: p.log, Registry: p.registry, Checks: p.checks, Version: version, Listener: workerListener,
		Operator: p.operator(application),
	})
	if err != nil {
		return err
	}
	internal, err := listenInternal()
	if err != nil {
		return fmt.Errorf("opening the internal port: %w", err)
	}
	// Last of all that may fail: a password that was made up is shown now or never.
	admin, err := p.firstAdmin(ctx, application)
	if err != nil {
		return errors.Join(err, internal.Close())
	}
	parts.start("app", func(ctx context.Context) error { return application.Serve(ctx, appListener) })
	parts.start("worker", jobs.Run)
	parts.start("internal port", func(ctx context.Context) error {
		return httpx.Serve(ctx, httpx.NewServer(context.WithoutCancel(ctx), httpx.Internal(p.registry, p.checks), p.log), internal, time.Second)
	})
	p.banner(os.Stdout, addrs, internal.Addr(), admin)
	return nil
}

// operator lets administrators into the dashboard where FLOWER_BASIC_AUTH names nobody.
func (p *platform) operator(application *app.App) func(ctx context.Context, email, password string) (bool, error) {
	if p.settings.worker.FlowerBasicAuth != "" {
		return nil
	}
	return application.Accounts.IsAdmin
}

// platform is all of Portico in this process.
type platform struct {
	command  upCommand
	data     *dataFolder
	settings *settings
	log      *slog.Logger
	db       *database.DB
	registry *prometheus.Registry
	checks   *health.Checks
}

func (p *platform) newEdge(appAddr, workerAddr string) (*proxy.Proxy, error) {
	path := p.command.Config
	if path == "" {
		path = p.data.file("proxy.yaml")
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			if err := writeFile(path, defaultProxyConfig); err != nil {
				return nil, err
			}
		}
	}
	variables := map[string]string{"HTTP_ADDR": p.command.HTTP, "HTTPS_ADDR": p.command.HTTPS, "APP_ADDR": appAddr, "WORKER_ADDR": workerAddr}
	lookup := func(name string) (string, bool) {
		if value, ok := variables[name]; ok {
			return value, true
		}
		return os.LookupEnv(name)
	}
	cfg, err := config.Load(path, lookup)
	if err != nil {
		return nil, err
	}
	options := proxy.Options{Log: p.log, Registry: p.registry, Checks: p.checks, DataDir: p.data.path, ConfigPath: path, Lookup: lookup, Version: version}
	if cfg.Listen.HTTPS == "" {
		options.HTTPS = p.command.HTTPS
	}
	return proxy.New(cfg, options)
}

// listenInternal opens the usual internal port, or another when somebody has that one.
func listenInternal() (net.Listener, error) {
	if listener, err := net.Listen("tcp", "127.0.0.1:9090"); err == nil {
		return listener, nil
	}
	return net.Listen("tcp", "127.0.0.1:0")
}

// reloadOnHangup has SIGHUP read the edge's configuration again; the function that comes back ends that.
func reloadOnHangup(ctx context.Context, edge *proxy.Proxy, log *slog.Logger) func() {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangups:
				if err := edge.Reload(ctx); err != nil {
					log.Error("the configuration is refused, the one before serves", "error", err)
				}
			}
		}
	}()
	return func() {
		signal.Stop(hangups)
		cancel()
		<-done
	}
}
