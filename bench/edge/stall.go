package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// stalls are 50 streams that are busy all the time beside somebody who does not read.
var stalls = []trial{
	{title: "HTTP/2, 50 streams, 64 KB", measure: stall(func(context.Context, attempt, *h2conn) error { return nil })},
	{title: "the same, beside a stream whose window grows by bytes", measure: stall(trickle)},
	{title: "the same, beside a connection that is not read", measure: stall(deaf)},
}

const (
	fastStreams = 50
	fastWindow  = 128 << 10             // more than an answer needs
	slowPath    = "/bytes?n=1073741824" // more than anybody buffers
	slowStreams = 100                   // of a connection that is not read
	slowTick    = 10 * time.Millisecond // in which a slow reader takes one byte
	slowMore    = 1                     // byte
)

// stall measures the fast streams after slow began something that goes on until ctx ends.
func stall(slow func(ctx context.Context, a attempt, fast *h2conn) error) func(context.Context, attempt) (figure, error) {
	return func(ctx context.Context, a attempt) (figure, error) {
		ctx, cancel := context.WithTimeout(ctx, a.span()+patience)
		defer cancel()
		c, err := dialH2(ctx, a.server.url, a.roots, h2settings{window: fastWindow, buffer: greedy.buffer})
		if err != nil {
			return nil, err
		}
		defer c.close()
		go c.read()
		if err := slow(ctx, a, c); err != nil {
			return nil, err
		}
		before, err := a.server.usage()
		if err != nil {
			return nil, err
		}
		seen, took := rush(a.span(), fastStreams, func(int) error { _, err := c.get("/64k"); return err })
		after, err := a.server.usage()
		if err != nil {
			return nil, err
		}
		if len(seen.took) == 0 {
			return nil, fmt.Errorf("not one answer: %w", seen.err)
		}
		return figure{
			{speed, float64(len(seen.took)) * (64 << 10) / (1 << 20) / took.Seconds()},
			milliseconds(p99, seen.part(99)),
			{cpuEach, float64((after.cpu - before.cpu).Microseconds()) / float64(len(seen.took))},
			megabytes(peak, after.peak),
			{bad, float64(seen.bad)},
		}, nil
	}
}

// rush asks in so many goroutines, again and again. Each stops where it fails.
func rush(span time.Duration, workers int, ask func(worker int) error) (*latencies, time.Duration) {
	began := time.Now()
	seen := &latencies{}
	var asking sync.WaitGroup
	for worker := range workers {
		asking.Go(func() {
			for time.Since(began) < span {
				start := time.Now()
				err := ask(worker)
				if seen.note(start, err); err != nil {
					return
				}
			}
		})
	}
	asking.Wait()
	return seen, time.Since(began)
}

// trickle asks for more than the window of a stream takes, and takes the rest byte by byte.
func trickle(ctx context.Context, _ attempt, fast *h2conn) error {
	s, err := fast.request("GET", slowPath, -1)
	if err != nil {
		return err
	}
	go func() {
		tick := time.NewTicker(slowTick)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_ = fast.allow(s, slowMore)
			case <-s.done:
				return
			case <-ctx.Done():
				return
			}
		}
	}()
	return nil
}

// deaf asks for much on another connection, and reads nothing of it.
func deaf(ctx context.Context, a attempt, _ *h2conn) error {
	c, err := dialH2(ctx, a.server.url, a.roots, greedy)
	if err != nil {
		return err
	}
	for range slowStreams {
		if _, err := c.request("GET", slowPath, -1); err != nil {
			return err
		}
	}
	return nil
}
