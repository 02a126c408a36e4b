package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/portico-web/portico/internal/health"
	"github.com/portico-web/portico/internal/logging"
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
	Data      string `default:".portico" env:"PORTICO_DATA" placeholder:"DIR" help:"Folder for certificates and the local CA, unless tls.storage names one (default: .portico)."`
	LogLevel  string `default:"info" env:"LOG_LEVEL" help:"debug, info, warn or error (default: info, with a line for each request)."`
	LogFormat string `default:"json" env:"LOG_FORMAT" help:"json or console (default: json)."`
}

func (c runCommand) Run(ctx context.Context) error {
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
	})
	if err != nil {
		return err
	}
	reloads := make(chan os.Signal, 1)
	signal.Notify(reloads, syscall.SIGHUP)
	defer signal.Stop(reloads)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-reloads:
				_ = edge.Reload(ctx) // it logs why a file is refused
			}
		}
	}()
	return edge.Run(ctx)
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

func (a adminFlag) call(ctx context.Context, method, command string) (control.Status, error) {
	var status control.Status
	if a.Socket == "" {
		cfg, err := a.load()
		if err != nil {
			return status, err
		}
		if a.Socket = strings.TrimPrefix(cfg.Listen.Admin, "unix:"); a.Socket == "" {
			return status, errors.New(a.Config + " names no control socket: add listen.admin (unix:/run/portico/admin.sock), or use --socket")
		}
	}
	err := control.Call(ctx, a.Socket, method, command, &status)
	return status, err
}

type reloadCommand struct{ adminFlag }

func (c reloadCommand) Run(ctx context.Context) error {
	_, err := c.call(ctx, http.MethodPost, "/reload")
	if err == nil {
		fmt.Println("reloaded")
	}
	return err
}

type statusCommand struct{ adminFlag }

func (c statusCommand) Run(ctx context.Context) error {
	status, err := c.call(ctx, http.MethodGet, "/status")
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(status)
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
