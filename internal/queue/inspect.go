package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivertype"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/portico-web/portico/internal/fault"
)

const (
	// CountCap is where counting stops, so that its cost does not grow with the table: it means "that many or more".
	CountCap = 10_000
	// Window is how many of the newest jobs that match a query's other conditions are searched and sorted.
	Window = 10_000
	// MaxLimit bounds a page.
	MaxLimit = 1000
	// ListTimeout bounds how long the database looks for the jobs of one list.
	ListTimeout = 5 * time.Second
)

// Counts is how many jobs are in each state, each at most CountCap.
type Counts map[rivertype.JobState]int

// Counts counts the jobs of all states; its cost is bounded.
func (c *Client) Counts(ctx context.Context) (Counts, error) {
	states := rivertype.JobStates()
	parts := make([]string, len(states))
	for i, state := range states {
		parts[i] = fmt.Sprintf("(SELECT count(*) FROM (SELECT 1 FROM river_job WHERE state = '%s' LIMIT %d) AS s%d)", state, CountCap, i)
	}
	counted := make([]int, len(states))
	targets := make([]any, len(states))
	for i := range counted {
		targets[i] = &counted[i]
	}
	if err := c.db.QueryRowContext(ctx, "SELECT "+strings.Join(parts, ", ")).Scan(targets...); err != nil {
		return nil, fmt.Errorf("counting jobs: %w", err)
	}
	counts := make(Counts, len(states))
	for i, state := range states {
		counts[state] = counted[i]
	}
	return counts, nil
}

// Waiting counts the available jobs of each of these queues, each at most CountCap.
func (c *Client) Waiting(ctx context.Context, queues []string) (map[string]int, error) {
	counts := make(map[string]int, len(queues))
	for _, name := range queues {
		var count int
		err := c.db.NewRaw("SELECT count(*) FROM (SELECT 1 FROM river_job WHERE state = 'available' AND queue = ? LIMIT ?) AS w", name, CountCap).Scan(ctx, &count)
		if err != nil {
			return nil, fmt.Errorf("counting the jobs of queue %s: %w", name, err)
		}
		counts[name] = count
	}
	return counts, nil
}

// Order is what a list of jobs is sorted by.
type Order string

const (
	ByID        Order = "id"
	ByKind      Order = "kind"
	ByState     Order = "state"
	ByAttempt   Order = "attempt"
	ByQueue     Order = "queue"
	ByPriority  Order = "priority"
	ByScheduled Order = "scheduled_at"
	ByAttempted Order = "attempted_at"
	ByFinalized Order = "finalized_at"
	ByRuntime   Order = "runtime"
	ByWorker    Order = "worker"
)

// Query selects jobs. Empty fields do not restrict. Order and Search look at the newest Window jobs that the other fields
// leave; ByID without Search looks at all of them.
type Query struct {
	States        []rivertype.JobState
	Kind          string
	Worker        string    // the worker of the last attempt
	Search        string    // a part of the arguments' text, in any case of ASCII letters
	From, To      time.Time // when the job was enqueued
	Order         Order     // "" is ByID
	Ascending     bool
	Limit, Offset int
}

// List returns the jobs that q selects, and how many there are in all, at most Window. A query that no index helps with, on a
// table of millions, is given up after ListTimeout: a fault of kind Unavailable.
func (c *Client) List(ctx context.Context, q Query) ([]*rivertype.JobRow, int, error) {
	bounded, cancel := context.WithTimeout(ctx, ListTimeout)
	defer cancel()
	jobs, total, err := c.list(bounded, q)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		err = fault.Wrap(fault.Unavailable, "This search takes too long: narrow it.", err)
	}
	return jobs, total, err
}

func (c *Client) list(ctx context.Context, q Query) ([]*rivertype.JobRow, int, error) {
	q.Limit = min(max(q.Limit, 0), MaxLimit)
	if q.Order == "" {
		q.Order = ByID
	}
	sorting, known := c.sortings()[q.Order]
	if !known {
		return nil, 0, fault.New(fault.Invalid, "Unknown order.")
	}
	direction := "DESC"
	if q.Ascending {
		direction = "ASC"
	}
	conditions, search := c.conditions(q)
	// The window is the newest jobs; oldest first is asked for by their numbers only.
	windowDirection := "DESC"
	if q.Order == ByID && q.Search == "" {
		windowDirection = direction
	}
	window := bun.SafeQuery("SELECT * FROM river_job WHERE ? ORDER BY id "+windowDirection+" LIMIT ?", conditions, Window)
	total := 0
	if err := c.db.NewRaw("SELECT count(*) FROM (?) AS j WHERE ?", window, search).Scan(ctx, &total); err != nil {
		return nil, 0, fmt.Errorf("counting the jobs found: %w", err)
	}
	if total == 0 || q.Limit == 0 || q.Offset >= total {
		return nil, total, nil
	}
	var ids []int64
	err := c.db.NewRaw("SELECT id FROM (?) AS j WHERE ? ORDER BY "+sorting+" "+direction+" NULLS LAST, id "+direction+" LIMIT ? OFFSET ?",
		window, search, q.Limit, max(q.Offset, 0)).Scan(ctx, &ids)
	if err != nil {
		return nil, 0, fmt.Errorf("finding jobs: %w", err)
	}
	found, err := c.Jobs(ctx, ids)
	return found, total, err
}

