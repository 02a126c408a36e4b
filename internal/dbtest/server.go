package dbtest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// errMissing: PostgreSQL's programs are not installed.
var errMissing = errors.New("PostgreSQL is not installed (Debian: apt-get install postgresql; macOS: brew install postgresql), " +
	"and " + sharedServer + " does not name a server")

// guardian runs the server and outlives neither it nor the tests: its standard input is a pipe that only the test process
// holds, so that the read ends when that process stops or dies of whatever cause. It then ends the server and takes the
// folder away. The server alone keeps the log's pipe open, so that its end is seen.
const guardian = `dir=$1; shift
"$@" 2>&1 </dev/null & server=$!
exec >/dev/null 2>&1
read -r _
kill -QUIT $server
wait $server
rm -rf "$dir"`

// startAttempts bounds how often a port that was free and then taken by someone else is chosen anew.
const startAttempts = 5

// server is a PostgreSQL server in a temporary folder. Its methods may be called concurrently.
type server struct {
	mu      sync.Mutex
	allowed bool
	tried   bool
	err     error
	admin   string
	input   io.Closer
	process *exec.Cmd
	drained chan struct{}
}

func (s *server) allow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.allowed = true
}

func (s *server) url(t testing.TB) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.allowed {
		t.Fatal("dbtest: nobody would stop the server: add func TestMain(m *testing.M) { dbtest.Main(m) } to the package")
	}
	if !s.tried {
		s.tried = true
		s.err = s.start()
	}
	switch {
	case errors.Is(s.err, errMissing) && os.Getenv("CI") != "true":
		t.Skip(s.err)
	case s.err != nil:
		t.Fatalf("dbtest: %v", s.err)
	}
	return s.admin
}

func (s *server) start() error {
	programs, err := findPrograms()
	if err != nil {
		return err
	}
	account, err := unprivileged()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "portico-postgres-")
	if err != nil {
		return err
	}
	if account != nil {
		if err := os.Chown(dir, int(account.Uid), int(account.Gid)); err != nil {
			return err
		}
	}
	initdb := exec.Command(filepath.Join(programs, "initdb"), "--pgdata", filepath.Join(dir, "data"), "--username", "postgres",
		"--auth", "trust", "--encoding", "UTF8", "--locale", locale(), "--no-sync", "--no-instructions")
	initdb.Dir = dir
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: account}
	if output, err := initdb.CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("initdb: %w\n%s", err, output), os.RemoveAll(dir))
	}
	for range startAttempts {
		if err = s.serve(programs, dir, account); err == nil {
			return nil
		}
	}
	return errors.Join(err, os.RemoveAll(dir))
}

// serve starts the server on a free port and waits until it says that it takes connections.
func (s *server) serve(programs, dir string, account *syscall.Credential) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	arguments := []string{"-c", guardian, "guardian", dir, filepath.Join(programs, "postgres"), "-D", filepath.Join(dir, "data")}
	for _, setting := range []string{
		"port=" + port, "listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=400", "shared_buffers=64MB",
		"fsync=off", "full_page_writes=off", "synchronous_commit=off", "wal_level=minimal", "max_wal_senders=0",
		"lc_messages=C", "log_destination=stderr", "logging_collector=off", "log_min_messages=warning", "timezone=UTC",
	} {
		arguments = append(arguments, "-c", setting)
	}
	command := exec.Command("/bin/sh", arguments...)
	command.Dir = dir
	// A group of its own: an interrupt from the keyboard is for the tests, and reaches the guardian as the end of its input.
	command.SysProcAttr = &syscall.SysProcAttr{Credential: account, Setpgid: true}
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
	ready := make(chan error, 1)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		watch(log, ready)
	}()
	s.input, s.process, s.drained = input, command, drained
	if err := <-ready; err != nil {
		// The folder is still needed for the next attempt, so that only this guardian's process is ended.
		return errors.Join(err, command.Process.Kill(), ignoreKilled(command.Wait()))
	}
	s.admin = "postgres://postgres@127.0.0.1:" + port + "/postgres?sslmode=disable"
	return nil
}

// watch reads the server's log to its end and tells once whether the server came up.
func watch(log io.Reader, ready chan<- error) {
	var said []string
	up := false
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if up {
			continue
		}
		said = append(said, lines.Text())
		if strings.Contains(lines.Text(), "database system is ready to accept connections") {
			up = true
			ready <- nil
		}
	}
	if !up {
		ready <- fmt.Errorf("PostgreSQL did not start:\n%s", strings.Join(said, "\n"))
	}
}

// stop ends the server and waits for it; it does nothing when none runs.
func (s *server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.admin == "" {
		return
	}
	s.admin, s.tried, s.allowed = "", false, false
	_ = s.input.Close()
	<-s.drained
	_ = s.process.Wait()
}

func ignoreKilled(err error) error {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && !exit.Exited() {
		return nil
	}
	return err
}

// locale is one that every system of its kind has, and that knows more letters than ASCII where it can.
func locale() string {
	if runtime.GOOS == "linux" {
		return "C.UTF-8"
	}
	return "C"
}

// findPrograms returns the folder that holds initdb and postgres: that of PATH, or the newest of Debian's.
func findPrograms() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), "postgres")); err == nil {
				return filepath.Dir(path), nil
			}
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return "", errMissing
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(newest), nil
}

func version(initdb string) int {
	number, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(initdb))))
	return number
}

// unprivileged returns the account to run the server as when the tests run as root, which PostgreSQL refuses; else nil.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is no account postgres or nobody to run it as")
}

// freePort returns a port that nobody listens on right now.
func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return port, err
}
