package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/portico-web/portico/internal/health"
	"github.com/portico-web/portico/internal/logging"
	"github.com/portico-web/portico/internal/systemd"
	"github.com/portico-web/portico/proxy"
	"github.com/portico-web/portico/proxy/config"
	"github.com/portico-web/portico/proxy/control"
)

// configFlag is the configuration's place, common to the commands.
type configFlag struct {
	Config string `default:"proxy.yaml" env:"PROXY_CONFIG" placeholder:"FILE" help:"The configuration (default: proxy.yaml)."`
}

func (c configFlag) load() (*config.Config, error) { return config.Load(c.Config, os.LookupEnv) }

type runCommand struct {
	configFlag
	Data      string `default:".portico" env:"PORTICO_DATA" placeholder:"DIR" help:"Folder for deployed targets, and for certificates and the local CA unless tls.storage names another place (default: .portico)."`
	LogLevel  string `default:"info" env:"LOG_LEVEL" help:"debug, info, warn or error (default: info, with a line for each request)."`
	LogFormat string `default:"json" env:"LOG_FORMAT" help:"json or console (default: json)."`
}

func (c runCommand) Run(ctx context.Context) error {
	report := reportToPredecessor()
	err := c.run(ctx)
	report(err)
	return err
}

func (c runCommand) run(ctx context.Context) error {
	log, err := logging.New(os.Stderr, c.LogLevel, c.LogFormat)
	if err != nil {
		return err
	}
	cfg, err := c.load()
	if err != nil {
		return err
	}
	edge, err := proxy.New(cfg, proxy.Options{
		Log: log, DataDir: c.Data, ConfigPath: c.Config, Lookup: os.LookupEnv, Version: version,
		Start: startSuccessor, Succeeded: func(pid int) { tell(log, systemd.MainPID(pid)) },
	})
	if err != nil {
		return err
	}
	defer handleSignals(ctx, edge, log)()
	return edge.Run(ctx)
}

// handleSignals reloads on SIGHUP, upgrades on SIGUSR2, and tells systemd what the edge does, until ctx ends or the function
// that comes back is called, which waits.
func handleSignals(ctx context.Context, edge *proxy.Proxy, log *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	reloads, upgrades := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(reloads, syscall.SIGHUP)
	notifyUpgrades(upgrades)
	var handling sync.WaitGroup
	handling.Go(func() {
		ready := edge.Ready()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ready:
				ready = nil
				tell(log, systemd.Ready())
			case <-reloads:
				tell(log, systemd.Reloading())
				_ = edge.Reload(ctx) // it logs why a file is refused
				tell(log, systemd.Ready())
			case <-upgrades:
				_, _ = edge.Upgrade(ctx) // likewise
			}
		}
	})
	return func() {
		signal.Stop(reloads)
		signal.Stop(upgrades)
		cancel()
		handling.Wait()
	}
}

// tell logs that systemd could not be told something.
func tell(log *slog.Logger, err error) {
	if err != nil {
		log.Warn("systemd cannot be told what this process does", "error", err)
	}
}

type validateCommand struct{ configFlag }

func (c validateCommand) Run() error {
	_, err := c.load()
	if faults, ok := errors.AsType[config.Faults](err); ok && len(faults) > 1 {
		fmt.Fprintln(os.Stderr, faults)
		return fmt.Errorf("%s has %d faults", c.Config, len(faults))
	}
	if err != nil {
		return err
	}
	fmt.Printf("%s is valid\n", c.Config)
	return nil
}

// adminFlag finds the control socket: named outright, or by the configuration.
type adminFlag struct {
	configFlag
	Socket string `placeholder:"PATH" help:"The control socket (default: listen.admin of the configuration)."`
}

// path is the control socket's.
func (a adminFlag) path() (string, error) {
	if a.Socket != "" {
		return a.Socket, nil
	}
	cfg, err := a.load()
	if err != nil {
		return "", err
	}
	path := strings.TrimPrefix(cfg.Listen.Admin, "unix:")
	if path == "" {
		return "", errors.New(a.Config + " names no control socket: add listen.admin (unix:/run/portico/admin.sock), or use --socket")
	}
	return path, nil
}

func (a adminFlag) call(ctx context.Context, method, command string, answer any) error {
	path, err := a.path()
	if err != nil {
		return err
	}
	return control.Call(ctx, path, method, command, answer)
}

type reloadCommand struct{ adminFlag }

func (c reloadCommand) Run(ctx context.Context) error {
	var status control.Status
	err := c.call(ctx, http.MethodPost, "/reload", &status)
	if err == nil {
		fmt.Println("reloaded")
	}
	return err
}

type healthcheckCommand struct {
	configFlag
	URL string `placeholder:"URL" help:"What to ask (default: /readyz on listen.internal of the configuration, else http://127.0.0.1:9090/readyz)."`
}

func (c healthcheckCommand) Run(ctx context.Context) error {
	if c.URL == "" {
		c.URL = "http://127.0.0.1:9090/readyz"
		// Only the address matters here: a file that cannot be loaded is the running edge's affair, not this command's.
		if cfg, err := c.load(); err == nil && cfg.Listen.Internal != "" {
			host, port, _ := net.SplitHostPort(cfg.Listen.Internal)
			if host == "" || host == "0.0.0.0" || host == "::" {
				host = "127.0.0.1"
			}
			c.URL = "http://" + net.JoinHostPort(host, port) + "/readyz"
		}
	}
	return health.Probe(ctx, c.URL)
}
