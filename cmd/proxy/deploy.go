package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
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
		return errors.New("interrupted: what was told stands, this only does not wait for requests from before")
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted before anything was changed (`proxy status` tells)")
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

type canaryCommand struct {
	changeFlags
	Target  []string `placeholder:"HOST:PORT" help:"A target of the canary; several by repeating it. None: those that it has."`
	Percent *float64 `placeholder:"N" help:"How much of the clients it serves; 0 ends it."`
	Promote bool     `help:"Let it serve all clients, in the way of a deploy."`
	Smoke   []string `placeholder:"PATH" help:"A path that each new target must answer 2xx or 3xx before; several by repeating it."`
	drainFlags
}

func (canaryCommand) Help() string {
	return `A share of the clients is served by other targets, which must pass what a deploy asks of them. A client keeps its side by a
cookie; a share that grows takes more clients to the canary and none back. While there is a canary nothing is deployed.

Examples:
  proxy canary app --target 127.0.0.1:8002 --percent 5 --smoke /api/health/
  proxy canary app --percent 50
  proxy canary app --promote
  proxy canary app --percent 0               (the end of it)`
}

func (c canaryCommand) Run(ctx context.Context) error {
	wanted := control.Canary{Targets: c.Target, Promote: c.Promote, Smoke: c.Smoke, Timeout: c.Timeout, Drain: c.drain()}
	switch {
	case c.Percent != nil:
		wanted.Percent = *c.Percent
	case !c.Promote:
		return errors.New("canary " + c.Name + ": name --percent, or --promote")
	}
	return c.change(ctx, "canary", wanted)
}

type pauseCommand struct {
	changeFlags
	For      control.Duration `default:"30s" help:"How long a request waits at most, before it is answered 503 (default: 30s)."`
	MaxQueue int              `default:"1000" help:"How many requests wait at most; others are answered 503 (default: 1000)."`
	Drain    control.Duration `default:"30s" help:"How long this command waits for the requests under way (default: 30s)."`
}

func (pauseCommand) Help() string {
	return `Requests wait until "proxy resume", so that the application can be restarted or its database changed without an error. Those
under way go on; the command ends when the last one has, WebSockets and event streams apart. A pause outlasts the edge.

Examples:
  proxy pause app --for 1m && ./migrate.sh; proxy resume app`
}

func (c pauseCommand) Run(ctx context.Context) error {
	return c.change(ctx, "pause", control.Pause{For: c.For, Queue: c.MaxQueue, Drain: c.Drain})
}

type resumeCommand struct{ changeFlags }

func (resumeCommand) Help() string {
	return `Ends a pause: the requests that wait are served.

Examples:
  proxy resume app`
}

func (c resumeCommand) Run(ctx context.Context) error {
	return c.change(ctx, "resume", control.Resume{})
}

type maintenanceCommand struct {
	changeFlags
	Switch  string         `arg:"" enum:"on,off" help:"on or off."`
	Message string         `placeholder:"TEXT" help:"What clients are told (default: that the service is under maintenance, in their language)."`
	Allow   []netip.Prefix `placeholder:"RANGE" help:"Clients who are served all the same, as in 203.0.113.0/24; several by repeating it."`
}

func (maintenanceCommand) Help() string {
	return `While it is on, requests are answered 503 with Retry-After and a page, or JSON. It outlasts the edge.

Examples:
  proxy maintenance app on --message "We are back at 14:00." --allow 203.0.113.7/32
  proxy maintenance app off`
}

func (c maintenanceCommand) Run(ctx context.Context) error {
	return c.change(ctx, "maintenance", control.Maintenance{On: c.Switch == "on", Message: c.Message, Allow: c.Allow})
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
