package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/logging"
	"github.com/portico-web/portico/migrations"
)

// asProgram in the environment makes the test binary the program itself.
const asProgram = "WORKER_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

type result struct {
	code           int
	stdout, stderr string
}

func program(ctx context.Context, arguments, environ []string) *exec.Cmd {
	command := exec.CommandContext(ctx, os.Args[0], arguments...)
	command.Env = append(environ, asProgram+"=1", "PATH="+os.Getenv("PATH"))
	return command
}

func run(t *testing.T, arguments, environ []string) result {
	t.Helper()
	command := program(t.Context(), arguments, environ)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	} else if ok && !exit.Exited() {
		t.Fatal(err)
	}
	return result{command.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// migrated makes a SQLite database with today's schema and returns its URL.
func migrated(t *testing.T) string {
	t.Helper()
	url := "sqlite://" + filepath.Join(t.TempDir(), "test.db")
	db, err := database.Open(t.Context(), url, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Migrate(t.Context(), migrations.FS, logging.Discard()); err != nil {
		t.Fatal(err)
	}
	return url
}

func TestHelpTeachesAndVersionIsTold(t *testing.T) {
	t.Parallel()
	help := run(t, []string{"--help"}, nil)
	for _, want := range []string{"Examples:", "worker enqueue", "DATABASE_URL", "healthcheck", "FLOWER_BASIC_AUTH"} {
		if help.code != 0 || !strings.Contains(help.stdout, want) {
			t.Errorf("--help (exit %d) lacks %q", help.code, want)
		}
	}
	if got := run(t, []string{"--version"}, nil); got.code != 0 || strings.TrimSpace(got.stdout) != version {
		t.Errorf("--version: exit %d, %q", got.code, got.stdout)
	}
}

func TestFaultsAreOneLineAndExitOne(t *testing.T) {
	t.Parallel()
	url := migrated(t)
	for name, test := range map[string]struct {
		arguments, environ []string
		want               string
	}{
		"no database":        {[]string{"run"}, nil, "DATABASE_URL is required"},
		"MySQL":              {[]string{"run"}, []string{"DATABASE_DB=mysql", "DATABASE_HOST=db"}, "app import-django"},
		"unreachable":        {[]string{"run"}, []string{"DATABASE_URL=postgres://u:s3cret@127.0.0.1:1/x"}, "cannot reach PostgreSQL at 127.0.0.1:1"},
		"not migrated":       {[]string{"run"}, []string{"DATABASE_URL=sqlite://" + filepath.Join(t.TempDir(), "empty.db"), "SMTP_URL=mailbox:"}, "app migrate"},
		"no mail":            {[]string{"run"}, []string{"DATABASE_URL=" + url, "INTERNAL_LISTEN=127.0.0.1:0"}, "SMTP_URL is required"},
		"port taken":         {[]string{"run"}, []string{"DATABASE_URL=" + url, "INTERNAL_LISTEN=256.0.0.1:1"}, "INTERNAL_LISTEN: cannot listen"},
		"several settings":   {[]string{"run"}, []string{"WORKER_CONCURRENCY=x", "WORKER_STOP_TIMEOUT=y"}, "WORKER_CONCURRENCY"},
		"unknown level":      {[]string{"run"}, []string{"LOG_LEVEL=loud"}, "LOG_LEVEL"},
		"secret file":        {[]string{"run"}, []string{"DATABASE_PASSWORD_FILE=/nowhere/at/all"}, "DATABASE_PASSWORD_FILE"},
		"unknown kind":       {[]string{"enqueue", "nothing.known"}, []string{"DATABASE_URL=" + url}, "account.welcome_mail, maintenance.purge_tokens"},
		"malformed argument": {[]string{"enqueue", "maintenance.purge_tokens", "{"}, []string{"DATABASE_URL=" + url}, "not valid JSON"},
		"broken address":     {[]string{"healthcheck"}, []string{"INTERNAL_LISTEN=9090"}, "INTERNAL_LISTEN"},
		"nobody there":       {[]string{"healthcheck", "--url=http://127.0.0.1:1/readyz"}, nil, "127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run(t, test.arguments, append([]string{"LISTEN=127.0.0.1:0", "INTERNAL_LISTEN=127.0.0.1:0"}, test.environ...))
			lines := strings.Split(strings.TrimSpace(got.stderr), "\n")
			last := lines[len(lines)-1]
			if got.code != 1 || !strings.HasPrefix(last, "worker: ") || !strings.Contains(last, test.want) || strings.Contains(got.stderr, "s3cret") {
				t.Errorf("exit %d: %s\nwant exit 1 and one line with %q", got.code, got.stderr, test.want)
			}
			for _, line := range lines[:len(lines)-1] {
				if !strings.HasPrefix(line, "{") { // a log line
					t.Errorf("also said %q", line)
				}
			}
		})
	}
}

func TestRunWorksTheQueueUntilToldToStop(t *testing.T) {
	t.Parallel()
	url := migrated(t)
	environ := []string{"DATABASE_URL=" + url}
	enqueued := run(t, []string{"enqueue", "account.welcome_mail", `{"email": "kim@example.com", "nickname": "Kim"}`}, environ)
	if enqueued.code != 0 || strings.TrimSpace(enqueued.stdout) != "1" {
		t.Fatalf("enqueue: exit %d, %q %s", enqueued.code, enqueued.stdout, enqueued.stderr)
	}
	command := program(t.Context(), []string{"run"}, append(environ, "SMTP_URL=mailbox:", "LISTEN=127.0.0.1:0", "INTERNAL_LISTEN=127.0.0.1:0", "LOG_LEVEL=debug"))
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	var said []byte
	buffer := make([]byte, 4096)
	told := false
	for {
		n, err := stderr.Read(buffer)
		said = append(said, buffer[:n]...)
		if !told && strings.Contains(string(said), "job succeeded") {
			told = true
			if err := command.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
		}
		if err != nil {
			break
		}
	}
	if err := command.Wait(); err != nil || !told {
		t.Errorf("ended with %v; the job was worked: %v\n%s", err, told, said)
	}
}