// Jobs returns the jobs with these ids in this order; one that is gone is left out.
func (c *Client) Jobs(ctx context.Context, ids []int64) ([]*rivertype.JobRow, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := c.exec.JobGetByIDMany(ctx, &riverdriver.JobGetByIDManyParams{ID: ids})
	if err != nil {
		return nil, fmt.Errorf("reading jobs: %w", err)
	}
	byID := make(map[int64]*rivertype.JobRow, len(rows))
	for _, row := range rows {
		byID[row.ID] = row
	}
	ordered := make([]*rivertype.JobRow, 0, len(rows))
	for _, id := range ids {
		if row := byID[id]; row != nil {
			ordered = append(ordered, row)
		}
	}
	return ordered, nil
}

// Job returns the job with this id; a fault of kind NotFound when there is none.
func (c *Client) Job(ctx context.Context, id int64) (*rivertype.JobRow, error) {
	job, err := c.JobGet(ctx, id)
	if errors.Is(err, rivertype.ErrNotFound) {
		return nil, fault.New(fault.NotFound, "Not found.")
	}
	return job, err
}

// Mark is as much of a job as tells one moment of its life from the next.
type Mark struct {
	ID      int64              `bun:"id"`
	State   rivertype.JobState `bun:"state"`
	Attempt int                `bun:"attempt"`
}

// Marks returns the jobs that may have changed since a moment: the newest ones, those that run or wait for another attempt,
// and those that ended since; at most limit of each sort, so that its cost is bounded.
func (c *Client) Marks(ctx context.Context, since time.Time, limit int) ([]Mark, error) {
	after := bun.SafeQuery("?", since.UTC())
	if !c.db.IsPostgres() {
		after = bun.SafeQuery("?", since.UTC().Format(sqliteTime))
	}
	const fields = "SELECT id, state, attempt FROM river_job "
	parts := []string{fields + "ORDER BY id DESC LIMIT ?1", fields + "WHERE state = 'running' LIMIT ?1", fields + "WHERE state = 'retryable' LIMIT ?1"}
	for _, state := range []rivertype.JobState{rivertype.JobStateCompleted, rivertype.JobStateDiscarded, rivertype.JobStateCancelled} {
		parts = append(parts, fields+"WHERE state = '"+string(state)+"' AND finalized_at IS NOT NULL AND finalized_at >= ?0 ORDER BY finalized_at DESC LIMIT ?1")
	}
	for i, part := range parts {
		parts[i] = fmt.Sprintf("SELECT * FROM (%s) AS p%d", part, i)
	}
	var marks []Mark
	if err := c.db.NewRaw(strings.Join(parts, " UNION ")+" ORDER BY id DESC", after, limit).Scan(ctx, &marks); err != nil {
		return nil, fmt.Errorf("looking for jobs that changed: %w", err)
	}
	return marks, nil
}

// sqliteTime is how River writes times in SQLite; they are compared as texts.
const sqliteTime = "2006-01-02 15:04:05.000"

func (c *Client) worker() string {
	if c.db.IsPostgres() {
		return "attempted_by[array_upper(attempted_by, 1)]"
	}
	return "attempted_by ->> '$[#-1]'"
}

func (c *Client) sortings() map[Order]string {
	runtime := "julianday(finalized_at) - julianday(attempted_at)"
	if c.db.IsPostgres() {
		runtime = "finalized_at - attempted_at"
	}
	return map[Order]string{
		ByID: "id", ByKind: "kind", ByState: "state", ByAttempt: "attempt", ByQueue: "queue", ByPriority: "priority", ByScheduled: "scheduled_at",
		ByAttempted: "attempted_at", ByFinalized: "finalized_at", ByRuntime: runtime, ByWorker: c.worker(),
	}
}

// conditions are what indexes help with, and the search, which looks into each row.
func (c *Client) conditions(q Query) (cheap, search schema.QueryWithArgs) {
	var texts []string
	var args []any
	add := func(text string, values ...any) {
		texts, args = append(texts, text), append(args, values...)
	}
	add("1 = 1")
	if len(q.States) > 0 {
		states := make([]string, len(q.States))
		for i, state := range q.States {
			states[i] = string(state)
		}
		add("state IN ?", bun.Tuple(states))
	}
	if q.Kind != "" {
		add("kind = ?", q.Kind)
	}
	if q.Worker != "" {
		add(c.worker()+" = ?", q.Worker)
	}
	for _, bound := range []struct {
		operator string
		at       time.Time
	}{{">=", q.From}, {"<=", q.To}} {
		switch {
		case bound.at.IsZero():
		case c.db.IsPostgres():
			add("created_at "+bound.operator+" ?", bound.at.UTC())
		default:
			add("created_at "+bound.operator+" ?", bound.at.UTC().Format(sqliteTime))
		}
	}
	cheap = bun.SafeQuery(strings.Join(texts, " AND "), args...)
	if q.Search == "" {
		return cheap, bun.SafeQuery("1 = 1")
	}
	pattern := "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(searchText(q.Search)) + "%"
	if c.db.IsPostgres() {
		return cheap, bun.SafeQuery(`args::text ILIKE ? ESCAPE '\'`, pattern)
	}
	return cheap, bun.SafeQuery(`json(args) LIKE ? ESCAPE '\'`, pattern)
}

// searchText is a search as it stands within JSON: quotes and control characters escaped.
func searchText(search string) string {
	raw, err := json.Marshal(search)
	if err != nil {
		return search
	}
	text := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(raw))
	return strings.TrimSuffix(strings.TrimPrefix(text, `"`), `"`)
}
