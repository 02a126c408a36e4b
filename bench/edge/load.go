package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"time"
)

// load is a way to put a proxy under load.
type load struct {
	program string
	install string // how
	path    string
	command func(url string, seconds int) []string
	read    func(output string) (outcome, error)
}

// outcome is what a load generator saw.
type outcome struct {
	requests int
	bad      int     // failed, or answered by something else than 2xx
	rate     float64 // a second
	p99      time.Duration
}

// figure is one measurement of one proxy.
type figure struct {
	outcome
	cpu      float64 // microseconds a request
	resident float64 // megabytes
}

// unknown is a p99 that a load generator does not tell.
const unknown = time.Duration(math.MaxInt64)

var loads = map[string]*load{
	"h1":     wrk("/"),
	"h1-log": wrk("/"),
	"h1-64k": wrk("/64k"),
	"h1-new": wrk("/", "--header", "Connection: close"),
	"h2": {
		program: "h2load", install: "apt-get install nghttp2-client", path: "/", read: readH2load,
		command: func(url string, seconds int) []string {
			return []string{"--clients=32", "--max-concurrent-streams=8", "--threads=" + threads(), fmt.Sprintf("--duration=%d", seconds), url}
		},
	},
}

func wrk(path string, more ...string) *load {
	return &load{
		program: "wrk", install: "apt-get install wrk", path: path, read: readWrk,
		command: func(url string, seconds int) []string {
			return append([]string{"--threads", threads(), "--connections", "64", "--duration", fmt.Sprintf("%ds", seconds), "--latency", url}, more...)
		},
	}
}

func threads() string { return strconv.Itoa(min(2, runtime.NumCPU())) }

// ready tells what to install if the program is missing.
func (l *load) ready() error {
	if _, err := exec.LookPath(l.program); err != nil {
		return fmt.Errorf("%s is not installed: %s", l.program, l.install)
	}
	return nil
}

// bear measures the server under a load.
func (s *server) bear(ctx context.Context, l *load, seconds int) (figure, error) {
	before, err := s.usage()
	if err != nil {
		return figure{}, err
	}
	output, err := run(ctx, l.program, l.command(s.url+l.path[1:], seconds)...)
	if err != nil {
		return figure{}, err
	}
	after, err := s.usage()
	if err != nil {
		return figure{}, err
	}
	seen, err := l.read(output)
	if err != nil {
		return figure{}, fmt.Errorf("%s: %w in\n%s", l.program, err, output)
	}
	return figure{
		outcome: seen, resident: float64(after.resident) / (1 << 20),
		cpu: float64((after.cpu - before.cpu).Microseconds()) / float64(seen.requests),
	}, nil
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
		return outcome{}, errors.New("no 99th percentile")
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
	return checked(outcome{requests: int(requests[0]), bad: int(bad), rate: rate[0], p99: p99})
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
	return checked(outcome{requests: int(done[0]), bad: int(done[1] + redirected[0]), rate: rate[0], p99: unknown})
}

func checked(o outcome) (outcome, error) {
	if o.requests == 0 {
		return o, errors.New("not one answer")
	}
	return o, nil
}

// numbers are the numbers that the pattern's groups find.
func numbers(pattern *regexp.Regexp, text string) ([]float64, error) {
	found := pattern.FindStringSubmatch(text)
	if found == nil {
		return nil, fmt.Errorf("no %q", pattern)
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
