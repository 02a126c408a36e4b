package dashboard

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/riverqueue/river/rivertype"

	"github.com/portico-web/portico/internal/queue"
)

type taskBody struct {
	Row       row
	JobState  rivertype.JobState
	Args      string
	Metadata  string
	Queue     string
	Priority  int
	Tags      []string
	Errors    []rivertype.AttemptError // newest first
	Workers   []string
	Scheduled time.Time
	Waited    time.Duration // from when it was due to its last attempt
	Origin    queue.Origin
	CanRetry  bool
	CanCancel bool
}

// WaitedFor is how long the task waited for its last attempt, as people read it.
func (b taskBody) WaitedFor() string { return took(b.Waited) }

// taskPage shows everything that is known of one task.
func (d *Dashboard) taskPage(w http.ResponseWriter, r *http.Request) error {
	job, err := d.job(r)
	if err != nil {
		return err
	}
	body := taskBody{
		Row: rows([]*rivertype.JobRow{job})[0], JobState: job.State, Args: pretty(job.EncodedArgs), Queue: job.Queue, Priority: job.Priority, Tags: job.Tags,
		Errors: slices.Clone(job.Errors), Workers: job.AttemptedBy, Scheduled: job.ScheduledAt,
		CanRetry: !d.readOnly && canRetry(job.State), CanCancel: !d.readOnly && job.FinalizedAt == nil,
	}
	slices.Reverse(body.Errors)
	var metadata struct {
		Origin queue.Origin `json:"origin"`
	}
	if json.Unmarshal(job.Metadata, &metadata) == nil {
		body.Origin = metadata.Origin
	}
	if job.AttemptedAt != nil {
		body.Waited = max(job.AttemptedAt.Sub(job.ScheduledAt), 0)
	}
	if metadata := pretty(job.Metadata); metadata != "{}" {
		body.Metadata = metadata
	}
	return d.render(w, r, http.StatusOK, "task", page{
		Title: job.Kind + " " + strconv.FormatInt(job.ID, 10), Section: "tasks", Watch: "task:" + strconv.FormatInt(job.ID, 10), Body: body,
	})
}

// canRetry tells whether a task in this state can be made available at once: not if it runs or is available already.
func canRetry(state rivertype.JobState) bool {
	return state != rivertype.JobStateRunning && state != rivertype.JobStateAvailable
}

// retryTask makes a task available at once and goes back to its page.
func (d *Dashboard) retryTask(w http.ResponseWriter, r *http.Request) error {
	job, err := d.job(r)
	if err != nil {
		return err
	}
	if _, err := d.client.JobRetry(r.Context(), job.ID); err != nil {
		return fmt.Errorf("retrying job %d: %w", job.ID, err)
	}
	user, _, _ := r.BasicAuth()
	d.log.InfoContext(r.Context(), "job retried from the dashboard", "job", job.ID, "user", user)
	return d.backToTask(w, r, job)
}

// cancelTask cancels a task and goes back to its page.
func (d *Dashboard) cancelTask(w http.ResponseWriter, r *http.Request) error {
	job, err := d.job(r)
	if err != nil {
		return err
	}
	if err := d.cancel(r, job.ID); err != nil {
		return err
	}
	return d.backToTask(w, r, job)
}

func (d *Dashboard) backToTask(w http.ResponseWriter, r *http.Request, job *rivertype.JobRow) error {
	http.Redirect(w, r, Prefix+"/task/"+strconv.FormatInt(job.ID, 10), http.StatusSeeOther)
	return nil
}
