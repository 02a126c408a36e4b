package dbtest

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// redisPassword is what the test's servers ask for, so that a URL leaked into a log is noticed.
const redisPassword = "test-secret"

// redisGuardian is guardian for a server without a folder of its own; its first line tells the server's process id.
const redisGuardian = `"$@" 2>&1 </dev/null & server=$!
echo "pid $server"
exec >/dev/null 2>&1
read -r _
kill -KILL $server
wait $server`

// RedisServer is a Redis or Valkey of one test's own. Its methods must be called by the test's goroutine.
type RedisServer struct {
	URL string

	t       testing.TB
	program string
	port    string
	pid     int
	input   io.Closer
	process *exec.Cmd
	drained chan struct{}
}

// Redis returns the redis:// URL of an empty server that ends with the test. Where neither Redis nor Valkey is installed the
// test is skipped, with CI=true it fails.
func Redis(t testing.TB) (url string) {
	t.Helper()
	return NewRedis(t).URL
}

// NewRedis is Redis for a test that stops its server, or makes it hang.
func NewRedis(t testing.TB) *RedisServer {
	t.Helper()
	program := Require(t, "Debian: apt-get install redis-server; macOS: brew install redis", "redis-server", "valkey-server")
	s := &RedisServer{t: t, program: program}
	var err error
	for range startAttempts {
		if s.port, err = freePort(); err != nil {
			t.Fatal(err)
		}
		if err = s.serve(); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	s.URL = "redis://:" + redisPassword + "@127.0.0.1:" + s.port + "/0"
	t.Cleanup(s.Kill)
	return s
}

// Start brings a killed server up again, empty, under the same URL.
func (s *RedisServer) Start() {
	s.t.Helper()
	if err := s.serve(); err != nil {
		s.t.Fatal(err)
	}
}

// Kill ends the server at once; it does nothing when none runs.
func (s *RedisServer) Kill() {
	if s.process == nil {
		return
	}
	_ = s.input.Close()
	<-s.drained
	_ = s.process.Wait()
	s.process = nil
}

// Hang makes the server take connections and never answer, until Resume.
func (s *RedisServer) Hang() { s.signal(syscall.SIGSTOP) }

// Resume ends what Hang began.
func (s *RedisServer) Resume() { s.signal(syscall.SIGCONT) }

func (s *RedisServer) signal(signal syscall.Signal) {
	s.t.Helper()
	if err := syscall.Kill(s.pid, signal); err != nil {
		s.t.Fatal(err)
	}
}

// serve starts the server and waits until it says that it takes connections.
func (s *RedisServer) serve() error {
	command := exec.Command("/bin/sh", "-c", redisGuardian, "guardian", s.program,
		"--port", s.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--requirepass", redisPassword, "--dir", s.t.TempDir())
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	input, err := command.StdinPipe()
	if err != nil {
		return err
	}
	log, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	started := make(chan error, 1)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		s.watch(log, started)
	}()
	s.input, s.process, s.drained = input, command, drained
	if err := <-started; err != nil {
		s.Kill()
		return err
	}
	return nil
}

// watch reads the server's log to its end and tells once whether the server came up.
func (s *RedisServer) watch(log io.Reader, started chan<- error) {
	var said []string
	up := false
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if up {
			continue
		}
		said = append(said, lines.Text())
		if _, err := fmt.Sscanf(lines.Text(), "pid %d", &s.pid); err == nil {
			continue
		}
		if strings.Contains(lines.Text(), "Ready to accept connections") {
			up = true
			started <- nil
		}
	}
	if !up {
		started <- fmt.Errorf("%s did not start:\n%s", s.program, strings.Join(said, "\n"))
	}
}
