// Package queue puts River, the job queue in the application's own database, behind one client for PostgreSQL and SQLite.
package queue

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivertype"

	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/logging"
	"github.com/portico-web/portico/internal/telemetry"
)

// riverClient is what River's clients of both drivers have in common.
type riverClient interface {
	ID() string
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	StopAndCancel(ctx context.Context) error
	Insert(ctx context.Context, args river.JobArgs, opts *river.InsertOpts) (*rivertype.JobInsertResult, error)
	InsertManyFast(ctx context.Context, params []river.InsertManyParams) (int, error)
	JobGet(ctx context.Context, id int64) (*rivertype.JobRow, error)
	JobList(ctx context.Context, params *river.JobListParams) (*river.JobListResult, error)
	JobRetry(ctx context.Context, id int64) (*rivertype.JobRow, error)
	JobCancel(ctx context.Context, id int64) (*rivertype.JobRow, error)
	Stopped() <-chan struct{}
	Subscribe(kinds ...river.EventKind) (<-chan *river.Event, func())
}

// Client enqueues jobs and, when its configuration names queues and workers, works them. Safe for concurrent use.
type Client struct {
	riverClient
	db       *database.DB
	exec     riverdriver.Executor
	insertTx func(ctx context.Context, tx database.Tx, args river.JobArgs, opts *river.InsertOpts) (*rivertype.JobInsertResult, error)
}

// maxAttempts of a job whose kind says nothing else; the waits between them add up to about six days.
const maxAttempts = 20

// New makes a client on db. A config without Queues and Workers only enqueues. Every job enqueued carries the trace and
// the request id of its context in its metadata. A client that works jobs can lose one to Rescue and then no longer
// changes it.
func New(db *database.DB, config *river.Config) (*Client, error) {
	settings := *config
	settings.MaxAttempts = cmp.Or(settings.MaxAttempts, maxAttempts)
	fence := &fence{postgres: db.IsPostgres()}
	settings.Middleware = append([]rivertype.Middleware{&originMiddleware{}, newOnceMiddleware()}, settings.Middleware...)
	if db.IsPostgres() {
		driver := &fencedPostgres{riverpgxv5.New(db.Pool), fence}
		client, err := river.NewClient(driver, &settings)
		if err != nil {
			return nil, fmt.Errorf("setting up the job queue: %w", err)
		}
		fence.client = client.ID()
		return &Client{client, db, driver.GetExecutor(), func(ctx context.Context, tx database.Tx, args river.JobArgs, opts *river.InsertOpts) (*rivertype.JobInsertResult, error) {
			return client.InsertTx(ctx, tx.Postgres(), args, opts)
		}}, nil
	}
	driver := &fencedSQLite{riversqlite.New(db.DB.DB), fence}
	client, err := river.NewClient(driver, &settings)
	if err != nil {
		return nil, fmt.Errorf("setting up the job queue: %w", err)
	}
	fence.client = client.ID()
	return &Client{client, db, driver.GetExecutor(), func(ctx context.Context, tx database.Tx, args river.JobArgs, opts *river.InsertOpts) (*rivertype.JobInsertResult, error) {
		return client.InsertTx(ctx, tx.Tx.Tx, args, opts)
	}}, nil
}

// InsertTx enqueues a job within tx: it exists if and only if tx commits. nil opts takes the kind's defaults.
func (c *Client) InsertTx(ctx context.Context, tx database.Tx, args river.JobArgs, opts *river.InsertOpts) (*rivertype.JobRow, error) {
	result, err := c.insertTx(ctx, tx, args, opts)
	if err != nil {
		return nil, fmt.Errorf("enqueuing %s: %w", args.Kind(), err)
	}
	return result.Job, nil
}

// JobCancel cancels a job: at once when it waits, by its context when it runs, on whichever worker.
func (c *Client) JobCancel(ctx context.Context, id int64) (*rivertype.JobRow, error) {
	job, err := c.riverClient.JobCancel(ctx, id)
	if err != nil || job.State != rivertype.JobStateRunning || c.db.IsPostgres() {
		return job, err
	}
	// On SQLite this version of River marks a running job and forgets to tell its worker.
	payload, err := json.Marshal(map[string]any{"action": "cancel", "job_id": job.ID, "queue": job.Queue})
	if err != nil {
		return nil, err
	}
	err = c.exec.NotifyMany(ctx, &riverdriver.NotifyManyParams{Topic: "river_control", Payload: []string{string(payload)}})
	if err != nil {
		return nil, fmt.Errorf("telling the worker of job %d to stop: %w", id, err)
	}
	return job, nil
}

// Origin is where a job came from, kept in its metadata.
type Origin struct {
	Traceparent string `json:"traceparent,omitempty"`
	RequestID   string `json:"request_id,omitempty"`
}

// originMiddleware writes the Origin when a job is enqueued and restores it in the context in which the job is worked.
type originMiddleware struct{ river.MiddlewareDefaults }

func (*originMiddleware) InsertMany(ctx context.Context, params []*rivertype.JobInsertParams, doInner func(context.Context) ([]*rivertype.JobInsertResult, error)) ([]*rivertype.JobInsertResult, error) {
	origin := Origin{Traceparent: telemetry.Traceparent(ctx), RequestID: logging.RequestID(ctx)}
	if origin != (Origin{}) {
		for _, job := range params {
			metadata := map[string]json.RawMessage{}
			if len(job.Metadata) > 0 {
				if err := json.Unmarshal(job.Metadata, &metadata); err != nil {
					return nil, fmt.Errorf("reading the metadata of a job: %w", err)
				}
			}
			raw, err := json.Marshal(origin)
			if err != nil {
				return nil, err
			}
			metadata["origin"] = raw
			if job.Metadata, err = json.Marshal(metadata); err != nil {
				return nil, err
			}
		}
	}
	return doInner(ctx)
}

func (*originMiddleware) Work(ctx context.Context, job *rivertype.JobRow, doInner func(context.Context) error) error {
	var metadata struct {
		Origin Origin `json:"origin"`
	}
	if json.Unmarshal(job.Metadata, &metadata) == nil {
		ctx = telemetry.WithTraceparent(ctx, metadata.Origin.Traceparent)
		if metadata.Origin.RequestID != "" {
			ctx = logging.WithRequestID(ctx, metadata.Origin.RequestID)
		}
	}
	return doInner(ctx)
}
