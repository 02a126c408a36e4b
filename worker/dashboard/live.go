package dashboard

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/queue"
	"github.com/portico-web/portico/worker/fleet"
)

const (
	// watchEvery is how often the database is asked for changes, once for all open pages and not at all while there is none.
	watchEvery = 750 * time.Millisecond
	// overlap is how far a look goes back behind the one before: a job's end is written some time after it.
	overlap = 5 * time.Second
	// watchTimeout bounds one look.
	watchTimeout = 3 * time.Second
	// maxWatched bounds how many jobs of each sort one look takes in, maxTold how many changes one event tells.
	maxWatched, maxTold = 200, 100
	// maxStreams bounds the open event streams, streamBuffer the events that one may be behind.
	maxStreams, streamBuffer = 100, 8
	// quietComment is how often a stream without news says that it is alive; writeTimeout bounds each write to it.
	quietComment, writeTimeout = 15 * time.Second, 10 * time.Second
)

// change is the data of an event: what is new since the one before.
type change struct {
	Tasks   []task         `json:"tasks,omitempty"`
	Workers []workerChange `json:"workers,omitempty"`
	Counts  map[State]int  `json:"counts,omitempty"` // all states, when one changed
	More    bool           `json:"more,omitempty"`   // there were more changes than are told
}

type workerChange struct {
	Name      string  `json:"name"`
	Online    bool    `json:"online"`
	Running   int64   `json:"running"`
	Processed int64   `json:"processed"`
	Succeeded int64   `json:"succeeded"`
	Failed    int64   `json:"failed"`
	Retried   int64   `json:"retried"`
	Load      float64 `json:"load"`
}

// live watches the database while pages are open and tells them what changed.
type live struct {
	client *queue.Client
	fleet  *fleet.Fleet
	log    *slog.Logger

	mu      sync.Mutex
	streams map[chan []byte]struct{}
	ended   bool
	wake    chan struct{} // a stream came while nobody watched

	// What the last look saw; nil before the first one. Only run touches them.
	marks   map[int64]queue.Mark
	workers map[string]workerChange
	counts  map[State]int
	looked  time.Time
}

func newLive(client *queue.Client, members *fleet.Fleet, log *slog.Logger) *live {
	return &live{client: client, fleet: members, log: log, streams: map[chan []byte]struct{}{}, wake: make(chan struct{}, 1)}
}

// loadAll tells a page to load everything: nobody knows what changed since it was made.
const loadAll = "event: change\ndata: {\"more\":true}\n\n"

// subscribe opens a stream; it is closed when the dashboard ends or the stream falls behind. false: there are too many.
func (l *live) subscribe() (chan []byte, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || len(l.streams) >= maxStreams {
		return nil, false
	}
	stream := make(chan []byte, streamBuffer)
	stream <- []byte(loadAll)
	l.streams[stream] = struct{}{}
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return stream, true
}

func (l *live) unsubscribe(stream chan []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.streams, stream)
}

func (l *live) watched() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.streams) > 0
}

// tell hands an event to all streams. One that is behind is closed: its page connects again and loads everything anew.
func (l *live) tell(event []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for stream := range l.streams {
		select {
		case stream <- event:
		default:
			close(stream)
			delete(l.streams, stream)
		}
	}
}

// run watches until ctx ends, and then ends all streams.
func (l *live) run(ctx context.Context) {
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.ended = true
		for stream := range l.streams {
			close(stream)
			delete(l.streams, stream)
		}
	}()
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	blind := false // and said so
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-l.wake:
		}
		if !l.watched() {
			l.marks, l.workers, l.counts = nil, nil, nil
			continue
		}
		news, err := l.look(ctx)
		if err != nil {
			l.marks, l.workers, l.counts = nil, nil, nil // changes may be missed meanwhile
			if ctx.Err() == nil && !blind {
				l.log.Warn("the dashboard cannot see changes", "error", err)
				blind = true
			}
			continue
		}
		blind = false
		if news != nil {
			l.tell(news)
		}
	}
}

// look compares the database with what was seen last and returns the event about it, or nil when all is the same. The first
// look knows no difference and asks the pages to load everything.
func (l *live) look(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	started := time.Now()
	since := l.looked
	if l.marks == nil {
		since = started
	}
	marks, err := l.client.Marks(ctx, since.Add(-overlap), maxWatched)
	if err != nil {
		return nil, err
	}
	workers, err := l.fleet.List(ctx)
	if err != nil {
		return nil, err
	}
	counted, err := l.client.Counts(ctx)
	if err != nil {
		return nil, err
	}
	first := l.marks == nil
	var news change
	var ids []int64
	seen := make(map[int64]queue.Mark, len(marks))
	for _, mark := range marks {
		seen[mark.ID] = mark
		if l.marks[mark.ID] != mark {
			ids = append(ids, mark.ID)
		}
	}
	seenWorkers := make(map[string]workerChange, len(workers))
	for _, worker := range workers {
		now := workerChange{
			Name: worker.ID, Online: worker.Online, Running: worker.Running, Processed: worker.Processed,
			Succeeded: worker.Succeeded, Failed: worker.Failed, Retried: worker.Retried, Load: worker.Load1,
		}
		seenWorkers[worker.ID] = now
		if l.workers[worker.ID] != now {
			news.Workers = append(news.Workers, now)
		}
	}
	forgotten := len(seenWorkers) < len(l.workers)
	if counts := countsByState(counted); !maps.Equal(counts, l.counts) {
		l.counts, news.Counts = counts, counts
	}
	l.marks, l.workers, l.looked = seen, seenWorkers, started
	if first {
		return []byte(loadAll), nil // whatever changed between the page and this look
	}
	if len(ids) == 0 && len(news.Workers) == 0 && news.Counts == nil && !forgotten {
		return nil, nil
	}
	if len(ids) > maxTold {
		ids, news.More = ids[:maxTold], true
	}
	news.More = news.More || forgotten
	jobs, err := l.client.Jobs(ctx, ids)
	if err != nil {
		return nil, err
	}
	news.Tasks = inOrder(jobs)
	data, err := json.Marshal(news)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "event: change\ndata: %s\n\n", data), nil
}

func countsByState(counted queue.Counts) map[State]int {
	counts := map[State]int{}
	for _, state := range states() {
		counts[state] = 0
	}
	for state, count := range counted {
		counts[stateOf(state)] += count
	}
	return counts
}

// events answers GET /events, a stream of server-sent events: hello once, then change whenever something changed.
func (d *Dashboard) events(w http.ResponseWriter, r *http.Request) {
	stream, ok := d.live.subscribe()
	if !ok {
		w.Header().Set("Retry-After", "10")
		d.fail(w, r, fault.New(fault.Unavailable, "Too many open pages."))
		return
	}
	defer d.live.unsubscribe(stream)
	header := w.Header()
	header.Set("Content-Type", "text/event-stream; charset=utf-8")
	header.Set("X-Accel-Buffering", "no")
	controller := http.NewResponseController(w)
	send := func(text []byte) bool {
		if controller.SetWriteDeadline(time.Now().Add(writeTimeout)) != nil {
			return false
		}
		if _, err := w.Write(text); err != nil {
			return false
		}
		return controller.Flush() == nil
	}
	if !send([]byte("retry: 2000\nevent: hello\ndata: {}\n\n")) {
		return
	}
	quiet := time.NewTicker(quietComment)
	defer quiet.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case event, open := <-stream:
			if !open || !send(event) {
				return
			}
		case <-quiet.C:
			if !send([]byte(": quiet\n\n")) {
				return
			}
		}
	}
}
