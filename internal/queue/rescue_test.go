package queue_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/queue"
)

func TestFrozenWorkerCannotEndAJobThatAnotherOneTookOver(t *testing.T) {
	t.Parallel()
	for name, outcome := range map[string]error{"by failing": errRefused, "by succeeding": nil, "by cancelling": river.JobCancel(errRefused)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, db *database.DB) {
				frozenHands, otherHands := newHands(), newHands()
				frozen, other := client(t, db, frozenHands), client(t, db, otherHands)
				id := enqueue(t, frozen, "job", nil)
				start(t, frozen)
				first := <-frozenHands.began

				rescued, err := other.Rescue(t.Context(), []queue.Lost{{ID: id, Attempt: 1, Worker: frozen.ID()}})
				if err != nil || rescued.Retried != 1 {
					t.Fatalf("rescued %+v, %v; want one retried", rescued, err)
				}
				start(t, other)
				second := <-otherHands.began // the frozen client has its one hand full
				if gone, err := frozen.Gone(t.Context(), []int64{id}); err != nil || !gone[id] {
					t.Errorf("Gone told %v, %v; the job is the other's", gone, err)
				}

				first.outcome <- outcome
				if err := frozen.Stop(context.WithoutCancel(t.Context())); err != nil { // waits until outcomes are written
					t.Fatal(err)
				}
				if job := get(t, other, id); job.State != rivertype.JobStateRunning || job.Attempt != 2 || len(job.Errors) != 1 {
					t.Fatalf("the job is %s in attempt %d with %d errors; want it running in attempt 2 with the rescue's error only", job.State, job.Attempt, len(job.Errors))
				}
				second.outcome <- nil
				if err := other.Stop(context.WithoutCancel(t.Context())); err != nil {
					t.Fatal(err)
				}
				if job := get(t, other, id); job.State != rivertype.JobStateCompleted {
					t.Errorf("the job is %s, want completed by its owner", job.State)
				}
			})
		})
	}
}

func TestClientThatClaimsItsOwnLostJobNeverRunsItTwiceAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		h := newHands()
		c := clientOf(t, db, h, 2)
		id := enqueue(t, c, "job", nil)
		start(t, c)
		first := <-h.began
		if _, err := c.Rescue(t.Context(), []queue.Lost{{ID: id, Attempt: 1, Worker: c.ID()}}); err != nil {
			t.Fatal(err)
		}
		done, stop := c.Subscribe(river.EventKindJobCompleted)
		defer stop()
		for get(t, c, id).Attempt != 2 { // until it was claimed again
			select {
			case <-h.began:
				t.Fatal("the job runs twice at once")
			default:
			}
		}
		first.outcome <- nil
		for ended := false; !ended; {
			select {
			case second := <-h.began: // claimed before the first ended, and begun after it
				second.outcome <- nil
			case <-done:
				ended = true
			}
		}
		if job := get(t, c, id); job.State != rivertype.JobStateCompleted {
			t.Errorf("the job is %s, want completed", job.State)
		}
	})
}

