package worker

import (
	"context"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/portico-web/portico/internal/health"
	"github.com/portico-web/portico/internal/queue"
	"github.com/portico-web/portico/worker/fleet"
)

const (
	beatEvery  = time.Second
	pruneEvery = time.Minute
	// settleFor is how long a worker's own heart must have beaten without a gap before it judges others: after an outage
	// of the database all workers look dead for a moment.
	settleFor = 3 * time.Second
	// beatTimeout bounds one heartbeat and one rescue.
	beatTimeout = 4 * time.Second
	// unsteady is the gap in this worker's own heartbeat from which on others, disturbed by the same cause, may look dead.
	unsteady = fleet.StaleAfter - 2*beatEvery
	// maxAudited bounds how many jobs one audit rescues.
	maxAudited = 500
)

// pulse is a worker's heartbeat, and its watch over the others'.
type pulse struct {
	fleet  *fleet.Fleet
	client *queue.Client
	tally  *tally
	self   fleet.Worker
	log    *slog.Logger

	idleClaim time.Duration // as Config has it

	lastBeat atomic.Pointer[time.Time]
	begun    time.Time // when the writing of the last heartbeat began
	beaten   time.Time // what it says, by the database's clock
	failing  bool
	silent   bool      // others may have taken our jobs, and we have not looked yet
	steady   time.Time // since when the heart beats without a gap
	pruned   time.Time
	audited  time.Time
	idle     map[queue.Lost]time.Time // jobs that are ours by the database and do not run here, since when that is known
}

// row is the worker's row as it would be written now.
func (p *pulse) row() fleet.Worker {
	row := p.self
	row.Running = int64(p.tally.active())
	row.Processed, row.Succeeded = p.tally.processed.Load(), p.tally.succeeded.Load()
	row.Failed, row.Retried = p.tally.failed.Load(), p.tally.retried.Load()
	row.Load1, row.Load5, row.Load15 = loadAverage()
	return row
}

// run beats until ctx ends.
func (p *pulse) run(ctx context.Context) {
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			p.tick(ctx)
		}
	}
}

// first is the beat that announces the worker.
func (p *pulse) first(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	return p.beat(ctx)
}

func (p *pulse) tick(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	if err := p.beat(ctx); err != nil {
		if !p.failing {
			p.log.Warn("no heartbeat: other workers may take this one's jobs over", "error", err)
		}
		p.failing = true
		return
	}
	if time.Since(p.steady) < settleFor {
		return
	}
	p.rescue(ctx)
	if time.Since(p.audited) > p.idleClaim/6 {
		p.audited = time.Now()
		p.audit(ctx)
	}
	if time.Since(p.pruned) > pruneEvery {
		p.pruned = time.Now()
		if err := p.fleet.Prune(ctx); err != nil {
			p.log.Warn("old rows of workers stay", "error", err)
		}
	}
}

// beat writes the heartbeat. After a silence so long that others may have acted on it, this worker drops what it lost.
func (p *pulse) beat(ctx context.Context) error {
	begun := time.Now()
	at, err := p.fleet.Beat(ctx, p.row())
	if err != nil {
		return err
	}
	now := time.Now()
	if p.lastBeat.Swap(&now) == nil {
		p.steady = now
	} else {
		// What others saw is at most the time from before the last write until after this one, unless their clock was set.
		gap := max(now.Sub(p.begun), at.Sub(p.beaten).Abs())
		if p.failing || gap >= unsteady {
			p.steady, p.idle = now, nil // after an outage, there are outcomes to be written first
		}
		if gap >= fleet.StaleAfter {
			p.silent = true
			p.log.Warn("this worker was silent for so long that others took it for dead", "silence", gap.Round(time.Millisecond).String())
		}
	}
	p.begun, p.beaten = begun, at
	if p.failing {
		p.failing = false
		p.log.Info("the heart beats again")
	}
	if p.silent {
		return p.dropLost(ctx)
	}
	return nil
}

// dropLost cancels the jobs that were given to others in the meantime.
func (p *pulse) dropLost(ctx context.Context) error {
	var ids []int64
	for _, job := range p.tally.mine() {
		ids = append(ids, job.ID)
	}
	gone, err := p.client.Gone(ctx, ids)
	if err != nil {
		return err
	}
	p.silent = false
	if dropped := p.tally.drop(gone); dropped > 0 {
		p.log.Warn("jobs that other workers have taken over were cancelled here", "jobs", dropped)
	}
	return nil
}

func (p *pulse) rescue(ctx context.Context) {
	lost, err := p.fleet.Lost(ctx)
	if err == nil {
		var rescued queue.Rescued
		if rescued, err = p.client.Rescue(ctx, lost); rescued != (queue.Rescued{}) {
			p.log.Warn("jobs of lost workers were rescued", "retried", rescued.Retried, "discarded", rescued.Discarded, "cancelled", rescued.Cancelled)
		}
	}
	if err != nil && ctx.Err() == nil {
		p.log.Warn("jobs of lost workers could not be rescued", "error", err)
	}
}

// audit rescues jobs that the database gave to this worker and that it never heard of, because the connection broke before the
// answer: nobody else would take a job from a worker that is alive.
func (p *pulse) audit(ctx context.Context) {
	held, err := p.fleet.Held(ctx, p.self.ID)
	if err != nil {
		p.log.Warn("whether this worker runs all jobs that it was given could not be found out", "error", err)
		return
	}
	here := map[int64]bool{}
	for _, job := range p.tally.mine() {
		here[job.ID] = true
	}
	idle := map[queue.Lost]time.Time{}
	var lost []queue.Lost
	for _, job := range held {
		if here[job.ID] {
			continue
		}
		since, known := p.idle[job]
		if !known {
			since = time.Now()
		}
		idle[job] = since
		if time.Since(since) >= p.idleClaim && len(lost) < maxAudited {
			lost = append(lost, job)
		}
	}
	p.idle = idle
	rescued, err := p.client.Rescue(ctx, lost)
	if err != nil {
		p.log.Warn("jobs that this worker was given and never heard of could not be rescued", "error", err)
	} else if rescued != (queue.Rescued{}) {
		p.log.Warn("jobs that this worker was given and never heard of were rescued", "retried", rescued.Retried, "discarded", rescued.Discarded, "cancelled", rescued.Cancelled)
	}
}

// check tells readiness: does the heart beat.
func (p *pulse) check(context.Context) health.Result {
	last := p.lastBeat.Load()
	if last == nil || time.Since(*last) > fleet.StaleAfter {
		return health.Result{Status: health.Failed, Detail: "no heartbeat could be written for " + fleet.StaleAfter.String()}
	}
	return health.Result{Status: health.OK}
}

// loadAverage is the machine's load over 1, 5 and 15 minutes where the system tells it, else zeros.
func loadAverage() (one, five, fifteen float64) {
	raw, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, 0, 0
	}
	fields := strings.Fields(string(raw))
	if len(fields) < 3 {
		return 0, 0, 0
	}
	one, _ = strconv.ParseFloat(fields[0], 64)
	five, _ = strconv.ParseFloat(fields[1], 64)
	fifteen, _ = strconv.ParseFloat(fields[2], 64)
	return one, five, fifteen
}
