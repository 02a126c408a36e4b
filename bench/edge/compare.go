package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

type compareCommand struct {
	Modes       []string      `default:"h1,h1-log,h1-64k,h1-new,h2" enum:"h1,h1-log,h1-64k,h1-new,h2,idle,soak" help:"What to measure: ${enum}."`
	Peers       []string      `default:"nginx,haproxy,caddy" enum:",nginx,haproxy,caddy" help:"Beside whom: nginx, haproxy, caddy, or \"\" for nobody."`
	Rounds      int           `default:"3" help:"How often, in turn; medians are printed."`
	Seconds     int           `default:"6" help:"How long each measurement takes."`
	Connections int           `default:"10000" help:"Connections of mode idle."`
	Idle        time.Duration `default:"60s" help:"How long mode idle leaves them alone."`
	Requests    int           `default:"1000000" help:"Requests of mode soak."`
	Proxy       string        `type:"existingfile" help:"A program of the edge that is built already."`
	Markdown    bool          `help:"Print tables for docs/performance.md."`
}

// bench is one run of the program.
type bench struct {
	compareCommand
	site
	proxies []*proxy // the edge first
	report  report
}

// Run measures every mode.
func (c compareCommand) Run(ctx context.Context) (err error) {
	if c.Rounds < 1 || c.Seconds < 1 || c.Connections < 1 || c.Requests < 100 {
		return errors.New("--rounds, --seconds and --connections are at least 1, --requests at least 100")
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
	b := &bench{compareCommand: c, report: report{markdown: c.Markdown}}
	if b.site, err = newSite(ctx, folder); err != nil {
		return err
	}
	defer b.site.close()
	if b.proxies, err = c.lineUp(ctx, b.site); err != nil {
		return err
	}
	if err := b.throughput(ctx); err != nil {
		return err
	}
	if slices.Contains(c.Modes, "idle") {
		if err := b.idle(ctx); err != nil {
			return err
		}
	}
	if slices.Contains(c.Modes, "soak") {
		if err := b.soak(ctx); err != nil {
			return err
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

// throughput runs the modes that put the proxies under load. All of them are up all the time, and idle but for one.
func (b *bench) throughput(ctx context.Context) error {
	modes := slices.DeleteFunc(slices.Clone(b.Modes), func(mode string) bool { return loads[mode] == nil })
	if len(modes) == 0 {
		return nil
	}
	for _, mode := range modes {
		if err := loads[mode].ready(); err != nil {
			return fmt.Errorf("mode %s: %w", mode, err)
		}
	}
	running := map[*proxy]map[bool]*server{} // with and without log and limit
	defer func() {
		for _, variants := range running {
			for _, server := range variants {
				server.stop()
			}
		}
	}()
	for _, p := range b.proxies {
		running[p] = map[bool]*server{}
		for _, mode := range modes {
			logged := mode == "h1-log" && p.logged != nil
			if running[p][logged] != nil {
				continue
			}
			server, err := p.start(ctx, b.site, logged)
			if err != nil {
				return err
			}
			running[p][logged] = server
		}
	}
	for _, mode := range modes {
		figures := map[*proxy][]figure{}
		for round := range b.Rounds + 1 {
			seconds := b.Seconds
			if round == 0 {
				seconds = 1 // to warm up
			}
			for _, p := range b.proxies {
				got, err := running[p][mode == "h1-log" && p.logged != nil].bear(ctx, loads[mode], seconds)
				if err != nil {
					return fmt.Errorf("%s in mode %s: %w", p.name, mode, err)
				}
				if round > 0 {
					figures[p] = append(figures[p], got)
				}
			}
		}
		b.report.throughput(mode, b.proxies, figures)
	}
	return nil
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
