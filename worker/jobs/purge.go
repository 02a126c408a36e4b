package jobs

import (
	"context"
	"log/slog"
	"time"

	"github.com/riverqueue/river"

	"github.com/portico-web/portico/app/account"
)

// Purge deletes refresh tokens that nobody can use any more.
type Purge struct {
	river.WorkerDefaults[account.PurgeTokens]
	// Tokens deletes them and tells how many there were.
	Tokens func(ctx context.Context) (int64, error)
	Log    *slog.Logger
}

func (p *Purge) Timeout(*river.Job[account.PurgeTokens]) time.Duration { return 10 * time.Minute }

func (p *Purge) Work(ctx context.Context, _ *river.Job[account.PurgeTokens]) error {
	deleted, err := p.Tokens(ctx)
	if deleted > 0 {
		p.Log.InfoContext(ctx, "old refresh tokens were deleted", "tokens", deleted)
	}
	return err
}

// Hourly is the schedule of the purge: at each full hour by the clock, so that a worker that is restarted more often than
// hourly still comes to it.
type Hourly struct{}

// Next is the first full hour after t.
func (Hourly) Next(t time.Time) time.Time { return t.UTC().Truncate(time.Hour).Add(time.Hour) }

// PurgePeriodically enqueues the purge each hour, once however many workers there are.
func PurgePeriodically() *river.PeriodicJob {
	return river.NewPeriodicJob(Hourly{}, func() (river.JobArgs, *river.InsertOpts) {
		return account.PurgeTokens{}, &river.InsertOpts{MaxAttempts: 5, UniqueOpts: river.UniqueOpts{ByPeriod: time.Hour}}
	}, &river.PeriodicJobOpts{ID: "maintenance.purge_tokens"})
}
