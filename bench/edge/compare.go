package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

type compareCommand struct {
	Modes       []string      `default:"h1,h1-log,h1-64k,h1-new,h2,h2-log" enum:"h1,h1-log,h1-64k,h1-new,h2,h2-log,h2-transfer,h2-stall,h2-flood,h2-idle,h3,idle,soak" help:"What to measure: ${enum}."`
	Peers       []string      `default:"nginx,haproxy,caddy" enum:",nginx,haproxy,caddy" help:"Beside whom: nginx, haproxy, caddy, or \"\" for nobody."`
	Rounds      int           `default:"3" help:"How often, in turn; medians are printed."`
	Seconds     int           `default:"6" help:"How long each measurement takes."`
	Transfer    int64         `default:"1024" help:"MiB that mode h2-transfer moves each time."`
	Flood       time.Duration `default:"10s" help:"How long each flood of mode h2-flood lasts."`
	Connections int           `default:"10000" help:"Connections of modes idle and h2-idle."`
	Idle        time.Duration `default:"60s" help:"How long these are left alone."`
	Requests    int           `default:"1000000" help:"Requests of mode soak."`
	Proxy       string        `type:"existingfile" help:"A program of the edge that is built already."`
	Markdown    bool          `help:"Print tables for docs/performance.md."`
}

// bench is one run of the program.
type bench struct {
	compareCommand
	site
	proxies []*proxy // the edge first
	running map[standing]*server
	report  report
}

// standing names a proxy that runs all along.
type standing struct {
	proxy   *proxy
	variant variant
}

// Run measures every mode.
func (c compareCommand) Run(ctx context.Context) (err error) {
	if c.Rounds < 1 || c.Seconds < 1 || c.Transfer < 1 || c.Transfer > 2047 || c.Flood < time.Second || c.Connections < 1 || c.Requests < 100 {
		return errors.New("--rounds, --seconds and --connections are at least 1, --transfer is from 1 to 2047, --flood at least 1s, --requests at least 100")
	}
	for _, mode := range c.Modes {
		for _, t := range modes[mode] {
			if err := t.ready(); err != nil {
				return fmt.Errorf("mode %s: %w", mode, err)
			}
		}
	}
	if err := raiseFileLimit(); err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "bench-edge-")
	if err != nil {
		return err
	}
	defer func() {
		switch {
		case ctx.Err() != nil:
			err = errors.Join(errors.New("interrupted"), os.RemoveAll(folder))
		case err != nil:
			err = fmt.Errorf("%w (configurations and logs are in %s)", err, folder)
		default:
			err = os.RemoveAll(folder)
		}
	}()
	b := &bench{compareCommand: c, running: map[standing]*server{}, report: report{markdown: c.Markdown}}
	if b.site, err = newSite(ctx, folder); err != nil {
		return err
	}
	defer b.site.close()
	if b.proxies, err = c.lineUp(ctx, b.site); err != nil {
		return err
	}
	defer func() {
		for _, server := range b.running {
			server.stop()
		}
	}()
	for _, mode := range c.Modes {
		for _, t := range modes[mode] {
			if err := b.try(ctx, mode, t); err != nil {
				return err
			}
		}
	}
	return b.report.flush(os.Stdout)
}

// lineUp finds the proxies to measure: ours, and the peers that are installed.
func (c compareCommand) lineUp(ctx context.Context, s site) ([]*proxy, error) {
	ours, err := newPortico(ctx, s, c.Proxy)
	if err != nil {
		return nil, err
	}
	proxies := []*proxy{ours}
	for _, name := range c.Peers {
		if name == "" {
			continue
		}
		peer, err := peers[name].find(ctx, name)
		if errors.Is(err, errMissing) {
			fmt.Fprintln(os.Stderr, err)
			continue
		} else if err != nil {
			return nil, err
		}
		proxies = append(proxies, peer)
	}
	return proxies, nil
}

// standing is the proxy that runs all along in this variant.
func (b *bench) standing(ctx context.Context, p *proxy, v variant) (*server, error) {
	key := standing{p, p.reduce(v)}
	if b.running[key] == nil {
		started, err := p.start(ctx, b.site, v)
		if err != nil {
			return nil, err
		}
		b.running[key] = started
	}
	return b.running[key], nil
}

// raiseFileLimit lets this process and those it starts open as many files as the system allows them.
func raiseFileLimit() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("raise the limit of open files: %w", err)
	}
	return nil
}

// fill replaces {name} in a template.
func fill(template string, values map[string]string) string {
	for name, value := range values {
		template = strings.ReplaceAll(template, "{"+name+"}", value)
	}
	return template
}
