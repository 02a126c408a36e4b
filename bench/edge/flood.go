package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// floodTrials look how another client is served, without a flood and during each.
func floodTrials() []trial {
	trials := []trial{{title: "HTTP/2, another client without a flood", measure: quiet}}
	for _, f := range floods {
		trials = append(trials, trial{title: "during " + f.name, measure: func(ctx context.Context, a attempt) (figure, error) { return flooded(ctx, a, f.name) }})
	}
	return trials
}

func quiet(ctx context.Context, a attempt) (figure, error) { return a.serves(ctx) }

// flooded has another process flood the proxy: it takes no time of the client that is watched.
func flooded(ctx context.Context, a attempt, name string) (figure, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, a.Flood+2*patience)
	defer cancel()
	command := exec.CommandContext(ctx, self, "flood", "--url", a.server.url, "--roots", a.cert, "--flood", name, "--span", a.Flood.String())
	var said strings.Builder
	command.Stdout, command.Stderr = &said, os.Stderr
	if err := command.Start(); err != nil {
		return nil, err
	}
	f, err := a.serves(ctx)
	if err := errors.Join(err, command.Wait()); err != nil {
		return nil, err
	}
	var steps, ends float64
	if _, err := fmt.Sscan(said.String(), &steps, &ends); err != nil {
		return nil, fmt.Errorf("the flood said %q: %w", said.String(), err)
	}
	return append(f, value{stepped, steps / a.Flood.Seconds()}, value{reconnect, ends}), nil
}

// A client that is watched sends its requests by the clock, whether the others were answered or not.
const (
	watchedConnections = 4
	watchedTick        = 5 * time.Millisecond
	watchedPatience    = 5 * time.Second // after which an answer counts as a bad one
)

// serves measures how a client is served as long as a flood takes.
func (a attempt) serves(ctx context.Context) (figure, error) {
	before, err := a.server.usage()
	if err != nil {
		return nil, err
	}
	seen := a.watch(ctx)
	after, err := a.server.usage()
	if err != nil {
		return nil, err
	}
	if len(seen.took) == 0 {
		return nil, fmt.Errorf("not one answer: %w", seen.err)
	}
	return figure{
		milliseconds(p50, seen.part(50)), milliseconds(p99, seen.part(99)), {bad, float64(seen.bad)},
		{cpuSum, (after.cpu - before.cpu).Seconds()}, megabytes(peak, after.peak),
	}, nil
}

// watch asks at every tick, on one connection after the other. A latency begins with its tick, so that it tells of delays of the
// client's own making as well.
func (a attempt) watch(ctx context.Context) *latencies {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var lines [watchedConnections]line
	seen := &latencies{}
	var asking sync.WaitGroup
	began := time.Now()
	for i := 0; ctx.Err() == nil; i++ {
		due := began.Add(time.Duration(i) * watchedTick)
		if due.Sub(began) >= a.Flood {
			break
		}
		time.Sleep(time.Until(due))
		asking.Go(func() { seen.note(due, lines[i%len(lines)].ask(ctx, a.server.url, a.roots)) })
	}
	asking.Wait()
	return seen
}

// line is a connection that is made anew when it ended.
type line struct {
	mu   sync.Mutex
	conn *h2conn
}

func (l *line) ask(ctx context.Context, url string, roots *x509.CertPool) error {
	c, err := l.get(ctx, url, roots)
	if err != nil {
		return err
	}
	s, err := c.request("GET", "/", -1)
	if err != nil {
		return err
	}
	select {
	case <-s.done:
		return s.err
	case <-time.After(watchedPatience):
		return errors.New("no answer")
	}
}

func (l *line) get(ctx context.Context, url string, roots *x509.CertPool) (*h2conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil || !l.conn.usable() {
		c, err := dialH2(ctx, url, roots, modest)
		if err != nil {
			return nil, err
		}
		go c.read()
		l.conn = c
	}
	return l.conn, nil
}

// floodCommand floods a server, on a new connection whenever it is thrown out. Then it says how many attacks it sent, and how
// often it was thrown out.
type floodCommand struct {
	URL   string        `required:"" name:"url"`
	Roots string        `required:""`
	Flood string        `required:""`
	Span  time.Duration `required:""`
}

// Run floods.
func (c floodCommand) Run(ctx context.Context) error {
	// Attackers have machines of their own. This one may have what the proxy and its other client leave over.
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, 10); err != nil {
		return err
	}
	roots, err := readRoots(c.Roots)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Span)
	defer cancel()
	for _, f := range floods {
		if f.name != c.Flood {
			continue
		}
		steps, ends, err := f.run(ctx, c.URL, roots)
		if err == nil {
			_, err = fmt.Println(steps, ends)
		}
		return err
	}
	return fmt.Errorf("there is no flood named %s", strconv.Quote(c.Flood))
}

// run floods until ctx ends.
func (f flood) run(ctx context.Context, url string, roots *x509.CertPool) (steps, ends int, err error) {
	for ctx.Err() == nil {
		c, err := dialH2(ctx, url, roots, f.settings)
		if err != nil {
			if ctx.Err() == nil && ends == 0 { // a server that threw it out may let nobody in again
				return 0, 0, err
			}
			time.Sleep(10 * time.Millisecond)
			continue
		}
		steps += f.on(ctx, c)
		c.close()
		if ctx.Err() == nil {
			ends++
		}
	}
	return steps, ends, nil
}

// on floods one connection until it ends.
func (f flood) on(ctx context.Context, c *h2conn) (steps int) {
	if !f.deaf {
		go c.read()
		defer func() { <-c.ended }()
	}
	defer c.close()
	for ctx.Err() == nil {
		c.writing.Lock()
		err := f.step(c, steps)
		c.writing.Unlock()
		if err != nil || !c.usable() {
			return steps
		}
		steps++
	}
	return steps
}
