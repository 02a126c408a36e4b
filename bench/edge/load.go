package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"time"
)

// outcome is what a load generator saw.
type outcome struct {
	requests int
	bad      int     // failed, or answered by something else than 2xx
	rate     float64 // a second
	p99      time.Duration
}

// wrk puts a proxy under load by HTTP/1.1.
func wrk(path string, more ...string) func(context.Context, attempt) (figure, error) {
	return func(ctx context.Context, a attempt) (figure, error) {
		arguments := []string{"--threads", threads(), "--connections", "64", "--duration", fmt.Sprintf("%ds", a.seconds), "--latency", a.server.url + path[1:]}
		return a.bear(func() (outcome, error) {
			output, err := run(ctx, "wrk", append(arguments, more...)...)
			if err != nil {
				return outcome{}, err
			}
			return readWrk(output)
		})
	}
}

// h2load puts a proxy under load by HTTP/2.
func h2load(ctx context.Context, a attempt) (figure, error) {
	return a.bear(func() (outcome, error) {
		output, err := run(ctx, "h2load", "--clients=32", "--max-concurrent-streams=8", "--threads="+threads(), fmt.Sprintf("--duration=%d", a.seconds), a.server.url)
		if err != nil {
			return outcome{}, err
		}
		return readH2load(output)
	})
}

func threads() string { return strconv.Itoa(min(2, runtime.NumCPU())) }

// bear measures the proxy under a load.
func (a attempt) bear(load func() (outcome, error)) (figure, error) {
	before, err := a.server.usage()
	if err != nil {
		return nil, err
	}
	seen, err := load()
	if err != nil {
		return nil, err
	}
	after, err := a.server.usage()
	if err != nil {
		return nil, err
	}
	f := figure{
		{cpuEach, float64((after.cpu - before.cpu).Microseconds()) / float64(seen.requests)},
		{rate, seen.rate},
	}
	if seen.p99 > 0 { // not every load generator tells it
		f = append(f, milliseconds(p99, seen.p99))
	}
	return append(f, megabytes(resident, after.resident), value{bad, float64(seen.bad)}), nil
}

// run runs a program to its end, and returns what it said.
func run(ctx context.Context, program string, arguments ...string) (string, error) {
	output, err := exec.CommandContext(ctx, program, arguments...).CombinedOutput()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", program, err, output)
	}
	return string(output), nil
}

var (
	wrkRequests = regexp.MustCompile(`(\d+) requests in`)
	wrkRate     = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
	wrkP99      = regexp.MustCompile(`99%\s+([\d.]+[a-z]+)`)
	wrkBad      = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)`)
	wrkErrors   = regexp.MustCompile(`Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)`)

	h2loadDone = regexp.MustCompile(`requests: \d+ total, \d+ started, (\d+) done, \d+ succeeded, (\d+) failed, `)
	h2load3xx  = regexp.MustCompile(`status codes: \d+ 2xx, (\d+) 3xx`) // which do not count as failed
	h2loadRate = regexp.MustCompile(`([\d.]+) req/s`)
)

func readWrk(output string) (outcome, error) {
	requests, err := numbers(wrkRequests, output)
	if err != nil {
		return outcome{}, err
	}
	rate, err := numbers(wrkRate, output)
	if err != nil {
		return outcome{}, err
	}
	latency := wrkP99.FindStringSubmatch(output)
	if latency == nil {
		return outcome{}, fmt.Errorf("no 99th percentile in\n%s", output)
	}
	p99, err := time.ParseDuration(latency[1])
	if err != nil {
		return outcome{}, err
	}
	bad := 0.
	for _, pattern := range []*regexp.Regexp{wrkBad, wrkErrors} { // told only where there are some
		counts, _ := numbers(pattern, output)
		for _, count := range counts {
			bad += count
		}
	}
	return checked(outcome{requests: int(requests[0]), bad: int(bad), rate: rate[0], p99: p99}, output)
}

func readH2load(output string) (outcome, error) {
	done, err := numbers(h2loadDone, output)
	if err != nil {
		return outcome{}, err
	}
	redirected, err := numbers(h2load3xx, output)
	if err != nil {
		return outcome{}, err
	}
	rate, err := numbers(h2loadRate, output)
	if err != nil {
		return outcome{}, err
	}
	return checked(outcome{requests: int(done[0]), bad: int(done[1] + redirected[0]), rate: rate[0]}, output)
}

func checked(o outcome, output string) (outcome, error) {
	if o.requests == 0 {
		return o, fmt.Errorf("not one answer in\n%s", output)
	}
	return o, nil
}

// numbers are the numbers that the pattern's groups find.
func numbers(pattern *regexp.Regexp, text string) ([]float64, error) {
	found := pattern.FindStringSubmatch(text)
	if found == nil {
		return nil, fmt.Errorf("no %q in\n%s", pattern, text)
	}
	var all []float64
	for _, group := range found[1:] {
		number, err := strconv.ParseFloat(group, 64)
		if err != nil {
			return nil, err
		}
		all = append(all, number)
	}
	return all, nil
}
