package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// soon bounds what takes no time; it is generous for the sake of busy machines.
const soon = 40 * time.Second

// place is where processes that take each other's place run: their configuration and data.
type place struct {
	t    *testing.T
	data string
}

// newPlace writes a configuration whose requests go to upstream, with more lines at its end.
func newPlace(t *testing.T, listen, upstream, more string) *place {
	t.Helper()
	p := &place{t: t, data: t.TempDir()}
	p.configure(listen, upstream, more)
	return p
}

func (p *place) configure(listen, upstream, more string) {
	p.t.Helper()
	content := "listen: {" + listen + ", admin: \"unix:" + p.socket("admin") + "\", handover: \"unix:" + p.socket("handover") + "\"}\n" +
		"access_log: false\nupstreams: {app: {targets: [\"" + upstream + "\"], health: {path: /echo}}}\n" +
		"sites: [{hosts: [localhost], routes: [{path: /, upstream: app}]}]\n" + more
	if err := os.WriteFile(p.file(), []byte(content), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) file() string              { return filepath.Join(p.data, "proxy.yaml") }
func (p *place) socket(name string) string { return filepath.Join(p.data, "run", name) }

const chosenPorts = `http: "127.0.0.1:0", https: "127.0.0.1:0", internal: "127.0.0.1:0"`

// process is a running program whose log is read all the time.
type process struct {
	t       *testing.T
	command *exec.Cmd
	exited  chan struct{}

	mu    sync.Mutex
	more  *sync.Cond
	lines []string
	over  bool
}

// begin starts the program in this place.
func (p *place) begin(environment ...string) *process {
	p.t.Helper()
	command := program(p.t, "run", "--config", p.file(), "--data", p.data)
	command.Env = append(command.Env, environment...)
	return watched(p.t, command)
}

func watched(t *testing.T, command *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, command: command, exited: make(chan struct{})}
	p.more = sync.NewCond(&p.mu)
	reads, writes, err := os.Pipe() // not StderrPipe, whose end a grandchild's writing would hold up
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = writes
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	_ = writes.Close()
	var reading sync.WaitGroup
	reading.Go(func() {
		lines := bufio.NewScanner(reads)
		for lines.Scan() {
			p.add(lines.Text())
		}
		p.end()
		_ = reads.Close()
	})
	go func() {
		_ = command.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		<-p.exited
		reading.Wait()
		if t.Failed() {
			t.Logf("the log of process %d:\n%s", command.Process.Pid, p.log())
		}
	})
	return p
}

func (p *process) add(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, line)
	p.more.Broadcast()
}

func (p *process) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	p.more.Broadcast()
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

// told waits for a line of the log that holds text.
func (p *process) told(text string) string {
	p.t.Helper()
	late := time.AfterFunc(soon, p.end)
	defer late.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for seen := 0; ; {
		for ; seen < len(p.lines); seen++ {
			if strings.Contains(p.lines[seen], text) {
				return p.lines[seen]
			}
		}
		if p.over {
			p.t.Fatalf("process %d does not tell %q", p.command.Process.Pid, text)
		}
		p.more.Wait()
	}
}

type listens struct{ HTTP, HTTPS, Internal string }

// ready waits until the program serves.
func (p *process) ready() (at listens) {
	p.t.Helper()
	if err := json.Unmarshal([]byte(p.told("edge listens")), &at); err != nil {
		p.t.Fatal(err)
	}
	return at
}

// ends waits until the program has exited with this status.
func (p *process) ends(status int) {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(soon):
		p.t.Fatalf("process %d does not end", p.command.Process.Pid)
	}
	if got := p.command.ProcessState.ExitCode(); got != status {
		p.t.Errorf("process %d ended with status %d, not %d", p.command.Process.Pid, got, status)
	}
}

func (p *process) runs() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

func TestTwelveUpgradesUnderLoadRefuseNothing(t *testing.T) {
	t.Parallel()
	upstream := newUpstream(t)
	place := newPlace(t, chosenPorts, upstream, "")
	first := place.begin()
	at := first.ready()
	load := newLoad(t, at, place.data)
	stop := load.start()
	held := load.hold()
	old := first
	for i := range 12 {
		next := place.begin()
		if got := next.ready(); got != at {
			t.Fatalf("upgrade %d listens at %v, not at %v", i+1, got, at)
		}
		old.told("another process serves")
		load.goesOn()
		if _, stderr, status := run(t, "healthcheck", "--url", "http://"+at.Internal+"/readyz"); status != 0 {
			t.Errorf("after upgrade %d: %s", i+1, stderr)
		}
		if old != first { // which has the streams that last
			old.ends(0)
		}
		old = next
	}
	if !first.runs() {
		t.Error("the first process did not wait for its streams")
	}
	held.close()
	first.ends(0)
	stop()
	for kind, failures := range load.failures() {
		t.Errorf("%s: %d failed, the first with: %v", kind, len(failures), failures[0])
	}
	t.Logf("answered: %v", load.answered())
	old.command.Process.Signal(syscall.SIGTERM)
	old.ends(0)
	if left, err := os.ReadDir(filepath.Dir(place.socket("admin"))); err != nil || len(left) > 0 {
		t.Errorf("sockets are left: %v, %v", left, err)
	}
}

// The load must be able to notice: a program that is stopped and started again refuses connections.
func TestAPlainRestartIsNoticedByTheLoad(t *testing.T) {
	t.Parallel()
	upstream := newUpstream(t)
	place := newPlace(t, chosenPorts, upstream, "")
	first := place.begin()
	at := first.ready()
	place.configure(fmt.Sprintf("http: %q, https: %q, internal: %q", at.HTTP, at.HTTPS, at.Internal), upstream, "")
	load := newLoad(t, at, place.data)
	stop := load.start()
	load.goesOn()
	first.command.Process.Signal(syscall.SIGTERM)
	first.ends(0)
	load.failsSomewhere()
	next := place.begin()
	next.ready()
	stop()
	if len(load.failures()) == 0 {
		t.Error("nobody noticed")
	}
}
