package dashboard

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/queue"
	"github.com/portico-web/portico/worker/fleet"
)

const (
	// maxBody bounds the body of a request.
	maxBody = 1 << 20
	// defaultLimit is how many tasks a list holds unless told otherwise.
	defaultLimit = 100
	// maxActive bounds how many running tasks a worker is shown with.
	maxActive = 200
)

// workerInfo is what Flower tells of one worker.
type workerInfo struct {
	Stats        map[string]any `json:"stats"`
	ActiveQueues []queueInfo    `json:"active_queues"`
	Registered   []string       `json:"registered"`
	Scheduled    []task         `json:"scheduled"`
	Active       []task         `json:"active"`
	Reserved     []task         `json:"reserved"`
	Revoked      []string       `json:"revoked"`
	Conf         map[string]any `json:"conf"`
	Timestamp    float64        `json:"timestamp"`
}

type queueInfo struct {
	Name       string `json:"name"`
	RoutingKey string `json:"routing_key"`
	Durable    bool   `json:"durable"`
}

// listWorkers answers GET /api/workers?workername&status; refresh is accepted, what is told is always fresh.
func (d *Dashboard) listWorkers(r *http.Request) (any, error) {
	query := r.URL.Query()
	workers, err := d.fleet.List(r.Context())
	if err != nil {
		return nil, err
	}
	if wanted := query.Get("workername"); wanted != "" {
		var found []fleet.Worker
		for _, worker := range workers {
			if worker.ID == wanted {
				found = append(found, worker)
			}
		}
		if found == nil {
			return nil, fault.New(fault.NotFound, fmt.Sprintf("Unknown worker %q.", wanted))
		}
		workers = found
	}
	if status := query.Get("status"); status != "" && status != "0" && status != "false" {
		alive := make(map[string]bool, len(workers))
		for _, worker := range workers {
			alive[worker.ID] = worker.Online
		}
		return alive, nil
	}
	active, err := d.activeByWorker(r)
	if err != nil {
		return nil, err
	}
	answer := make(map[string]workerInfo, len(workers))
	for _, worker := range workers {
		if worker.Online {
			answer[worker.ID] = d.describe(worker, active[worker.ID])
		}
	}
	return answer, nil
}

// activeByWorker are the running tasks, by worker; a bounded number in all.
func (d *Dashboard) activeByWorker(r *http.Request) (map[string][]task, error) {
	running, _, err := d.client.List(r.Context(), queue.Query{States: []rivertype.JobState{rivertype.JobStateRunning}, Limit: queue.MaxLimit})
	if err != nil {
		return nil, err
	}
	active := map[string][]task{}
	for _, job := range running {
		if name := workerOf(job); len(active[name]) < maxActive {
			active[name] = append(active[name], newTask(job))
		}
	}
	return active, nil
}

func (d *Dashboard) describe(worker fleet.Worker, active []task) workerInfo {
	queues := make([]queueInfo, 0, 1)
	for _, name := range worker.QueueNames() {
		queues = append(queues, queueInfo{Name: name, RoutingKey: name, Durable: true})
	}
	if active == nil {
		active = []task{}
	}
	return workerInfo{
		Stats: map[string]any{
			"total": map[string]int64{"processed": worker.Processed, "succeeded": worker.Succeeded, "failed": worker.Failed, "retried": worker.Retried},
			"pid":   worker.PID, "hostname": worker.Host, "sw_ident": "portico", "sw_ver": worker.Version,
			"pool":    map[string]any{"max-concurrency": worker.Concurrency, "processes": []int{worker.PID}, "implementation": "goroutines"},
			"running": worker.Running, "loadavg": []float64{worker.Load1, worker.Load5, worker.Load15},
			"uptime": int64(worker.HeartbeatAt.Sub(worker.StartedAt).Seconds()), "prefetch_count": worker.Concurrency,
		},
		ActiveQueues: queues, Registered: d.jobs.Kinds(), Scheduled: []task{}, Active: active, Reserved: []task{}, Revoked: []string{},
		Conf:      map[string]any{"worker_concurrency": worker.Concurrency, "task_default_queue": river.QueueDefault, "timezone": "UTC", "enable_utc": true},
		Timestamp: float64(worker.HeartbeatAt.UnixMicro()) / 1e6,
	}
}

// listTasks answers GET /api/tasks.
func (d *Dashboard) listTasks(r *http.Request) (any, error) {
	query, err := parseFilter(r.URL.Query())
	if err != nil {
		return nil, err
	}
	if query.Limit == 0 {
		query.Limit = defaultLimit
	}
	found, _, err := d.client.List(r.Context(), query)
	if err != nil {
		return nil, err
	}
	return inOrder(found), nil
}

// orderedTasks is a JSON object of tasks by number that keeps their order, as clients of Flower expect.
type orderedTasks []task

func inOrder(found []*rivertype.JobRow) orderedTasks {
	tasks := make(orderedTasks, len(found))
	for i, job := range found {
		tasks[i] = newTask(job)
	}
	return tasks
}

func (o orderedTasks) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, task := range o {
		raw, err := json.Marshal(task)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, '"'), task.UUID+`":`...), raw...)
	}
	return append(out, '}'), nil
}

func (d *Dashboard) taskTypes(*http.Request) (any, error) {
	return map[string][]string{"task-types": d.jobs.Kinds()}, nil
}

// job finds the job that a path names.
func (d *Dashboard) job(r *http.Request) (*rivertype.JobRow, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || id < 1 {
		return nil, fault.New(fault.NotFound, "Not found.")
	}
	return d.client.Job(r.Context(), id)
}

