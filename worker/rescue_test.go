package worker_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/portico-web/portico/worker"
)

func TestJobOfAKilledWorkerRunsAgain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *platform) {
		victim := p.startChild(t)
		id := p.enqueue(t, hold{"never"}, nil)
		victim.expect(t, began(id))
		h := newHands()
		other := p.start(t, h)
		if err := victim.command.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		killed := time.Now()

		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // 10 s are promised; the machine may be slow
		defer cancel()
		var run *execution
		select {
		case run = <-h.began:
		case <-ctx.Done():
			t.Fatal("30 seconds after its worker was killed, the job has not run again")
		}
		t.Logf("ran again after %s", time.Since(killed).Round(time.Millisecond))
		if run.job.ID != id || run.job.Attempt != 2 || lastWorker(run.job) != other.ID() {
			t.Errorf("job %d runs in attempt %d on %s; want job %d in attempt 2 on %s", run.job.ID, run.job.Attempt, lastWorker(run.job), id, other.ID())
		}
		run.outcome <- nil
		if err := other.stop(); err != nil {
			t.Fatal(err)
		}
		job := p.job(t, id)
		if job.State != rivertype.JobStateCompleted || len(job.Errors) != 1 || !strings.Contains(job.Errors[0].Error, victim.id) {
			t.Errorf("the job is %s with errors %+v; want it completed with one error that names %s", job.State, job.Errors, victim.id)
		}
	})
}

func TestFrozenWorkerThatComesBackLetsItsJobGo(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *platform) {
		frozen := p.startChild(t, "WORKER_CONCURRENCY=1")
		id := p.enqueue(t, hold{"never"}, nil)
		frozen.expect(t, began(id))
		h := newHands()
		other := p.start(t, h)
		if err := frozen.command.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		run := <-h.began
		if err := frozen.command.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		frozen.expect(t, "cancelled") // it notices that it has lost the job
		if job := p.job(t, id); job.State != rivertype.JobStateRunning || lastWorker(job) != other.ID() || job.Attempt != 2 {
			t.Errorf("the job is %s in attempt %d on %s; want it running in attempt 2 on %s", job.State, job.Attempt, lastWorker(job), other.ID())
		}
		run.outcome <- nil
		// Back in order, the worker takes new jobs.
		if err := other.stop(); err != nil {
			t.Fatal(err)
		}
		if job := p.job(t, id); job.State != rivertype.JobStateCompleted || len(job.Errors) != 1 {
			t.Errorf("the job is %s with %d errors, want completed with the rescue's alone", job.State, len(job.Errors))
		}
		next := p.enqueue(t, hold{"never"}, nil)
		frozen.expect(t, began(next))
	})
}

func TestJobThatIsTheLastAttemptOfALostWorkerIsDiscarded(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *platform) {
		victim := p.startChild(t)
		id := p.enqueue(t, hold{"never"}, &river.InsertOpts{MaxAttempts: 1})
		victim.expect(t, began(id))
		if err := victim.command.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		other := p.start(t, newHands())
		other.await(t, id, "FAILURE")
		if err := other.stop(); err != nil {
			t.Fatal(err)
		}
		if job := p.job(t, id); job.State != rivertype.JobStateDiscarded || len(job.Errors) != 1 {
			t.Errorf("the job is %s with %d errors, want discarded with one", job.State, len(job.Errors))
		}
	})
}

