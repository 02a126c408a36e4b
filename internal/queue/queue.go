// Package queue puts River, the job queue in the application's own database, behind one client for PostgreSQL and SQLite.
package queue

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
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
	JobGet(ctx context.Context, id int64) (*rivertype.JobRow, error)
	JobList(ctx context.Context, params *river.JobListParams) (*river.JobListResult, error)
	JobRetry(ctx context.Context, id int64) (*rivertype.JobRow, error)
	JobCancel(ctx context.Context, id int64) (*rivertype.JobRow, error)
	Subscribe(kinds ...river.EventKind) (<-chan *river.Event, func())
}

// Client enqueues jobs and, when its configuration names queues and workers, works them. Safe for concurrent use.
type Client struct {
	riverClient
	insertTx func(ctx context.Context, tx database.Tx, args river.JobArgs, opts *river.InsertOpts) (*rivertype.JobInsertResult, error)
}

// New makes a client on db. A config without Queues and Workers only enqueues. Every job enqueued carries the trace and
// the request id of its context in its metadata.
func New(db *database.DB, config *river.Config) (*Client, error) {
	settings := *config
	settings.Middleware = append([]rivertype.Middleware{&originMiddleware{}}, settings.Middleware...)
	if db.IsPostgres() {
		client, err := river.NewClient(riverpgxv5.New(db.Pool), &settings)
		if err != nil {
			return nil, fmt.Errorf("setting up the job queue: %w", err)
		}
		return &Client{client, func(ctx context.Context, tx database.Tx, args river.JobArgs, opts *river.InsertOpts) (*rivertype.JobInsertResult, error) {
			return client.InsertTx(ctx, pgx.Tx(tx.Postgres()), args, opts)
		}}, nil
	}
	client, err := river.NewClient(riversqlite.New(db.DB.DB), &settings)
	if err != nil {
		return nil, fmt.Errorf("setting up the job queue: %w", err)
	}
	return &Client{client, func(ctx context.Context, tx database.Tx, args river.JobArgs, opts *river.InsertOpts) (*rivertype.JobInsertResult, error) {
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
