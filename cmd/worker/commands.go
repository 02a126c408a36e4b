package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/portico-web/portico/internal/health"
	"github.com/portico-web/portico/internal/logging"
	"github.com/portico-web/portico/worker"
)

type runCommand struct{}

func (runCommand) Run(ctx context.Context) error {
	cfg, err := worker.LoadConfig(os.Environ())
	if err != nil {
		return err
	}
	log, err := logging.New(os.Stderr, cfg.LogLevel, cfg.LogFormat)
	if err != nil {
		return err
	}
	return worker.Run(ctx, cfg, version, log)
}

type enqueueCommand struct {
	Kind      string        `arg:"" help:"The kind of job, such as maintenance.purge_tokens."`
	Arguments string        `arg:"" optional:"" default:"{}" help:"The job's arguments, a JSON object."`
	In        time.Duration `help:"Run it so much later, such as 10m."`
}

func (c enqueueCommand) Run(ctx context.Context) error {
	cfg, err := worker.LoadConfig(os.Environ())
	if err != nil {
		return err
	}
	id, err := worker.Enqueue(ctx, cfg, c.Kind, []byte(c.Arguments), c.In)
	if err != nil {
		return err
	}
	fmt.Println(id)
	return nil
}

type healthcheckCommand struct {
	URL string `name:"url" help:"Where to ask; by default the port of INTERNAL_LISTEN on this machine."`
}

func (c healthcheckCommand) Run(ctx context.Context) error {
	if c.URL != "" {
		return health.Probe(ctx, c.URL)
	}
	cfg, err := worker.LoadConfig(os.Environ())
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(cfg.InternalListen)
	if err != nil {
		return fmt.Errorf("INTERNAL_LISTEN: %q is not an address such as :9090", cfg.InternalListen)
	}
	return health.Probe(ctx, "http://127.0.0.1:"+port+"/readyz")
}
