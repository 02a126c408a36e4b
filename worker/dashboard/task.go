package dashboard

import (
	"strconv"
	"strings"
	"time"

	"github.com/riverqueue/river/rivertype"
)

// State is a task's state in Flower's words.
type State string

const (
	Pending State = "PENDING"
	Started State = "STARTED"
	Retry   State = "RETRY"
	Success State = "SUCCESS"
	Failure State = "FAILURE"
	Revoked State = "REVOKED"
)

// states are all of them, in the order of a task's life.
func states() []State { return []State{Pending, Started, Retry, Success, Failure, Revoked} }

// stateOf translates the queue's state.
func stateOf(state rivertype.JobState) State {
	switch state {
	case rivertype.JobStateRunning:
		return Started
	case rivertype.JobStateRetryable:
		return Retry
	case rivertype.JobStateCompleted:
		return Success
	case rivertype.JobStateDiscarded:
		return Failure
	case rivertype.JobStateCancelled:
		return Revoked
	}
	return Pending // available, scheduled, pending
}

// jobStates are the queue's states that make up s; none when there is no such state.
func (s State) jobStates() []rivertype.JobState {
	var found []rivertype.JobState
	for _, state := range rivertype.JobStates() {
		if stateOf(state) == s {
			found = append(found, state)
		}
	}
	return found
}

// parseState reads a state in Flower's words or the queue's.
func parseState(text string) ([]rivertype.JobState, bool) {
	upper := strings.ToUpper(text)
	if upper == "RECEIVED" {
		upper = string(Pending) // a task is claimed and started at once: nothing stays received
	}
	if found := State(upper).jobStates(); len(found) > 0 {
		return found, true
	}
	for _, state := range rivertype.JobStates() {
		if string(state) == strings.ToLower(text) {
			return []rivertype.JobState{state}, true
		}
	}
	return nil, false
}

// workerOf is the worker of a job's last attempt, or "".
func workerOf(job *rivertype.JobRow) string {
	if len(job.AttemptedBy) == 0 {
		return ""
	}
	return job.AttemptedBy[len(job.AttemptedBy)-1]
}

// runtimeOf is how long the last attempt took, or has been taking; false before the first one.
func runtimeOf(job *rivertype.JobRow, now time.Time) (time.Duration, bool) {
	switch {
	case job.AttemptedAt == nil:
		return 0, false
	case job.FinalizedAt != nil:
		return max(job.FinalizedAt.Sub(*job.AttemptedAt), 0), true
	case job.State == rivertype.JobStateRunning:
		return max(now.Sub(*job.AttemptedAt), 0), true
	}
	return 0, false
}

// task is a job in the shape of Flower's HTTP API: times are seconds since 1970, args and kwargs texts.
type task struct {
	UUID       string   `json:"uuid"`
	Name       string   `json:"name"`
	State      State    `json:"state"`
	Received   *float64 `json:"received"`
	Sent       *float64 `json:"sent"`
	Started    *float64 `json:"started"`
	Rejected   *float64 `json:"rejected"`
	Succeeded  *float64 `json:"succeeded"`
	Failed     *float64 `json:"failed"`
	Retried    *float64 `json:"retried"`
	Revoked    *float64 `json:"revoked"`
	Args       string   `json:"args"`
	Kwargs     string   `json:"kwargs"`
	ETA        *string  `json:"eta"`
	Expires    *string  `json:"expires"`
	Retries    int      `json:"retries"`
	Worker     *string  `json:"worker"`
	Result     *string  `json:"result"`
	Exception  *string  `json:"exception"`
	Timestamp  *float64 `json:"timestamp"`
	Runtime    *float64 `json:"runtime"`
	Traceback  *string  `json:"traceback"`
	Exchange   *string  `json:"exchange"`
	RoutingKey string   `json:"routing_key"`
	Clock      int64    `json:"clock"`
	Client     *string  `json:"client"`
	Root       *string  `json:"root"`
	RootID     string   `json:"root_id"`
	Parent     *string  `json:"parent"`
	ParentID   *string  `json:"parent_id"`
	Children   []string `json:"children"`

	// What Flower does not have.
	JobState    rivertype.JobState `json:"job_state"`
	Attempt     int                `json:"attempt"`
	MaxAttempts int                `json:"max_attempts"`
	Priority    int                `json:"priority"`
}

func newTask(job *rivertype.JobRow) task {
	t := task{
		UUID: strconv.FormatInt(job.ID, 10), Name: job.Kind, State: stateOf(job.State), Args: "[]", Kwargs: string(redact(job.EncodedArgs)),
		Received: seconds(&job.CreatedAt), Sent: seconds(&job.CreatedAt), Started: seconds(job.AttemptedAt), Retries: max(job.Attempt-1, 0),
		RoutingKey: job.Queue, RootID: strconv.FormatInt(job.ID, 10), Children: []string{},
		JobState: job.State, Attempt: job.Attempt, MaxAttempts: job.MaxAttempts, Priority: job.Priority,
	}
	changed := &job.CreatedAt
	if job.AttemptedAt != nil {
		changed = job.AttemptedAt
	}
	if job.FinalizedAt != nil {
		changed = job.FinalizedAt
	}
	t.Timestamp = seconds(changed)
	switch job.State {
	case rivertype.JobStateCompleted:
		t.Succeeded = seconds(job.FinalizedAt)
		result := "null"
		t.Result = &result
	case rivertype.JobStateDiscarded:
		t.Failed = seconds(job.FinalizedAt)
	case rivertype.JobStateCancelled:
		t.Revoked = seconds(job.FinalizedAt)
	case rivertype.JobStateScheduled, rivertype.JobStateRetryable:
		eta := job.ScheduledAt.UTC().Format(time.RFC3339Nano)
		t.ETA = &eta
	}
	if job.FinalizedAt != nil {
		if runtime, ok := runtimeOf(job, time.Now()); ok {
			took := runtime.Seconds()
			t.Runtime = &took
		}
	}
	if worker := workerOf(job); worker != "" {
		t.Worker = &worker
	}
	if last := len(job.Errors) - 1; last >= 0 && job.State != rivertype.JobStateCompleted {
		failure := job.Errors[last]
		t.Exception = &failure.Error
		if failure.Trace != "" {
			t.Traceback = &failure.Trace
		}
		if job.State == rivertype.JobStateRetryable {
			t.Retried = seconds(&failure.At)
		}
	}
	return t
}

func seconds(at *time.Time) *float64 {
	if at == nil || at.IsZero() {
		return nil
	}
	value := float64(at.UnixMicro()) / 1e6
	return &value
}
