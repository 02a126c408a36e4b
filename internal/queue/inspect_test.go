package queue_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/queue"
)

func TestListFindsAndSortsJobs(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		c := client(t, db, nil)
		names := []string{"apple", "100% \"pear\"", "민지", "a_b", "axb"}
		for i, name := range names {
			opts := &river.InsertOpts{Priority: 4 - i%4}
			if i == 3 {
				opts.ScheduledAt = time.Now().Add(time.Hour)
			}
			enqueue(t, c, name, opts)
		}
		running := claimed(t, db, c, "running", 1)
		for name, test := range map[string]struct {
			query queue.Query
			want  []int64
			total int
		}{
			"newest first":         {queue.Query{}, []int64{6, 5, 4, 3, 2, 1}, 6},
			"oldest first":         {queue.Query{Ascending: true}, []int64{1, 2, 3, 4, 5, 6}, 6},
			"a page":               {queue.Query{Limit: 2, Offset: 3}, []int64{3, 2}, 6},
			"beyond the end":       {queue.Query{Offset: 10}, nil, 6},
			"by state":             {queue.Query{States: []rivertype.JobState{rivertype.JobStateScheduled, rivertype.JobStateRunning}}, []int64{6, 4}, 2},
			"by kind":              {queue.Query{Kind: "test.other"}, nil, 0},
			"by worker":            {queue.Query{Worker: "gone"}, []int64{running.ID}, 1},
			"search":               {queue.Query{Search: "APPLE"}, []int64{1}, 1},
			"search Korean":        {queue.Query{Search: "민지"}, []int64{3}, 1},
			"search quotes":        {queue.Query{Search: `"pear"`}, []int64{2}, 1},
			"search per cent":      {queue.Query{Search: "0%"}, []int64{2}, 1},
			"search an underscore": {queue.Query{Search: "a_b"}, []int64{4}, 1},
			"sorted by priority":   {queue.Query{Order: queue.ByPriority, Ascending: true}, []int64{4, 6, 3, 2, 1, 5}, 6},
			"sorted by worker":     {queue.Query{Order: queue.ByWorker, Limit: 1}, []int64{running.ID}, 6},
			"enqueued since":       {queue.Query{From: time.Now().Add(time.Minute)}, nil, 0},
			"enqueued until":       {queue.Query{To: time.Now().Add(time.Minute)}, []int64{6, 5, 4, 3, 2, 1}, 6},
		} {
			if test.query.Limit == 0 {
				test.query.Limit = 50
			}
			jobs, total, err := c.List(t.Context(), test.query)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			var got []int64
			for _, job := range jobs {
				got = append(got, job.ID)
			}
			if diff := cmp.Diff(test.want, got); diff != "" || total != test.total {
				t.Errorf("%s: %d in all, want %d; (-want +got)\n%s", name, total, test.total, diff)
			}
		}
		if _, _, err := c.List(t.Context(), queue.Query{Order: "id; DROP TABLE river_job"}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("an unknown order gave %v, want an invalid input", err)
		}
		for _, order := range []queue.Order{queue.ByID, queue.ByKind, queue.ByState, queue.ByAttempt, queue.ByQueue, queue.ByScheduled, queue.ByAttempted, queue.ByFinalized, queue.ByRuntime} {
			if _, total, err := c.List(t.Context(), queue.Query{Order: order, Limit: 3}); err != nil || total != 6 {
				t.Errorf("sorted by %s: %d jobs, %v", order, total, err)
			}
		}
	})
}

func TestCountsStopAtTheirCap(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		c := client(t, db, nil)
		claimed(t, db, c, "running", 1)
		numbers := "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
		if _, err := db.NewRaw(numbers+"INSERT INTO river_job (kind, args, max_attempts) SELECT 'test.task', '{}', 5 FROM n", queue.CountCap+50).Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		counts, err := c.Counts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if counts[rivertype.JobStateAvailable] != queue.CountCap || counts[rivertype.JobStateRunning] != 1 || counts[rivertype.JobStateCompleted] != 0 {
			t.Errorf("counts %v, want %d available, 1 running, 0 completed", counts, queue.CountCap)
		}
		waiting, err := c.Waiting(t.Context(), []string{"default", "other"})
		if err != nil || waiting["default"] != queue.CountCap || waiting["other"] != 0 {
			t.Errorf("waiting %v, %v", waiting, err)
		}
		if _, total, err := c.List(t.Context(), queue.Query{Limit: 1}); err != nil || total != queue.Window {
			t.Errorf("List counted %d, %v; want %d", total, err, queue.Window)
		}
	})
}

func TestMarksTellWhatMayHaveChanged(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		c := client(t, db, nil)
		running := claimed(t, db, c, "running", 1)
		ended := enqueue(t, c, "ended", nil)
		if _, err := c.JobCancel(t.Context(), ended); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			enqueue(t, c, fmt.Sprint("new ", i), nil)
		}
		marks := func(since time.Time) map[int64]rivertype.JobState {
			found, err := c.Marks(t.Context(), since, 3)
			if err != nil {
				t.Fatal(err)
			}
			states := map[int64]rivertype.JobState{}
			for _, mark := range found {
				states[mark.ID] = mark.State
			}
			return states
		}
		want := map[int64]rivertype.JobState{1: "running", 3: "available", 4: "available", 5: "available"}
		if diff := cmp.Diff(want, marks(time.Now().Add(time.Hour))); diff != "" {
			t.Errorf("since a future moment (-want +got)\n%s", diff)
		}
		want[ended] = rivertype.JobStateCancelled
		if diff := cmp.Diff(want, marks(time.Now().Add(-time.Hour))); diff != "" || running.ID != 1 {
			t.Errorf("since an hour ago (-want +got)\n%s", diff)
		}
	})
}

func TestJobThatDoesNotExist(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		if _, err := client(t, db, nil).Job(t.Context(), 77); fault.KindOf(err) != fault.NotFound {
			t.Errorf("got %v, want a fault of kind not found", err)
		}
	})
}
