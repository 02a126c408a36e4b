package proxy_test

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portico-web/portico/internal/logging"
	"github.com/portico-web/portico/proxy/config"
)

// h2target is an upstream that knows how much it has to do.
type h2target struct {
	address    string
	work, peak atomic.Int64  // requests for /hang and /endless
	bombed     atomic.Bool   // /bomb was asked for
	changed    chan struct{} // work did
}

func newH2target(t *testing.T) *h2target {
	t.Helper()
	target := &h2target{changed: make(chan struct{}, 1)}
	part := make([]byte, 64<<10)
	target.address = serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/bomb":
			target.bombed.Store(true)
		case "/hang":
			target.begin()
			defer target.end()
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		case "/endless":
			target.begin()
			defer target.end()
			for {
				if _, err := w.Write(part); err != nil {
					return
				}
			}
		default:
			_, _ = io.WriteString(w, "served")
		}
	})
	return target
}

func (target *h2target) begin() {
	defer target.notify()
	work := target.work.Add(1)
	for peak := target.peak.Load(); work > peak && !target.peak.CompareAndSwap(peak, work); {
		peak = target.peak.Load()
	}
}

func (target *h2target) end() {
	target.work.Add(-1)
	target.notify()
}

func (target *h2target) notify() {
	select {
	case target.changed <- struct{}{}:
	default:
	}
}

// wait tells whether the work comes to what done looks for within this time.
func (target *h2target) wait(within time.Duration, done func() bool) bool {
	timer := time.NewTimer(within)
	defer timer.Stop()
	for !done() {
		select {
		case <-target.changed:
		case <-timer.C:
			return false
		}
	}
	return true
}

func (target *h2target) reset() {
	target.peak.Store(0)
	target.bombed.Store(false)
}

// startQuiet is start with a log that holds nothing but errors, so that it does not count as memory of the edge.
func startQuiet(t testing.TB, yaml string) *edge {
	t.Helper()
	log := &buffer{}
	e := startLogging(t, yaml, log, "error")
	e.log = log
	return e
}

// startLogging is start with a log that goes elsewhere.
func startLogging(t testing.TB, yaml string, to io.Writer, level string) *edge {
	t.Helper()
	e := &edge{t: t, data: t.TempDir(), log: &buffer{}}
	e.config = filepath.Join(e.data, "proxy.yaml")
	write(t, e.config, yaml)
	cfg, err := config.Load(e.config, noVariables)
	if err != nil {
		t.Fatal(err)
	}
	set := options(t, e)
	if set.Log, err = logging.New(to, level, "json"); err != nil {
		t.Fatal(err)
	}
	return launch(t, e, cfg, set)
}

// What one attacker's connection may make the process hold on to, its own share included, and what may lie about as garbage.
const (
	heldBound = 32 << 20
	peakBound = 128 << 20
)

// bear runs an attack, which returns how it ends once all is sent. Meanwhile other clients are served; what the process
// holds on to is bounded; afterwards no goroutine is left.
func bear(t *testing.T, e *edge, attack func() (end func())) {
	t.Helper()
	others := []*http.Client{e.client(false), e.client(true)}
	served := func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 3*h2patience)
		defer cancel()
		for _, client := range others {
			if got, err := try(ctx, client, http.MethodGet, "https://localhost/", nil, ""); err != nil || got.body != "served" {
				t.Errorf("another client: %v, %v", got, err)
			}
		}
	}
	served()
	before, goroutines := heap(), goleak.IgnoreCurrent()
	sent := make(chan func(), 1)
	go func() { sent <- attack() }()
	var end func()
	var peak uint64
	for end == nil {
		served()
		peak = max(peak, heapNow())
		select {
		case end = <-sent:
		default:
		}
	}
	held := heap()
	served()
	end()
	served()
	for _, client := range others {
		client.CloseIdleConnections()
	}
	t.Logf("the heap grew by %d KiB, at its peak by %d", (held-before)/1024, (int64(peak)-before)/1024)
	if held-before > heldBound || int64(peak)-before > peakBound {
		t.Errorf("the heap grew by %d MiB, at its peak by %d", (held-before)>>20, (int64(peak)-before)>>20)
	}
	var left error
	for deadline := time.Now().Add(3 * h2patience); time.Now().Before(deadline); { // Find itself waits between its looks
		left = goleak.Find(goroutines, // and the upstream's idle connections
			goleak.IgnoreAnyFunction("bufio.(*Reader).Peek"), goleak.IgnoreAnyFunction("net/http.(*conn).readRequest"))
		if left == nil {
			return
		}
	}
	t.Error(left)
}

// heap is what the process holds on to.
func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC() // the second empties the pools
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// heapNow is what the process holds on to and what was not yet collected.
func heapNow() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
