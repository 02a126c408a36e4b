package e2e

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for something that should take a moment.
const patience = 30 * time.Second

// process is a running program whose output can be waited for.
type process struct {
	t       *testing.T
	name    string
	command *exec.Cmd
	ended   chan struct{}
	endErr  error

	mu     sync.Mutex
	lines  []string
	update chan struct{}
}

// start runs a program of ours; it is killed when the test ends, if it still runs then.
func start(t *testing.T, environ []string, name string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, ended: make(chan struct{}), update: make(chan struct{})}
	p.command = exec.Command(filepath.Join(programs, name), args...)
	p.command.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TZ=UTC"}, environ...)
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.command.Stdout, p.command.Stderr = writer, writer
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	_ = writer.Close()
	read := make(chan struct{})
	go func() {
		defer close(read)
		p.read(reader)
	}()
	go func() {
		p.endErr = p.command.Wait()
		<-read
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s printed:\n%s", name, p.output())
		}
	})
	return p
}

func (p *process) read(from io.ReadCloser) {
	defer from.Close()
	scanner := bufio.NewScanner(from)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		p.mu.Lock()
		p.lines = append(p.lines, scanner.Text())
		close(p.update)
		p.update = make(chan struct{})
		p.mu.Unlock()
	}
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

// waitFor waits until a printed line matches pattern and returns its first group (or the whole match).
func (p *process) waitFor(pattern string) string {
	p.t.Helper()
	expression := regexp.MustCompile(pattern)
	deadline := time.After(patience)
	for {
		p.mu.Lock()
		update := p.update
		for _, line := range p.lines {
			if found := expression.FindStringSubmatch(line); found != nil {
				p.mu.Unlock()
				return found[len(found)-1]
			}
		}
		p.mu.Unlock()
		select {
		case <-update:
		case <-p.ended:
			p.t.Fatalf("%s ended (%v) before it printed %q:\n%s", p.name, p.endErr, pattern, p.output())
		case <-deadline:
			p.t.Fatalf("%s did not print %q within %s:\n%s", p.name, pattern, patience, p.output())
		}
	}
}

// kill ends the process as a power cut would, and waits until it is gone.
func (p *process) kill() {
	_ = p.command.Process.Kill()
	<-p.ended
}

// stop asks the process to end and returns its exit status.
func (p *process) stop() int {
	p.t.Helper()
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	return p.wait()
}

func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(2 * patience):
		p.t.Fatalf("%s did not end:\n%s", p.name, p.output())
	}
	return p.command.ProcessState.ExitCode()
}

// eventually asks until answer says yes, or fails the test with the last thing that answer said.
func eventually(t *testing.T, within time.Duration, answer func() (bool, string)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		done, state := answer()
		if done {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not within %s: %s", within, state)
		case <-ticker.C:
		}
	}
}