func TestStoppingWorkerFinishesItsJobAndExitsWithZero(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *platform) {
		c := p.startChild(t)
		finish := filepath.Join(t.TempDir(), "finish")
		id := p.enqueue(t, hold{finish}, nil)
		c.expect(t, began(id))
		if err := c.command.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(finish, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		c.expect(t, "ended")
		for range c.lines { // until it is gone
		}
		if err := c.command.Wait(); err != nil {
			t.Errorf("the worker ended with %v, want 0", err)
		}
		if job := p.job(t, id); job.State != rivertype.JobStateCompleted || job.Attempt != 1 {
			t.Errorf("the job is %s in attempt %d, want completed in the first", job.State, job.Attempt)
		}
		var stopped int
		if err := p.db.NewRaw("SELECT count(*) FROM workers WHERE id = ? AND stopped_at IS NOT NULL AND running = 0", c.id).Scan(t.Context(), &stopped); err != nil || stopped != 1 {
			t.Errorf("%d rows tell of the worker's orderly end (%v), want 1", stopped, err)
		}
	})
}

func TestStoppingWorkerCancelsWhatDoesNotFinishInTime(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *platform) {
		c := p.startChild(t, "WORKER_STOP_TIMEOUT=50ms")
		id := p.enqueue(t, hold{"never"}, nil)
		c.expect(t, began(id))
		if err := c.command.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		c.expect(t, "cancelled")
		for range c.lines { // until it is gone
		}
		if err := c.command.Wait(); err != nil {
			t.Errorf("the worker ended with %v, want 0", err)
		}
		if job := p.job(t, id); job.State != rivertype.JobStateAvailable || job.Attempt != 0 || len(job.Errors) != 0 {
			t.Errorf("the job is %s after %d attempts with %d errors, want it available as if it had not begun", job.State, job.Attempt, len(job.Errors))
		}
	})
}

// again waits for the execution of a job that was rescued.
func again(t *testing.T, h *hands) *execution {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	select {
	case run := <-h.began:
		return run
	case <-ctx.Done():
		t.Fatal("after 30 seconds the job has not run again")
		return nil
	}
}

func TestJobThatItsWorkerNeverHeardOfRunsAgain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *platform) {
		h := newHands()
		w := p.startWith(t, h, func(cfg *worker.Config) { cfg.IdleClaim = 100 * time.Millisecond })
		busy := p.enqueue(t, hold{"never"}, nil)
		<-h.began
		// As a broken connection leaves a job: claimed, and the answer lost.
		id := p.enqueue(t, hold{"never"}, &river.InsertOpts{ScheduledAt: time.Now().Add(time.Hour)})
		p.claim(t, id, w.ID())
		run := again(t, h)
		if run.job.ID != id || run.job.Attempt != 2 {
			t.Errorf("job %d runs in attempt %d, want job %d in attempt 2", run.job.ID, run.job.Attempt, id)
		}
		run.outcome <- nil
		w.await(t, id, "SUCCESS")
		if job := p.job(t, busy); job.Attempt != 1 || job.State != rivertype.JobStateRunning {
			t.Errorf("the job that runs all the time is %s in attempt %d, want it left alone", job.State, job.Attempt)
		}
	})
}

// claim makes a job one that worker runs in its first attempt, by the database.
func (p *platform) claim(t *testing.T, id int64, worker string) {
	t.Helper()
	attemptedBy := "json_array(?0)"
	if p.db.IsPostgres() {
		attemptedBy = "ARRAY[?0]"
	}
	_, err := p.db.NewRaw("UPDATE river_job SET state = 'running', attempt = 1, attempted_at = created_at, attempted_by = "+attemptedBy+" WHERE id = ?1", worker, id).Exec(t.Context())
	if err != nil {
		t.Fatal(err)
	}
}

func TestHeartbeatFromTheFutureKeepsNoJob(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *platform) {
		id := p.enqueue(t, hold{"never"}, nil)
		p.claim(t, id, "gone")
		_, err := p.db.NewRaw("INSERT INTO workers (id, host, pid, version, queues, concurrency, started_at, heartbeat_at) VALUES ('gone', 'h', 1, 'v', '[]', 1, ?0, ?0)",
			time.Now().UTC().Add(time.Hour)).Exec(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		h := newHands()
		w := p.start(t, h)
		run := again(t, h)
		run.outcome <- nil
		w.await(t, id, "SUCCESS")
	})
}
