// Package fleet keeps the table of running workers: each one's heartbeat, and by its absence the jobs that were lost with a
// worker. Ages are told by the database's clock, so that the clocks of hosts may differ.
package fleet

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/schema"

	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/queue"
)

const (
	// StaleAfter is the silence after which a worker counts as dead.
	StaleAfter = 5 * time.Second
	// keepAfterEnd is how long the rows of stopped and dead workers are kept for people to see.
	keepAfterEnd = time.Hour
	// maxLost bounds how many jobs one look finds; the next look finds the rest.
	maxLost = 500
)

// Worker is a row of the table workers. Processed counts finished executions: succeeded ones, those that will be tried
// again, those that failed for good, and cancelled ones.
type Worker struct {
	bun.BaseModel `bun:"table:workers"`

	ID          string       `bun:"id,pk"` // the job queue's client id
	Host        string       `bun:"host"`
	PID         int          `bun:"pid"`
	Version     string       `bun:"version"`
	Queues      string       `bun:"queues"` // JSON list
	Concurrency int          `bun:"concurrency"`
	Running     int64        `bun:"running"`
	Processed   int64        `bun:"processed"`
	Succeeded   int64        `bun:"succeeded"`
	Failed      int64        `bun:"failed"`
	Retried     int64        `bun:"retried"`
	Load1       float64      `bun:"load1"`
	Load5       float64      `bun:"load5"`
	Load15      float64      `bun:"load15"`
	StartedAt   time.Time    `bun:"started_at"`
	HeartbeatAt time.Time    `bun:"heartbeat_at"`
	StoppedAt   bun.NullTime `bun:"stopped_at"`

	// Online is worked out when a row is read: not stopped, and heard of within StaleAfter.
	Online bool `bun:"online,scanonly"`
}

// QueueNames are the queues that the worker takes jobs from.
func (w Worker) QueueNames() []string {
	var names []string
	_ = json.Unmarshal([]byte(w.Queues), &names) // our own writing; an empty list is the worst that can come of it
	return names
}

// Fleet reads and writes the table. Safe for concurrent use.
type Fleet struct {
	db  *bun.DB
	own *sql.DB // a connection apart on PostgreSQL, so that busy jobs cannot silence the heartbeat; nil on SQLite
}

// Open prepares the table's use; Close ends it. db stays the caller's.
func Open(db *database.DB) *Fleet {
	if !db.IsPostgres() {
		return &Fleet{db: db.DB}
	}
	own := stdlib.OpenDB(*db.Pool.Config().ConnConfig.Copy())
	own.SetMaxOpenConns(2)
	own.SetMaxIdleConns(1)
	return &Fleet{db: bun.NewDB(own, pgdialect.New()), own: own}
}

// Close ends the fleet's own connection.
func (f *Fleet) Close() error {
	if f.own == nil {
		return nil
	}
	return f.own.Close()
}

// ago is a while before now, as SQL, by the clock that all workers share: the server's, or on SQLite,
// where all of them run on one machine, the machine's.
func (f *Fleet) ago(age time.Duration) schema.QueryWithArgs {
	if f.own != nil {
		return bun.SafeQuery("clock_timestamp() - ? * interval '1 microsecond'", age.Microseconds())
	}
	return bun.SafeQuery("?", time.Now().UTC().Add(-age))
}

// Beat writes w's row with a heartbeat of now, making it if it is not there, and returns that moment by the clock by which the
// others tell its age.
func (f *Fleet) Beat(ctx context.Context, w Worker) (time.Time, error) {
	var at time.Time
	err := f.db.NewRaw(`INSERT INTO workers (id, host, pid, version, queues, concurrency, running, processed, succeeded, failed, retried,
	load1, load5, load15, started_at, heartbeat_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET running = excluded.running, processed = excluded.processed, succeeded = excluded.succeeded,
	failed = excluded.failed, retried = excluded.retried, load1 = excluded.load1, load5 = excluded.load5, load15 = excluded.load15,
	heartbeat_at = excluded.heartbeat_at
RETURNING heartbeat_at`,
		w.ID, w.Host, w.PID, w.Version, w.Queues, w.Concurrency, w.Running, w.Processed, w.Succeeded, w.Failed, w.Retried,
		w.Load1, w.Load5, w.Load15, w.StartedAt.UTC(), f.ago(0)).Scan(ctx, &at)
	if err != nil {
		return at, fmt.Errorf("writing the heartbeat: %w", err)
	}
	return at, nil
}