func (d *Dashboard) taskInfo(r *http.Request) (any, error) {
	job, err := d.job(r)
	if err != nil {
		return nil, err
	}
	return newTask(job), nil
}

// taskResult answers GET /api/task/result/ID. Our jobs have no results beyond their success.
func (d *Dashboard) taskResult(r *http.Request) (any, error) {
	job, err := d.job(r)
	if err != nil {
		return nil, err
	}
	t := newTask(job)
	return map[string]any{"task-id": t.UUID, "state": t.State, "result": nil, "traceback": t.Traceback}, nil
}

func (d *Dashboard) queueLengths(r *http.Request) (any, error) {
	workers, err := d.fleet.List(r.Context())
	if err != nil {
		return nil, err
	}
	names := []string{river.QueueDefault}
	seen := map[string]bool{river.QueueDefault: true}
	for _, worker := range workers {
		for _, name := range worker.QueueNames() {
			if !seen[name] && len(names) < 100 {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	waiting, err := d.client.Waiting(r.Context(), names)
	if err != nil {
		return nil, err
	}
	type length struct {
		Name     string `json:"name"`
		Messages int    `json:"messages"`
	}
	lengths := make([]length, len(names))
	for i, name := range names {
		lengths[i] = length{name, waiting[name]}
	}
	return map[string][]length{"active_queues": lengths}, nil
}

// order is the body of async-apply.
type order struct {
	Args      json.RawMessage `json:"args"`
	Kwargs    json.RawMessage `json:"kwargs"`
	Countdown *float64        `json:"countdown"` // seconds from now
	ETA       *string         `json:"eta"`
	Queue     *string         `json:"queue"`
}

// asyncApply answers POST /api/task/async-apply/NAME: kwargs are the job's arguments, positional args there are none.
func (d *Dashboard) asyncApply(r *http.Request) (any, error) {
	wanted, err := readOrder(r)
	if err != nil {
		return nil, err
	}
	if string(wanted.Kwargs) == "null" {
		wanted.Kwargs = nil
	}
	args, err := d.jobs.Args(r.PathValue("name"), wanted.Kwargs)
	if err != nil {
		return nil, err
	}
	opts, err := wanted.options(time.Now())
	if err != nil {
		return nil, err
	}
	result, err := d.client.Insert(r.Context(), args, opts)
	if err != nil {
		return nil, fmt.Errorf("enqueuing %s: %w", args.Kind(), err)
	}
	user, _, _ := r.BasicAuth()
	d.log.InfoContext(r.Context(), "job enqueued from the dashboard", "job", result.Job.ID, "kind", result.Job.Kind, "user", user)
	return map[string]any{"task-id": strconv.FormatInt(result.Job.ID, 10), "state": stateOf(result.Job.State)}, nil
}

// readOrder reads a JSON body whatever its Content-Type says: clients of Flower send it as a form.
func readOrder(r *http.Request) (order, error) {
	var wanted order
	raw, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return wanted, fault.New(fault.TooLarge, "The order is too large.")
	}
	if err != nil {
		return wanted, fault.Wrap(fault.Invalid, "The body could not be read.", err)
	}
	if len(raw) == 0 {
		return wanted, nil
	}
	if err := json.Unmarshal(raw, &wanted); err != nil {
		return wanted, fault.Wrap(fault.Invalid, "JSON parse error: send an object such as {\"kwargs\": {}}.", err)
	}
	var args []json.RawMessage
	if len(wanted.Args) > 0 && json.Unmarshal(wanted.Args, &args) != nil {
		return wanted, fault.Field("args", "args must be a list.")
	}
	if len(args) > 0 {
		return wanted, fault.Field("args", "Jobs have no positional arguments: use kwargs.")
	}
	return wanted, nil
}

// maxDelay bounds how far in the future a job may be scheduled.
const maxDelay = 366 * 24 * time.Hour

func (o order) options(now time.Time) (*river.InsertOpts, error) {
	opts := &river.InsertOpts{}
	if o.Queue != nil && *o.Queue != river.QueueDefault {
		return nil, fault.Field("queue", "There is no such queue.")
	}
	if o.Countdown != nil {
		if *o.Countdown < 0 || *o.Countdown > maxDelay.Seconds() {
			return nil, fault.Field("countdown", "Not a number of seconds up to a year.")
		}
		opts.ScheduledAt = now.Add(time.Duration(*o.Countdown * float64(time.Second)))
	}
	if o.ETA != nil {
		at, ok := parseTime(*o.ETA)
		if !ok || at.After(now.Add(maxDelay)) {
			return nil, fault.Field("eta", "Not a time within a year, such as 2026-01-31T15:04:05Z.")
		}
		opts.ScheduledAt = at
	}
	return opts, nil
}

// revokeTask answers POST /api/task/revoke/ID. A running task is told to stop too, with or without terminate.
func (d *Dashboard) revokeTask(r *http.Request) (any, error) {
	job, err := d.job(r)
	if err != nil {
		return nil, err
	}
	if err := d.cancel(r, job.ID); err != nil {
		return nil, err
	}
	return map[string]string{"message": fmt.Sprintf("Revoked '%d'", job.ID)}, nil
}

func (d *Dashboard) cancel(r *http.Request, id int64) error {
	if _, err := d.client.JobCancel(r.Context(), id); err != nil {
		return fmt.Errorf("cancelling job %d: %w", id, err)
	}
	user, _, _ := r.BasicAuth()
	d.log.InfoContext(r.Context(), "job cancelled from the dashboard", "job", id, "user", user)
	return nil
}
