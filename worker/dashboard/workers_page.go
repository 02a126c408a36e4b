package dashboard

import (
	"net/http"
	"time"

	"github.com/riverqueue/river/rivertype"

	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/queue"
	"github.com/portico-web/portico/worker/fleet"
)

type workersBody struct {
	Workers []fleet.Worker
	Online  int
	Sum     fleet.Worker // of those online
	Waiting int
	Failed  int
	Capped  bool
}

// workersPage shows who works, and how much.
func (d *Dashboard) workersPage(w http.ResponseWriter, r *http.Request) error {
	workers, err := d.fleet.List(r.Context())
	if err != nil {
		return err
	}
	counts, err := d.client.Counts(r.Context())
	if err != nil {
		return err
	}
	body := workersBody{Workers: workers, Waiting: counts[rivertype.JobStateAvailable], Failed: counts[rivertype.JobStateDiscarded]}
	for _, worker := range workers {
		if !worker.Online {
			continue
		}
		body.Online++
		body.Sum.Running += worker.Running
		body.Sum.Processed += worker.Processed
		body.Sum.Succeeded += worker.Succeeded
		body.Sum.Failed += worker.Failed
		body.Sum.Retried += worker.Retried
		body.Sum.Concurrency += worker.Concurrency
	}
	return d.render(w, r, http.StatusOK, "workers", page{Title: "Workers", Section: "workers", Watch: "workers", Body: body})
}

type workerBody struct {
	Worker fleet.Worker
	Uptime time.Duration
	Active []row
	Kinds  []string
}

// workerPage shows one worker and what it runs.
func (d *Dashboard) workerPage(w http.ResponseWriter, r *http.Request) error {
	worker, found, err := d.fleet.Get(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	if !found {
		return fault.New(fault.NotFound, "There is no such worker. Workers that ended are forgotten after an hour.")
	}
	running, _, err := d.client.List(r.Context(), queue.Query{
		States: []rivertype.JobState{rivertype.JobStateRunning}, Worker: worker.ID, Limit: maxActive,
	})
	if err != nil {
		return err
	}
	end := worker.HeartbeatAt
	if !worker.StoppedAt.IsZero() {
		end = worker.StoppedAt.Time
	}
	body := workerBody{Worker: worker, Uptime: end.Sub(worker.StartedAt).Round(time.Second), Active: rows(running), Kinds: d.jobs.Kinds()}
	return d.render(w, r, http.StatusOK, "worker", page{Title: worker.ID, Section: "workers", Watch: "workers", Body: body})
}
