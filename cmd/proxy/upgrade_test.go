package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/portico-web/portico/proxy/handover"
	"github.com/portico-web/portico/proxy/server"
)

// soon bounds what takes no time; it is generous for the sake of busy machines.
const soon = 40 * time.Second

// place is where processes that take each other's place run: their configuration and data.
type place struct {
	t    *testing.T
	data string
	*upstream
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{t: t, data: t.TempDir(), upstream: newUpstream(t)}
	p.configure(chosenPorts, "{path: /echo}")
	return p
}

func (p *place) configure(listen, health string) {
	p.t.Helper()
	content := "listen: {" + listen + ", http3: true, admin: \"unix:" + p.socket("admin") + "\", handover: \"unix:" + p.socket("handover") + "\"}\n" +
		"access_log: false\nupstreams: {app: {targets: [\"" + p.address + "\"], health: " + health + "}}\n" +
		"sites: [{hosts: [localhost], routes: [{path: /, upstream: app}]}]\n"
	if err := os.WriteFile(p.file(), []byte(content), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) file() string              { return filepath.Join(p.data, "proxy.yaml") }
func (p *place) socket(name string) string { return filepath.Join(p.data, "run", name) }

// behindGate is a health check that does not end before the upstream's gate is opened, nor then does the start of a process
// that is to take another's place.
const behindGate = "{path: /gate, interval: 1h, timeout: 10m}"

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
	reads, writes, err := os.Pipe() // not StderrPipe, which Wait closes while what the program started may write there
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

// toldTimes waits for so many lines of the log that hold text.
func (p *process) toldTimes(text string, times int) {
	p.t.Helper()
	late := time.AfterFunc(soon, p.end)
	defer late.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		count := 0
		for _, line := range p.lines {
			if strings.Contains(line, text) {
				count++
			}
		}
		if count >= times {
			return
		}
		if p.over {
			p.t.Fatalf("process %d tells %q %d times, not %d", p.command.Process.Pid, text, count, times)
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
	place := newPlace(t)
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
	_ = old.command.Process.Signal(syscall.SIGTERM)
	old.ends(0)
	if left, err := os.ReadDir(filepath.Dir(place.socket("admin"))); err != nil || len(left) > 0 {
		t.Errorf("sockets are left: %v, %v", left, err)
	}
}

func TestStreamsThatLastEndWhenTheirTimeIsOver(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		limits string
		signal os.Signal
	}{
		"handover_timeout": {"limits: {handover_timeout: 500ms}\n", nil},
		"SIGTERM":          {"limits: {handover_timeout: 1h}\n", syscall.SIGTERM},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			place := newPlace(t)
			content, err := os.ReadFile(place.file())
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(place.file(), append(content, test.limits...), 0o600); err != nil {
				t.Fatal(err)
			}
			first := place.begin()
			load := newLoad(t, first.ready(), place.data)
			held := load.hold()
			place.begin().ready()
			first.told("another process serves")
			if test.signal != nil {
				load.goesOn()
				_ = first.command.Process.Signal(test.signal)
			}
			first.ends(0)
			held.close()
		})
	}
}

// The load must be able to notice: a program that is stopped and started again refuses connections.
func TestAPlainRestartIsNoticedByTheLoad(t *testing.T) {
	t.Parallel()
	place := newPlace(t)
	first := place.begin()
	at := first.ready()
	place.configure(fmt.Sprintf("http: %q, https: %q, internal: %q", at.HTTP, at.HTTPS, at.Internal), "{path: /echo}")
	load := newLoad(t, at, place.data)
	stop := load.start()
	load.goesOn()
	_ = first.command.Process.Signal(syscall.SIGTERM)
	first.ends(0)
	load.failsSomewhere()
	next := place.begin()
	next.ready()
	stop()
	if len(load.failures()) == 0 {
		t.Error("nobody noticed")
	}
}

// ask asks the edge for the load's content.
func (p *place) ask(at listens) error {
	p.t.Helper()
	c, err := newLoad(p.t, at, p.data).dial()
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.ask("GET", getEcho)
	return err
}

// serves fails the test unless the edge at this address answers.
func (p *place) serves(at listens) {
	p.t.Helper()
	if err := p.ask(at); err != nil {
		p.t.Errorf("the edge does not serve: %v", err)
	}
}

