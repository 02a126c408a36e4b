package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/portico-web/portico/proxy/control"
)

// changeFlags are common to the commands that change what serves an upstream.
type changeFlags struct {
	adminFlag
	Name string `arg:"" help:"The upstream, as proxy.yaml calls it."`
	By   string `placeholder:"TEXT" help:"Who or what this is for, beside the user's name in history and log: a CI run, a ticket."`
	JSON bool   `name:"json" help:"Tell the steps as lines of JSON."`
}

// change lets a running edge carry out a command, and tells its steps.
func (c changeFlags) change(ctx context.Context, action string, wanted any) error {
	socket, err := c.path()
	if err != nil {
		return err
	}
	switched := false
	encoder := json.NewEncoder(os.Stdout)
	err = control.Change(ctx, socket, c.Name, action, c.By, wanted, func(progress control.Progress) {
		switched = switched || progress.Step == control.StepSwitch
		switch {
		case c.JSON:
			_ = encoder.Encode(progress)
		case progress.Text != "":
			fmt.Println(progress.Text)
		}
	})
	switch {
	case errors.Is(err, context.Canceled) && switched:
		return errors.New("interrupted: the switch stands, requests to the targets before are still drained")
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted before the switch: nothing was changed")
	case err != nil:
		return fmt.Errorf("%s %s: %w", action, c.Name, err)
	}
	return nil
}

// drainFlags say how long what goes on with targets that were replaced is waited for.
type drainFlags struct {
	Timeout control.Duration `default:"60s" help:"How long the targets may take to pass three probes in a row (default: 60s)."`
	Drain   control.Duration `default:"30s" help:"How long to wait for requests to the targets before; what takes longer goes on by itself (default: 30s)."`
	Grace   control.Duration `default:"10s" help:"After how long of that WebSockets and event streams to them are ended (default: 10s)."`
}

func (d drainFlags) drain() control.Drain { return control.Drain{Within: d.Drain, Grace: d.Grace} }

type deployCommand struct {
	changeFlags
	Target []string `placeholder:"HOST:PORT" help:"A new target, as in proxy.yaml; several by repeating it. None: go back to the targets of proxy.yaml."`
	Smoke  []string `placeholder:"PATH" help:"A path that each new target must answer 2xx or 3xx before the switch; several by repeating it."`
	drainFlags
}

func (deployCommand) Help() string {
	return `Each new target must pass three probes in a row (the upstream's health settings, else any answer to GET / below 500), then
the smoke paths. Only then do requests go there; those under way with the targets before come to their end. When anything
fails, or this command is interrupted, before the switch, nothing has changed and the exit status is 1.

Deployed targets stay through reloads and restarts, whatever proxy.yaml says; deploying none goes back to it.

Examples:
  proxy deploy app --target 127.0.0.1:8002 --smoke /api/health/
  proxy deploy app --target 10.0.0.4:8000 --target 10.0.0.5:8000 --drain 2m --by "CI run $GITHUB_RUN_ID"
  proxy deploy app                           (the targets of proxy.yaml again)`
}

func (c deployCommand) Run(ctx context.Context) error {
	return c.change(ctx, "deploy", control.Deploy{Targets: c.Target, Smoke: c.Smoke, Timeout: c.Timeout, Drain: c.drain()})
}

type rollbackCommand struct {
	changeFlags
	Force bool `help:"Switch without probes."`
	drainFlags
}

func (rollbackCommand) Help() string {
	return `Goes back to the targets before the last deploy, in the way of a deploy: probes, switch, drain. Again, it goes forth.

Examples:
  proxy rollback app
  proxy rollback app --force --by "incident 7"`
}

func (c rollbackCommand) Run(ctx context.Context) error {
	return c.change(ctx, "rollback", control.Rollback{Force: c.Force, Timeout: c.Timeout, Drain: c.drain()})
}

type historyCommand struct {
	adminFlag
	Name string `arg:"" help:"The upstream, as proxy.yaml calls it."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (c historyCommand) Run(ctx context.Context) error {
	socket, err := c.path()
	if err != nil {
		return err
	}
	history, err := control.Past(ctx, socket, c.Name)
	if err != nil {
		return err
	}
	if c.JSON {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(history)
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WHEN\tWHAT\tBY\tTARGETS\tBEFORE\tOUTCOME")
	for _, event := range slices.Backward(history) {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", event.Time.Local().Format(time.DateTime), event.Action, event.By,
			strings.Join(event.Targets, " "), strings.Join(event.From, " "), event.Outcome)
	}
	return table.Flush()
}
