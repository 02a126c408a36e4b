package upstream_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/portico-web/portico/proxy/upstream"
)

// bounded is a pool whose targets take one request each.
func bounded(t *testing.T, size int, targets ...string) *upstream.Pool {
	t.Helper()
	return pool(t, upstream.Settings{Targets: targets, MaxRequests: 1, Queue: upstream.Queue{Size: size, Timeout: time.Minute}})
}

// fill gives every target a request.
func fill(t *testing.T, p *upstream.Pool) {
	t.Helper()
	for range p.Targets() {
		if _, err := p.Pick(request("192.0.2.1"), nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Pick(request("192.0.2.1"), nil); !errors.Is(err, upstream.ErrBusy) {
		t.Fatalf("one more: %v", err)
	}
}

func queued(t *testing.T, p *upstream.Pool) *upstream.Place {
	t.Helper()
	place, err := p.Queue(request("192.0.2.1"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return place
}

func ready(place *upstream.Place) bool {
	select {
	case <-place.Ready():
		return true
	default:
		return false
	}
}

func TestWhoCameFirstIsServedFirst(t *testing.T) {
	t.Parallel()
	p := bounded(t, 3, "a:1")
	fill(t, p)
	first, second, third := queued(t, p), queued(t, p), queued(t, p)
	if _, err := p.Queue(request("192.0.2.1"), nil); !errors.Is(err, upstream.ErrQueueFull) || p.Waiting() != 3 {
		t.Errorf("a fourth: %v, %d wait", err, p.Waiting())
	}
	if second.Leave() != nil || p.Waiting() != 2 {
		t.Errorf("one left, %d wait", p.Waiting())
	}
	p.Release(p.Targets()[0])
	if !ready(first) || ready(third) || first.Target() != p.Targets()[0] {
		t.Fatal("the first was not served, or not alone")
	}
	if _, err := p.Pick(request("192.0.2.1"), nil); !errors.Is(err, upstream.ErrBusy) {
		t.Errorf("a new one passes who waits: %v", err)
	}
	p.Release(first.Target())
	if !ready(third) || p.Waiting() != 0 {
		t.Error("the third was not served")
	}
	if third.Leave() != p.Targets()[0] {
		t.Error("who leaves with a target does not learn of it")
	}
	p.Release(p.Targets()[0])
	if active := p.Targets()[0].Active(); active != 0 {
		t.Errorf("%d are in work at the end", active)
	}
}

func TestWhoMayNotHaveTheFreeTargetHoldsUpNobody(t *testing.T) {
	t.Parallel()
	p := bounded(t, 3, "a:1", "b:1")
	fill(t, p)
	a := p.Targets()[0]
	picky, err := p.Queue(request("192.0.2.1"), []*upstream.Target{a})
	if err != nil {
		t.Fatal(err)
	}
	other := queued(t, p)
	p.Release(a)
	if ready(picky) || !ready(other) {
		t.Error("a free target serves nobody")
	}
}

func TestWithoutHealthyTargetsNobodyWaits(t *testing.T) {
	t.Parallel()
	p := bounded(t, 3, "a:1")
	if _, err := p.Pick(request("192.0.2.1"), p.Targets()); !errors.Is(err, upstream.ErrNoTarget) {
		t.Error(err)
	}
}

func TestATargetThatComesInServesWhoWaits(t *testing.T) {
	t.Parallel()
	n := newNames("192.0.2.1")
	p := following(t, n, upstream.Settings{Targets: []string{"app:80"}, MaxRequests: 1, Queue: upstream.Queue{Size: 1, Timeout: time.Minute}})
	n.settled(t)
	fill(t, p)
	place := queued(t, p)
	n.become(nil, "192.0.2.1", "192.0.2.2")
	n.settled(t)
	if !ready(place) {
		t.Error("the new target serves nobody")
	}
}

func TestTargetsNeverTakeMoreThanTheirBound(t *testing.T) {
	t.Parallel()
	p := pool(t, upstream.Settings{Targets: numbered(3), MaxRequests: 4, Balance: upstream.LeastConn, Queue: upstream.Queue{Size: 100, Timeout: time.Minute}})
	var clients sync.WaitGroup
	for range 40 {
		clients.Go(func() {
			for i := range 200 {
				asks := request("192.0.2.1")
				target, err := p.Pick(asks, nil)
				if errors.Is(err, upstream.ErrBusy) {
					place, err := p.Queue(asks, nil)
					if err != nil {
						t.Error(err)
						return
					}
					if i%7 == 0 {
						target = place.Leave()
					} else {
						<-place.Ready()
						target = place.Target()
					}
				}
				if target == nil {
					continue
				}
				if active := target.Active(); active < 1 || active > 4 {
					t.Errorf("%d requests", active)
				}
				p.Release(target)
			}
		})
	}
	clients.Wait()
	for _, target := range p.Targets() {
		if target.Active() != 0 || p.Waiting() != 0 {
			t.Errorf("%d in work and %d waiting at the end", target.Active(), p.Waiting())
		}
	}
}