// successorOf waits for a process that was not started by the test, and ends it with the test. Its log goes on in by's.
func successorOf(t *testing.T, by *process, stdout string) (pid int) {
	t.Helper()
	if _, err := fmt.Sscanf(stdout, "upgraded: process %d of version dev serves\n", &pid); err != nil {
		t.Fatalf("%q: %v", stdout, err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	by.ends(0)
	return pid
}

func TestUpgradeStartsTheProgramAnew(t *testing.T) {
	t.Parallel()
	place := newPlace(t)
	told, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: place.socket("../notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer told.Close()
	hear := func() string {
		t.Helper()
		_ = told.SetReadDeadline(time.Now().Add(soon))
		heard := make([]byte, 100)
		n, err := told.Read(heard)
		if err != nil {
			t.Fatal(err)
		}
		return string(heard[:n])
	}
	first := place.begin("NOTIFY_SOCKET=" + place.socket("../notify"))
	at := first.ready()
	if got := hear(); got != "READY=1" {
		t.Errorf("systemd is told %q", got)
	}
	stdout, stderr, status := run(t, "upgrade", "--config", place.file())
	if status != 0 {
		t.Fatalf("%d %s", status, stderr)
	}
	second := successorOf(t, first, stdout)
	if got := map[string]bool{hear(): true, hear(): true}; !got["READY=1"] || !got[fmt.Sprintf("MAINPID=%d", second)] {
		t.Errorf("systemd is told %v", got)
	}
	place.serves(at)
	if err := syscall.Kill(second, syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	main := hear()
	if main == "READY=1" {
		main = hear()
	}
	var third int
	if _, err := fmt.Sscanf(main, "MAINPID=%d", &third); err != nil || third == second {
		t.Fatalf("systemd is told %q", main)
	}
	t.Cleanup(func() { _ = syscall.Kill(third, syscall.SIGKILL) })
	place.serves(at)
	if stdout, stderr, status := run(t, "status", "--config", place.file()); status != 0 || !strings.Contains(stdout, at.HTTPS) {
		t.Errorf("%d %s %s", status, stdout, stderr)
	}
	_ = syscall.Kill(third, syscall.SIGTERM)
}

func TestAnUpgradeThatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	place := newPlace(t)
	first := place.begin()
	at := first.ready()
	good, err := os.ReadFile(place.file())
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ content, says string }{
		"a mistake":      {strings.Replace(string(good), "upstreams", "upstrems", 1), `proxy.yaml:3:1: unknown key "upstrems" (did you mean "upstreams"?)`},
		"a port in use":  {strings.Replace(string(good), `http: "127.0.0.1:0"`, fmt.Sprintf("http: %q", place.address), 1), "listen.http: cannot listen on " + place.address},
		"an old process": {strings.Replace(string(good), "/handover\"", "/elsewhere\"", 1), "listen.admin: another process answers"},
	} {
		if err := os.WriteFile(place.file(), []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		stdout, stderr, status := run(t, "upgrade", "--socket", place.socket("admin"))
		if status != 1 || stdout != "" || !strings.Contains(stderr, test.says) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: %d %q %q", name, status, stdout, stderr)
		}
		place.serves(at)
	}
	if err := os.WriteFile(place.file(), good, 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, status := run(t, "upgrade", "--config", place.file())
	if status != 0 {
		t.Fatalf("in the end: %d %s", status, stderr)
	}
	successorOf(t, first, stdout)
	place.serves(at)
}

func TestAnEdgeWithoutAHandoverSocketIsNotUpgraded(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "admin.sock")
	path := written(t, strings.Replace(valid, "listen: {", "listen: {admin: \"unix:"+socket+"\", ", 1))
	e := start(t, path)
	if _, stderr, status := run(t, "upgrade", "--config", path); status != 1 || !strings.Contains(stderr, "listen.handover is not configured: add it") {
		t.Errorf("%d %q", status, stderr)
	}
	e.stop()
}

// A process that dies is seen by its connection's end, wherever it was.
func TestASuccessorThatDiesChangesNothing(t *testing.T) {
	t.Parallel()
	place := newPlace(t)
	first := place.begin()
	at := first.ready()
	us := handover.Process{PID: 1, Version: "test"}
	ask := func() (*handover.Predecessor, *server.Inherited) {
		t.Helper()
		before, err := handover.Ask(t.Context(), place.socket("handover"), us)
		if err != nil {
			t.Fatal(err)
		}
		inherited, err := server.Inherit(before.Conn())
		if err != nil {
			t.Fatal(err)
		}
		return before, inherited
	}
	for step, dies := range []func(){
		func() {
			connection, err := net.Dial("unix", place.socket("handover"))
			if err != nil {
				t.Fatal(err)
			}
			_, _ = connection.Write([]byte("\x00\x00\x10"))
			_ = connection.Close()
		},
		func() {
			before, err := handover.Ask(t.Context(), place.socket("handover"), us)
			if err != nil {
				t.Fatal(err)
			}
			_ = before.Conn().Close()
		},
		func() {
			before, inherited := ask()
			_ = before.Conn().Close()
			inherited.Close()
		},
		func() {
			before, inherited := ask()
			defer inherited.Close()
			if err := before.TakeOver(t.Context()); err != nil {
				t.Fatal(err)
			}
			_ = before.Conn().Close() // without having served
		},
	} {
		dies()
		first.toldTimes("the other one does not take it", step) // not of the first, who was not known yet
		place.serves(at)
	}
	place.configure(chosenPorts, behindGate)
	killed := place.begin()
	killed.told("taking another process's place")
	_ = killed.command.Process.Kill()
	killed.ends(-1)
	first.toldTimes("the other one does not take it", 4)
	place.serves(at)

	last := place.begin()
	close(place.gate)
	if got := last.ready(); got != at {
		t.Errorf("it listens at %v, not at %v", got, at)
	}
	first.ends(0)
	place.serves(at)
}

func TestAPredecessorThatDiesLeavesItsPlace(t *testing.T) {
	t.Parallel()
	place := newPlace(t)
	first := place.begin()
	at := first.ready()
	place.configure(chosenPorts, behindGate)
	first.told("configuration reloaded")
	next := place.begin()
	next.told("taking another process's place")
	_ = first.command.Process.Kill()
	first.ends(-1)
	close(place.gate)
	if got := next.ready(); got != at {
		t.Errorf("it listens at %v, not at %v", got, at)
	}
	place.serves(at)
	if stdout, stderr, status := run(t, "status", "--config", place.file()); status != 0 {
		t.Errorf("%d %s %s", status, stdout, stderr)
	}
}

func TestOnlyOneProcessTakesThePlace(t *testing.T) {
	t.Parallel()
	place := newPlace(t)
	first := place.begin()
	at := first.ready()
	place.configure(chosenPorts, behindGate)
	first.told("configuration reloaded")
	second := place.begin()
	second.told("taking another process's place")
	third := place.begin()
	third.told("another process is about to take its place")
	third.ends(1)
	place.serves(at)
	close(place.gate)
	second.ready()
	first.ends(0)
	place.serves(at)
}

func TestAProcessOfAnotherProtocolIsRefused(t *testing.T) {
	t.Parallel()
	place := newPlace(t)
	first := place.begin()
	at := first.ready()
	connection, err := net.Dial("unix", place.socket("handover"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	hello := `{"protocol":2,"process":{"pid":1,"version":"9.9"},"step":"hello"}`
	_, _ = connection.Write([]byte("\x00\x00\x00" + string(rune(len(hello))) + hello))
	_ = connection.SetReadDeadline(time.Now().Add(soon))
	answer, err := io.ReadAll(connection)
	want := `version \"dev\" hands over by protocol 1, version \"9.9\" by protocol 2: stop the one before starting the other`
	if err != nil || !strings.Contains(string(answer), want) {
		t.Errorf("%q, %v", answer, err)
	}
	place.serves(at)
	if info, err := os.Stat(place.socket("handover")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// As on a full disk: the new process cannot make its sockets.
func TestAFolderThatTakesNoSocketChangesNothing(t *testing.T) {
	t.Parallel()
	place := newPlace(t)
	first := place.begin()
	at := first.ready()
	if err := os.MkdirAll(filepath.Join(place.socket("handover.new"), "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	next := place.begin()
	next.told("listen.handover: ")
	next.ends(1)
	first.told("handover.new")
	place.serves(at)
	if _, stderr, status := run(t, "status", "--config", place.file()); status != 0 {
		t.Errorf("%d %s", status, stderr)
	}
}
