package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/portico-web/portico/app"
	"github.com/portico-web/portico/internal/health"
	"github.com/portico-web/portico/internal/logging"
	"github.com/portico-web/portico/internal/telemetry"
)

type serveCommand struct{}

func (serveCommand) Run(ctx context.Context) error {
	cfg, err := app.LoadConfig(os.Environ())
	if err != nil {
		return err
	}
	log, err := logging.New(os.Stderr, cfg.LogLevel, cfg.LogFormat)
	if err != nil {
		return err
	}
	return app.Run(ctx, cfg, version, log)
}

type createAdminCommand struct {
	Email string `arg:"" help:"The administrator's address."`
}

// Run reads the password from standard input when it is not a terminal, so that it never stands in a process list.
func (c createAdminCommand) Run(ctx context.Context) error {
	cfg, err := app.LoadConfig(os.Environ())
	if err != nil {
		return err
	}
	password, made, err := readPassword(os.Stdin)
	if err != nil {
		return err
	}
	db, err := app.OpenDatabase(ctx, cfg)
	if err != nil {
		return err
	}
	defer db.Close()
	a, err := app.New(ctx, cfg, app.Surroundings{
		DB: db, Log: logging.Discard(), Version: version,
		Registry: telemetry.NewRegistry("app", version), Checks: &health.Checks{},
	})
	if err != nil {
		return err
	}
	defer a.Close()
	_, created, err := a.Accounts.CreateAdmin(ctx, c.Email, password)
	switch {
	case err != nil:
		return err
	case !created:
		return fmt.Errorf("%s exists already: sign in with its password, or choose another address", c.Email)
	case made:
		fmt.Printf("administrator %s, password %s\n", c.Email, password)
	default:
		fmt.Printf("administrator %s\n", c.Email)
	}
	return nil
}

func readPassword(input *os.File) (password string, made bool, err error) {
	if info, err := input.Stat(); err != nil || info.Mode()&os.ModeCharDevice != 0 {
		return rand.Text(), true, nil
	}
	line, err := bufio.NewReader(io.LimitReader(input, 1024)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", false, fmt.Errorf("reading the password: %w", err)
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return rand.Text(), true, nil
	}
	return line, false, nil
}

type openAPICommand struct{}

func (openAPICommand) Run() error {
	document, err := app.OpenAPI(version)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(document)
	return err
}

type healthcheckCommand struct {
	URL string `name:"url" default:"http://127.0.0.1:9090/readyz" help:"Where to ask."`
}

func (c healthcheckCommand) Run(ctx context.Context) error { return health.Probe(ctx, c.URL) }
