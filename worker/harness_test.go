package worker_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/dbtest"
	"github.com/portico-web/portico/internal/health"
	"github.com/portico-web/portico/internal/logging"
	"github.com/portico-web/portico/internal/queue"
	"github.com/portico-web/portico/internal/telemetry"
	"github.com/portico-web/portico/migrations"
	"github.com/portico-web/portico/worker"
	"github.com/portico-web/portico/worker/jobs"
)

// hands are the code behind hold in the test's own process: each execution is announced and waits for its outcome.
type hands struct {
	river.WorkerDefaults[hold]
	began chan *execution
}

type execution struct {
	job     *rivertype.JobRow
	outcome chan error
}

// NextRetry is far away, so that a job that fails stays as it is.
func (h *hands) NextRetry(*river.Job[hold]) time.Time { return time.Now().Add(time.Hour) }

func newHands() *hands { return &hands{began: make(chan *execution, 100)} }

var errPanicPlease = errors.New("panic, please")

func (h *hands) Work(ctx context.Context, job *river.Job[hold]) error {
	run := &execution{job.JobRow, make(chan error, 1)}
	h.began <- run
	select {
	case err := <-run.outcome:
		if errors.Is(err, errPanicPlease) {
			panic("as asked <b>bold</b>")
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// platform is a database and a client that enqueues.
type platform struct {
	url    string
	db     *database.DB
	client *queue.Client
}

func newPlatform(t testing.TB, url string) *platform {
	t.Helper()
	db, err := database.Open(t.Context(), url, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Migrate(t.Context(), migrations.FS, logging.Discard()); err != nil {
		t.Fatal(err)
	}
	client, err := queue.New(db, &river.Config{Logger: logging.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	return &platform{url, db, client}
}

// each runs test on every kind of database.
func each(t *testing.T, test func(t *testing.T, p *platform)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, url string) { test(t, newPlatform(t, url)) })
}

func (p *platform) enqueue(t testing.TB, args river.JobArgs, opts *river.InsertOpts) int64 {
	t.Helper()
	result, err := p.client.Insert(t.Context(), args, opts)
	if err != nil {
		t.Fatal(err)
	}
	return result.Job.ID
}

func (p *platform) job(t testing.TB, id int64) *rivertype.JobRow {
	t.Helper()
	job, err := p.client.Job(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// running is a worker in the test's process.
type running struct {
	*worker.Worker
	base     string // of the dashboard
	registry *prometheus.Registry
	checks   *health.Checks
	stop     func() error // once or more; waits
}

// surroundings are what a worker of the test is given.
func surroundings(p *platform, h *hands) worker.Surroundings {
	return worker.Surroundings{
		DB: p.db, Log: logging.Discard(), Registry: telemetry.NewRegistry("worker", "test"), Checks: &health.Checks{}, Version: "test",
		Register: func(set *jobs.Set) {
			if h != nil {
				jobs.Add(set, h)
			}
		},
	}
}

const user, password = "ops", "correct:horse"

// nobody is the setting by which no one may use the dashboard.
const nobody = "FLOWER_BASIC_AUTH="

// start runs a worker with hold worked by h, or by nobody for nil. settings are NAME=value.
func (p *platform) start(t testing.TB, h *hands, settings ...string) *running {
	t.Helper()
	return p.startWith(t, h, func(*worker.Config) {}, settings...)
}

// startWith is start with a change to the configuration that no setting makes.
func (p *platform) startWith(t testing.TB, h *hands, change func(*worker.Config), settings ...string) *running {
	t.Helper()
	environ := []string{"SMTP_URL=mailbox:", "LISTEN=127.0.0.1:0", "WORKER_STOP_TIMEOUT=200ms"}
	if !slices.Contains(settings, nobody) {
		environ = append(environ, "FLOWER_BASIC_AUTH=other:x,"+user+":"+password)
	}
	cfg, err := worker.LoadConfig(append(environ, settings...))
	if err != nil {
		t.Fatal(err)
	}
	change(&cfg)
	around := surroundings(p, h)
	w, err := worker.New(t.Context(), cfg, around)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	var result error
	go func() {
		defer close(done)
		result = w.Run(ctx)
	}()
	r := &running{Worker: w, base: "http://" + w.Addr().String() + "/flower", registry: around.Registry, checks: around.Checks}
	r.stop = func() error {
		cancel()
		<-done
		return result
	}
	t.Cleanup(func() { _ = r.stop() })
	return r
}

// child is a worker in a process of its own.
type child struct {
	command *exec.Cmd
	id      string
	lines   chan string // what it says after its id
}

func (p *platform) startChild(t *testing.T, settings ...string) *child {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(append(os.Environ(), childURL+"="+p.url), settings...)
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{command: command, lines: make(chan string, 100)}
	go func() {
		defer close(c.lines)
		for scanner := bufio.NewScanner(output); scanner.Scan(); {
			c.lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill() // also one that is frozen
		for range c.lines {        // until it is gone
		}
		_ = command.Wait()
	})
	c.id = strings.TrimPrefix(c.expect(t, "worker "), "worker ")
	return c
}

// expect returns the next line that begins so.
func (c *child) expect(t *testing.T, beginning string) string {
	t.Helper()
	for line := range c.lines {
		if strings.HasPrefix(line, beginning) {
			return line
		}
	}
	t.Fatalf("the worker process ended before it said %q", beginning)
	return ""
}

func lastWorker(job *rivertype.JobRow) string {
	if len(job.AttemptedBy) == 0 {
		return ""
	}
	return job.AttemptedBy[len(job.AttemptedBy)-1]
}

func began(id int64) string { return fmt.Sprint("began ", id) }