// Stopped notes that a worker ended in an orderly way: what it still has in hand may be taken at once.
func (f *Fleet) Stopped(ctx context.Context, w Worker) error {
	if _, err := f.Beat(ctx, w); err != nil {
		return err
	}
	if _, err := f.db.NewRaw("UPDATE workers SET stopped_at = ? WHERE id = ?", f.ago(0), w.ID).Exec(ctx); err != nil {
		return fmt.Errorf("noting the worker's end: %w", err)
	}
	return nil
}

// Prune forgets workers that ended long ago.
func (f *Fleet) Prune(ctx context.Context) error {
	if _, err := f.db.NewRaw("DELETE FROM workers WHERE heartbeat_at < ?", f.ago(keepAfterEnd)).Exec(ctx); err != nil {
		return fmt.Errorf("forgetting workers that ended: %w", err)
	}
	return nil
}

// A heartbeat from the future is of a worker that ended before the clock was set back.
const columns = "*, (stopped_at IS NULL AND heartbeat_at BETWEEN ? AND ?) AS online"

// List returns all workers known, those online first, at most 1,000.
func (f *Fleet) List(ctx context.Context) ([]Worker, error) {
	var workers []Worker
	err := f.db.NewRaw("SELECT "+columns+" FROM workers ORDER BY online DESC, id LIMIT 1000", f.ago(StaleAfter), f.ago(-StaleAfter)).Scan(ctx, &workers)
	if err != nil {
		return nil, fmt.Errorf("listing the workers: %w", err)
	}
	return workers, nil
}

// Get returns the worker with this id and whether there is one.
func (f *Fleet) Get(ctx context.Context, id string) (Worker, bool, error) {
	var w Worker
	err := f.db.NewRaw("SELECT "+columns+" FROM workers WHERE id = ?", f.ago(StaleAfter), f.ago(-StaleAfter), id).Scan(ctx, &w)
	if errors.Is(err, sql.ErrNoRows) {
		return w, false, nil
	}
	if err != nil {
		return w, false, fmt.Errorf("reading worker %s: %w", id, err)
	}
	return w, true, nil
}

const lost = `SELECT j.id, j.attempt, j.worker FROM (
	SELECT id, attempt, attempted_at, %s AS worker FROM river_job WHERE state = 'running'
) AS j LEFT JOIN workers AS w ON w.id = j.worker
WHERE w.stopped_at IS NOT NULL OR w.heartbeat_at NOT BETWEEN ? AND ? OR (w.id IS NULL AND j.attempted_at < ?)
ORDER BY j.id LIMIT ?`

// Lost finds the jobs that are running according to the queue, while their worker has stopped, fell silent, or never was.
func (f *Fleet) Lost(ctx context.Context) ([]queue.Lost, error) {
	claimed := bun.SafeQuery("strftime('%Y-%m-%d %H:%M:%f', 'now', ?)", fmt.Sprintf("-%.3f seconds", StaleAfter.Seconds()))
	if f.own != nil {
		claimed = f.ago(StaleAfter)
	}
	return f.jobs(ctx, fmt.Sprintf(lost, f.lastWorker()), f.ago(StaleAfter), f.ago(-StaleAfter), claimed, maxLost)
}

// Held finds the jobs that are running in the hands of worker id, according to the queue.
func (f *Fleet) Held(ctx context.Context, id string) ([]queue.Lost, error) {
	return f.jobs(ctx, "SELECT id, attempt, ? AS worker FROM river_job WHERE state = 'running' AND "+f.lastWorker()+" = ?", id, id)
}

// lastWorker is the worker of a job's last attempt, as SQL.
func (f *Fleet) lastWorker() string {
	if f.own != nil {
		return "attempted_by[array_upper(attempted_by, 1)]"
	}
	return "attempted_by ->> '$[#-1]'"
}

func (f *Fleet) jobs(ctx context.Context, query string, args ...any) ([]queue.Lost, error) {
	var rows []struct {
		ID      int64  `bun:"id"`
		Attempt int    `bun:"attempt"`
		Worker  string `bun:"worker"`
	}
	if err := f.db.NewRaw(query, args...).Scan(ctx, &rows); err != nil {
		return nil, fmt.Errorf("looking for lost jobs: %w", err)
	}
	found := make([]queue.Lost, len(rows))
	for i, row := range rows {
		found[i] = queue.Lost(row)
	}
	return found, nil
}
