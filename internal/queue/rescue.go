package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivertype"
)

// Lost is an attempt of a job whose end nobody will tell any more, mostly because its worker is gone.
type Lost struct {
	ID      int64  `json:"id"`
	Attempt int    `json:"attempt"`
	Worker  string `json:"worker"`
}

// Rescued counts what Rescue did with the jobs it was given. Those that somebody else rescued, or that ended, are in none.
type Rescued struct{ Retried, Discarded, Cancelled int }

// maxRescueDelay bounds how long a job waits that takes its workers down with it again and again.
const maxRescueDelay = time.Hour

// lostJob is a Lost with what decides over its future.
type lostJob struct {
	Lost
	MaxAttempts     int  `json:"max_attempts"`
	CancelAttempted bool `json:"cancelled"`
	Rescues         int  `json:"rescues"`
}

const (
	lockOnPostgres = `WITH locked AS (
	SELECT id, attempt, max_attempts, metadata, attempted_by[array_upper(attempted_by, 1)] AS worker
	FROM river_job WHERE id = ANY($1::bigint[]) AND state = 'running' FOR UPDATE SKIP LOCKED
) SELECT coalesce(json_agg(json_build_object('id', id, 'attempt', attempt, 'max_attempts', max_attempts, 'worker', worker,
	'cancelled', metadata ? 'cancel_attempted_at',
	'rescues', CASE WHEN jsonb_typeof(metadata -> 'river:rescue_count') = 'number' THEN (metadata ->> 'river:rescue_count')::int ELSE 0 END
)), '[]')::text FROM locked`
	lockOnSQLite = `SELECT json_group_array(json_object('id', id, 'attempt', attempt, 'max_attempts', max_attempts,
	'worker', attempted_by ->> '$[#-1]',
	'cancelled', json(iif(json_extract(metadata, '$.cancel_attempted_at') IS NULL, 'false', 'true')),
	'rescues', iif(json_type(metadata, '$."river:rescue_count"') = 'integer', json_extract(metadata, '$."river:rescue_count"'), 0)
)) FROM river_job WHERE id IN (SELECT value FROM json_each(?)) AND state = 'running'`
)

// Rescue makes lost jobs available again, discards those without attempts left, and cancels those that somebody wanted
// cancelled. A job is touched only if it is still running in the very attempt that was lost, so any number of processes may
// rescue at once. The first rescue of a job is immediate; later ones wait longer and longer.
func (c *Client) Rescue(ctx context.Context, lost []Lost) (Rescued, error) {
	var rescued Rescued
	if len(lost) == 0 {
		return rescued, nil
	}
	tx, err := c.exec.Begin(ctx)
	if err != nil {
		return rescued, fmt.Errorf("beginning to rescue jobs: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // without effect after a commit
	jobs, err := c.lock(ctx, tx, lost)
	if err != nil {
		return rescued, fmt.Errorf("locking the jobs to rescue: %w", err)
	}
	expected := make(map[Lost]bool, len(lost))
	for _, job := range lost {
		expected[job] = true
	}
	now := time.Now().UTC()
	params := &riverdriver.JobRescueManyParams{}
	for _, job := range jobs {
		if !expected[job.Lost] {
			continue
		}
		state, delay := job.decide()
		failure, err := json.Marshal(rivertype.AttemptError{
			At: now, Attempt: job.Attempt, Error: fmt.Sprintf("worker %s never told the end of this attempt", job.Worker),
		})
		if err != nil {
			return rescued, err
		}
		var finalized *time.Time
		switch state {
		case rivertype.JobStateCancelled:
			rescued.Cancelled++
			finalized = &now
		case rivertype.JobStateDiscarded:
			rescued.Discarded++
			finalized = &now
		default:
			rescued.Retried++
		}
		params.ID = append(params.ID, job.ID)
		params.Error = append(params.Error, failure)
		params.FinalizedAt = append(params.FinalizedAt, finalized)
		params.ScheduledAt = append(params.ScheduledAt, now.Add(delay))
		params.State = append(params.State, string(state))
	}
	if len(params.ID) == 0 {
		return Rescued{}, nil
	}
	if _, err := tx.JobRescueMany(ctx, params); err != nil {
		return Rescued{}, fmt.Errorf("rescuing jobs: %w", err)
	}
	if err := tx.Commit(ctx); err != nil {
		return Rescued{}, fmt.Errorf("committing rescued jobs: %w", err)
	}
	return rescued, nil
}

func (c *Client) lock(ctx context.Context, tx riverdriver.Executor, lost []Lost) ([]lostJob, error) {
	ids := make([]int64, len(lost))
	for i, job := range lost {
		ids[i] = job.ID
	}
	raw, err := queryJSON(ctx, tx, c.db.IsPostgres(), lockOnPostgres, lockOnSQLite, ids)
	if err != nil {
		return nil, err
	}
	var jobs []lostJob
	return jobs, json.Unmarshal(raw, &jobs)
}

func (j lostJob) decide() (rivertype.JobState, time.Duration) {
	switch {
	case j.CancelAttempted:
		return rivertype.JobStateCancelled, 0
	case j.Attempt >= j.MaxAttempts:
		return rivertype.JobStateDiscarded, 0
	case j.Rescues == 0:
		return rivertype.JobStateAvailable, 0
	}
	rescues := time.Duration(min(j.Rescues, 10))
	return rivertype.JobStateRetryable, min(rescues*rescues*rescues*rescues*time.Second, maxRescueDelay)
}

const (
	keptOnPostgres = `SELECT coalesce(json_agg(id), '[]')::text FROM river_job
WHERE id = ANY($1::bigint[]) AND state = 'running' AND attempted_by[array_upper(attempted_by, 1)] = $2`
	keptOnSQLite = `SELECT json_group_array(id) FROM river_job
WHERE id IN (SELECT value FROM json_each(?)) AND state = 'running' AND attempted_by ->> '$[#-1]' = ?`
)

// Gone tells which of the jobs that this client is running it has lost: they were rescued, and perhaps run elsewhere.
func (c *Client) Gone(ctx context.Context, ids []int64) (map[int64]bool, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	kept, err := queryIDs(ctx, c.exec, c.db.IsPostgres(), keptOnPostgres, keptOnSQLite, ids, c.ID())
	if err != nil {
		return nil, fmt.Errorf("looking which jobs are still this worker's: %w", err)
	}
	gone := make(map[int64]bool)
	for _, id := range ids {
		if !kept[id] {
			gone[id] = true
		}
	}
	return gone, nil
}
