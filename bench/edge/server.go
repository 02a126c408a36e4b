package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a program that runs, with the processes that it starts.
type server struct {
	name    string
	url     string // answers 200
	command *exec.Cmd
	ended   chan struct{} // the program did
}

// launch starts a program that answers under url, and waits until it does. What it says goes into a file.
func launch(ctx context.Context, s site, name, url string, arguments []string) (*server, error) {
	log, err := os.Create(filepath.Join(s.folder, name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	command := exec.Command(arguments[0], arguments[1:]...) // stop ends it, in an orderly way
	command.Stdout, command.Stderr, command.Dir = log, log, s.folder
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its processes are known by their group
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	started := &server{name: name, url: url, command: command, ended: make(chan struct{})}
	go func() {
		defer close(started.ended)
		_ = command.Wait()
	}()
	if err := started.answers(ctx, s.client()); err != nil {
		started.stop()
		said, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("%s: %w\n%s", name, err, said)
	}
	return started, nil
}

// answers waits until the server does.
func (s *server) answers(ctx context.Context, client *http.Client) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(15 * time.Second)
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
		if err != nil {
			return err
		}
		if response, err := client.Do(request); err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-s.ended:
			return errors.New("it ended at once")
		case <-deadline:
			return fmt.Errorf("nothing answers 200 at %s", s.url)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// stop ends the program and all its processes, and waits for it.
func (s *server) stop() {
	if s == nil {
		return
	}
	group := -s.command.Process.Pid
	_ = syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(5 * time.Second):
	}
	_ = syscall.Kill(group, syscall.SIGKILL)
	<-s.ended
}

// usage is what a server's processes took and hold.
type usage struct {
	cpu      time.Duration
	resident int64 // bytes
	peak     int64 // of resident; of several processes the sum of each one's
}

const (
	clockTick = 10 * time.Millisecond // of Linux's /proc, on every architecture
	firstStat = 3                     // the number of the first field behind the program's name in proc_pid_stat(5)
)

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// usage adds up the processes of the server's group.
func (s *server) usage() (usage, error) {
	var sum usage
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		return sum, errors.New("there is no /proc: this measures on Linux only")
	}
	group := strconv.Itoa(s.command.Process.Pid)
	for _, path := range stats {
		content, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		fields := strings.Fields(string(content[strings.LastIndexByte(string(content), ')')+1:]))
		if len(fields) < 24 || fields[5-firstStat] != group {
			continue
		}
		number := func(field int) int64 {
			n, _ := strconv.ParseInt(fields[field-firstStat], 10, 64)
			return n
		}
		sum.cpu += time.Duration(number(14)+number(15)) * clockTick
		sum.resident += number(24) * int64(os.Getpagesize())
		status, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "status"))
		if found := highWater.FindSubmatch(status); found != nil {
			kibibytes, _ := strconv.ParseInt(string(found[1]), 10, 64)
			sum.peak += kibibytes << 10
		}
	}
	if sum.resident == 0 {
		return sum, fmt.Errorf("%s ended", s.name)
	}
	return sum, nil
}