// claimed is a job that a worker that has gone was running.
func claimed(t *testing.T, db *database.DB, c *queue.Client, state string, attempt int) queue.Lost {
	t.Helper()
	id := enqueue(t, c, "job", &river.InsertOpts{MaxAttempts: 2})
	by := "ARRAY['gone']"
	if !db.IsPostgres() {
		by = "jsonb('[\"gone\"]')"
	}
	_, err := db.NewRaw("UPDATE river_job SET state = ?, attempt = ?, attempted_at = created_at, attempted_by = "+by+" WHERE id = ?", state, attempt, id).Exec(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return queue.Lost{ID: id, Attempt: attempt, Worker: "gone"}
}

func TestRescue(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		c := client(t, db, nil)
		fresh := claimed(t, db, c, "running", 1)
		exhausted := claimed(t, db, c, "running", 2)
		unwanted := claimed(t, db, c, "running", 1)
		if _, err := c.JobCancel(t.Context(), unwanted.ID); err != nil {
			t.Fatal(err)
		}
		newer := claimed(t, db, c, "running", 2)
		stale := queue.Lost{ID: newer.ID, Attempt: 1, Worker: "gone"}
		elsewhere := claimed(t, db, c, "running", 1)
		elsewhere.Worker = "somebody else"
		waiting := claimed(t, db, c, "available", 1)

		rescued, err := c.Rescue(t.Context(), []queue.Lost{fresh, exhausted, unwanted, stale, elsewhere, waiting, {ID: 1 << 40, Attempt: 1, Worker: "gone"}})
		if want := (queue.Rescued{Retried: 1, Discarded: 1, Cancelled: 1}); err != nil || rescued != want {
			t.Errorf("rescued %+v, %v; want %+v", rescued, err, want)
		}
		for id, want := range map[int64]rivertype.JobState{
			fresh.ID: rivertype.JobStateAvailable, exhausted.ID: rivertype.JobStateDiscarded, unwanted.ID: rivertype.JobStateCancelled,
			newer.ID: rivertype.JobStateRunning, elsewhere.ID: rivertype.JobStateRunning, waiting.ID: rivertype.JobStateAvailable,
		} {
			if job := get(t, c, id); job.State != want {
				t.Errorf("job %d is %s, want %s", id, job.State, want)
			}
		}
		job := get(t, c, fresh.ID)
		if len(job.Errors) != 1 || job.Errors[0].Attempt != 1 || !strings.Contains(job.Errors[0].Error, "worker gone never told") {
			t.Errorf("errors %+v, want one that names the lost worker", job.Errors)
		}
		if job := get(t, c, exhausted.ID); job.FinalizedAt == nil {
			t.Error("a discarded job has no time of its end")
		}
	})
}

func TestSecondRescueOfAJobWaits(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		c := client(t, db, nil)
		lost := claimed(t, db, c, "running", 1)
		if _, err := c.Rescue(t.Context(), []queue.Lost{lost}); err != nil {
			t.Fatal(err)
		}
		if _, err := db.NewRaw("UPDATE river_job SET state = 'running' WHERE id = ?", lost.ID).Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Rescue(t.Context(), []queue.Lost{lost}); err != nil {
			t.Fatal(err)
		}
		job := get(t, c, lost.ID)
		if job.State != rivertype.JobStateRetryable || !job.ScheduledAt.After(job.Errors[1].At) {
			t.Errorf("after its second rescue the job is %s, due %s; want retryable and due later than %s", job.State, job.ScheduledAt, job.Errors[1].At)
		}
	})
}

func TestManyRescuersRescueEachJobOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		const jobs, rescuers = 20, 4
		c := client(t, db, nil)
		lost := make([]queue.Lost, jobs)
		for i := range lost {
			lost[i] = claimed(t, db, c, "running", 1)
		}
		var group sync.WaitGroup
		counts := make([]queue.Rescued, rescuers)
		for i := range rescuers {
			other := client(t, db, nil)
			group.Go(func() {
				var err error
				if counts[i], err = other.Rescue(t.Context(), lost); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		sum := 0
		for _, count := range counts {
			sum += count.Retried
		}
		if sum != jobs {
			t.Errorf("%d jobs were rescued %d times", jobs, sum)
		}
		for _, job := range lost {
			if row := get(t, c, job.ID); row.State != rivertype.JobStateAvailable || len(row.Errors) != 1 {
				t.Errorf("job %d is %s with %d errors, want available with one", row.ID, row.State, len(row.Errors))
			}
		}
	})
}

func TestCancellingARunningJobStopsIt(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		h := newHands()
		worker, operator := client(t, db, h), client(t, db, nil)
		id := enqueue(t, operator, "job", nil)
		cancelled, stop := worker.Subscribe(river.EventKindJobCancelled)
		defer stop()
		start(t, worker)
		run := <-h.began
		if _, err := operator.JobCancel(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		<-run.ctx.Done()
		<-cancelled
		if job := get(t, operator, id); job.State != rivertype.JobStateCancelled {
			t.Errorf("the job is %s, want cancelled", job.State)
		}
	})
}
