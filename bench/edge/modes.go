package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// trial is one thing that is measured: a row of the tables.
type trial struct {
	title   string
	program string  // that it needs
	variant variant // of the proxies
	warm    bool    // on proxies that run all along, after a moment to warm up; otherwise each measurement has a new one
	once    bool    // whatever the number of rounds
	measure func(ctx context.Context, a attempt) (figure, error)
}

// attempt is one measurement of one proxy.
type attempt struct {
	*bench
	proxy   *proxy
	server  *server
	seconds int
}

func (a attempt) span() time.Duration { return time.Duration(a.seconds) * time.Second }

// errLeftOut says why a proxy is not measured in a trial.
var errLeftOut = errors.New("left out")

// modes are the trials of each mode.
var modes = map[string][]trial{
	"h1":          {{title: "HTTP/1.1, 0.9 KB, 64 connections", program: "wrk", warm: true, measure: wrk("/")}},
	"h1-log":      {{title: "the same, the edge with access log and rate limit", program: "wrk", warm: true, variant: variant{logged: true}, measure: wrk("/")}},
	"h1-64k":      {{title: "HTTP/1.1, 64 KB", program: "wrk", warm: true, measure: wrk("/64k")}},
	"h1-new":      {{title: "a connection and its TLS handshake for each request", program: "wrk", warm: true, measure: wrk("/", "--header", "Connection: close")}},
	"h2":          {{title: "HTTP/2, 32 connections of 8 streams", program: "h2load", warm: true, measure: h2load}},
	"h2-log":      {{title: "the same, the edge with access log and rate limit", program: "h2load", warm: true, variant: variant{logged: true}, measure: h2load}},
	"h2-transfer": transfers,
	"h2-stall":    stalls,
	"h2-flood":    floodTrials(),
	"h3":          {{title: "HTTP/3, 32 connections of 8 streams", warm: true, variant: variant{http3: true}, measure: http3Load}},
	"idle":        {{title: "an idle connection", once: true, measure: idle("http/1.1")}},
	"h2-idle":     {{title: "an idle connection of HTTP/2", once: true, measure: idle("h2")}},
	"soak":        {{title: "memory after 10, 50 and 100 % of many requests", program: "h2load", once: true, measure: soak}},
}

// installs tell how to get the load generators.
var installs = map[string]string{"wrk": "apt-get install wrk", "h2load": "apt-get install nghttp2-client"}

// ready tells what to install if the trial's program is missing.
func (t trial) ready() error {
	if t.program == "" {
		return nil
	}
	if _, err := exec.LookPath(t.program); err != nil {
		return fmt.Errorf("%s is not installed: %s", t.program, installs[t.program])
	}
	return nil
}

// try measures all proxies in turn, as often as there are rounds.
func (b *bench) try(ctx context.Context, mode string, t trial) error {
	figures := map[*proxy][]figure{}
	rounds := b.Rounds
	if t.once {
		rounds = 1
	}
	if t.warm {
		for _, p := range b.proxies { // all of them are up all the time, and idle but for one
			if _, err := b.standing(ctx, p, t.variant); err != nil && !errors.Is(err, errLeftOut) {
				return err
			}
			if _, err := b.measure(ctx, t, p, 1); err != nil && !errors.Is(err, errLeftOut) {
				return fmt.Errorf("%s in mode %s: %w", p.name, mode, err)
			}
		}
	}
	for round := range rounds {
		for _, p := range b.proxies {
			got, err := b.measure(ctx, t, p, b.Seconds)
			switch {
			case errors.Is(err, errLeftOut):
				if round == 0 {
					fmt.Fprintf(os.Stderr, "%s in mode %s: %v\n", p.name, mode, err)
				}
			case err != nil:
				return fmt.Errorf("%s in mode %s, %s: %w", p.name, mode, t.title, err)
			default:
				figures[p] = append(figures[p], got)
			}
		}
	}
	b.report.add(mode, t.title, b.proxies, figures)
	return nil
}

// measure measures one proxy.
func (b *bench) measure(ctx context.Context, t trial, p *proxy, seconds int) (figure, error) {
	if t.warm {
		server, err := b.standing(ctx, p, t.variant)
		if err != nil {
			return nil, err
		}
		return t.measure(ctx, attempt{bench: b, proxy: p, server: server, seconds: seconds})
	}
	server, err := p.start(ctx, b.site, t.variant)
	if err != nil {
		return nil, err
	}
	defer server.stop()
	return t.measure(ctx, attempt{bench: b, proxy: p, server: server, seconds: seconds})
}
