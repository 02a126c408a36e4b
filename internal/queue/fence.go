package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivershared/baseservice"
	"github.com/riverqueue/river/rivershared/riverpilot"
	"github.com/riverqueue/river/rivertype"
)

// fence keeps a worker that was taken for dead, and was only frozen, from finishing a job that another one runs by now:
// River writes a job's outcome whoever runs it. The check and the write are one transaction.
type fence struct {
	riverpilot.StandardPilot
	client   string // set before the client starts
	postgres bool
}

// fencedPostgres and fencedSQLite hand River the fence by the interface that its drivers have for extensions.
type fencedPostgres struct {
	*riverpgxv5.Driver
	fence *fence
}

func (d *fencedPostgres) PluginInit(*baseservice.Archetype) {}
func (d *fencedPostgres) PluginPilot() riverpilot.Pilot     { return d.fence }

type fencedSQLite struct {
	*riversqlite.Driver
	fence *fence
}

func (d *fencedSQLite) PluginInit(*baseservice.Archetype) {}
func (d *fencedSQLite) PluginPilot() riverpilot.Pilot     { return d.fence }

const (
	// The rows are locked, so that no rescuer gets between the look and the write.
	lostOnPostgres = `WITH mine AS (
	SELECT id, state, attempted_by[array_upper(attempted_by, 1)] AS worker FROM river_job WHERE id = ANY($1::bigint[]) FOR UPDATE
) SELECT coalesce(json_agg(id), '[]')::text FROM mine WHERE state = 'running' AND worker <> $2`
	lostOnSQLite = `SELECT json_group_array(id) FROM river_job
WHERE id IN (SELECT value FROM json_each(?)) AND state = 'running' AND attempted_by ->> '$[#-1]' <> ?`
)

// JobSetStateIfRunningMany is River's, without the jobs that run elsewhere.
func (f *fence) JobSetStateIfRunningMany(ctx context.Context, exec riverdriver.Executor, params *riverdriver.JobSetStateIfRunningManyParams) ([]*rivertype.JobRow, error) {
	tx, err := exec.Begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("beginning to write the outcome of jobs: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // without effect after a commit
	lost, err := f.lost(ctx, tx, params.ID)
	if err != nil {
		return nil, fmt.Errorf("looking whether jobs are still this worker's: %w", err)
	}
	jobs, err := tx.JobSetStateIfRunningMany(ctx, without(params, lost))
	if err != nil {
		return nil, err
	}
	return jobs, tx.Commit(ctx)
}

func (f *fence) lost(ctx context.Context, exec riverdriver.Executor, ids []int64) (map[int64]bool, error) {
	return queryIDs(ctx, exec, f.postgres, lostOnPostgres, lostOnSQLite, ids, f.client)
}

// queryJSON runs the query of the dialect, whose first argument is a list of ids and whose answer is one JSON document.
func queryJSON(ctx context.Context, exec riverdriver.Executor, postgres bool, onPostgres, onSQLite string, ids []int64, more ...any) ([]byte, error) {
	query, first := onPostgres, any(ids)
	if !postgres {
		list, err := json.Marshal(ids)
		if err != nil {
			return nil, err
		}
		query, first = onSQLite, string(list)
	}
	var raw string
	err := exec.QueryRow(ctx, query, append([]any{first}, more...)...).Scan(&raw)
	return []byte(raw), err
}

// queryIDs is queryJSON for an answer that is a list of ids.
func queryIDs(ctx context.Context, exec riverdriver.Executor, postgres bool, onPostgres, onSQLite string, ids []int64, more ...any) (map[int64]bool, error) {
	raw, err := queryJSON(ctx, exec, postgres, onPostgres, onSQLite, ids, more...)
	if err != nil {
		return nil, err
	}
	var list []int64
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, err
	}
	found := make(map[int64]bool, len(list))
	for _, id := range list {
		found[id] = true
	}
	return found, nil
}

func without(all *riverdriver.JobSetStateIfRunningManyParams, lost map[int64]bool) *riverdriver.JobSetStateIfRunningManyParams {
	if len(lost) == 0 {
		return all
	}
	kept := &riverdriver.JobSetStateIfRunningManyParams{Now: all.Now, Schema: all.Schema}
	for i, id := range all.ID {
		if lost[id] {
			continue
		}
		kept.ID = append(kept.ID, id)
		kept.Attempt = append(kept.Attempt, all.Attempt[i])
		kept.ErrData = append(kept.ErrData, all.ErrData[i])
		kept.FinalizedAt = append(kept.FinalizedAt, all.FinalizedAt[i])
		kept.MetadataDoMerge = append(kept.MetadataDoMerge, all.MetadataDoMerge[i])
		kept.MetadataUpdates = append(kept.MetadataUpdates, all.MetadataUpdates[i])
		kept.ScheduledAt = append(kept.ScheduledAt, all.ScheduledAt[i])
		kept.State = append(kept.State, all.State[i])
	}
	return kept
}

// onceMiddleware covers what the fence cannot see: a job that this very client lost and then claimed again while its first
// execution still runs. The second one does not work, it waits for the first and shares its outcome.
type onceMiddleware struct {
	river.MiddlewareDefaults
	mu      sync.Mutex
	running map[int64]*execution
}

type execution struct {
	done chan struct{}
	err  error // readable once done is closed
}

var errPanicked = errors.New("the execution of this job that was under way in the same worker panicked")

func newOnceMiddleware() *onceMiddleware {
	return &onceMiddleware{running: map[int64]*execution{}}
}

func (m *onceMiddleware) Work(ctx context.Context, job *rivertype.JobRow, doInner func(context.Context) error) error {
	m.mu.Lock()
	if earlier, ok := m.running[job.ID]; ok {
		m.mu.Unlock()
		select {
		case <-earlier.done:
			return earlier.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	mine := &execution{done: make(chan struct{}), err: errPanicked}
	m.running[job.ID] = mine
	m.mu.Unlock()
	defer func() { // also after a panic, which goes on to River
		m.mu.Lock()
		delete(m.running, job.ID)
		m.mu.Unlock()
		close(mine.done)
	}()
	mine.err = doInner(ctx)
	return mine.err
}
