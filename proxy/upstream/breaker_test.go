package upstream_test

import (
	"errors"
	"testing"
	"time"

	"github.com/portico-web/portico/proxy/upstream"
)

func breaking(t *testing.T, open time.Duration) *upstream.Pool {
	t.Helper()
	return pool(t, upstream.Settings{Targets: []string{"a:1"}, Breaker: upstream.Breaker{
		Percent: 50, Requests: 10, Window: time.Minute, Open: open,
	}})
}

// ends picks for a request that ends so; the error is Pick's.
func ends(p *upstream.Pool, failed bool) error {
	asks := request("192.0.2.1")
	target, err := p.Pick(asks, nil)
	if err != nil {
		return err
	}
	p.Note(asks, target, failed)
	p.Release(target)
	p.Forget(asks)
	return nil
}

func refuses(err error) bool {
	_, open := errors.AsType[*upstream.OpenError](err)
	return open
}

func TestAnUpstreamThatFailsIsSpared(t *testing.T) {
	t.Parallel()
	p := breaking(t, time.Hour)
	for i := range 9 {
		if err := ends(p, true); err != nil {
			t.Fatalf("failure %d tells nothing yet: %v", i, err)
		}
	}
	if p.Breaker() != upstream.Closed {
		t.Error("it opened before it could tell")
	}
	if err := ends(p, false); err != nil || p.Breaker() != upstream.Open {
		t.Errorf("nine of ten failed, and it is not open: %v", err)
	}
	if err := ends(p, false); !refuses(err) {
		t.Errorf("a request passes: %v", err)
	}
}

func TestFewFailuresOfManyLeaveTheBreakerClosed(t *testing.T) {
	t.Parallel()
	p := breaking(t, time.Hour)
	for i := range 1000 {
		if err := ends(p, i%10 < 3); err != nil {
			t.Fatal(err)
		}
	}
}

// open makes the breaker open, and waits until it takes a trial.
func halfOpen(t *testing.T, p *upstream.Pool) {
	t.Helper()
	for range 10 {
		_ = ends(p, true)
	}
	deadline := time.Now().Add(patience)
	for p.Breaker() != upstream.HalfOpen {
		if time.Now().After(deadline) {
			t.Fatal("it takes no trial")
		}
		<-time.After(time.Millisecond)
	}
}

func TestOneRequestTriesWhetherTheUpstreamAnswersAgain(t *testing.T) {
	t.Parallel()
	p := breaking(t, 5*time.Millisecond)
	halfOpen(t, p)
	trial := request("192.0.2.1")
	target, err := p.Pick(trial, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := ends(p, false); !refuses(err) {
		t.Errorf("another passes beside the trial: %v", err)
	}
	p.Note(trial, target, true) // and another one answers
	p.Note(trial, target, false)
	p.Release(target)
	p.Conclude(trial)
	if err := ends(p, false); err != nil || p.Breaker() != upstream.Closed {
		t.Errorf("after a good trial: %v", err)
	}
}

func TestATrialThatFailsOpensAgain(t *testing.T) {
	t.Parallel()
	p := pool(t, upstream.Settings{Targets: []string{"a:1"}, Breaker: upstream.Breaker{
		Percent: 50, Requests: 10, Window: time.Minute, Open: 300 * time.Millisecond,
	}})
	halfOpen(t, p)
	if err := ends(p, true); err != nil {
		t.Fatal(err)
	}
	if err := ends(p, false); !refuses(err) {
		t.Errorf("it passes after a bad trial: %v", err)
	}
}

func TestATrialWhoseClientLeavesMakesRoomForAnother(t *testing.T) {
	t.Parallel()
	p := breaking(t, 5*time.Millisecond)
	halfOpen(t, p)
	trial := request("192.0.2.1")
	target, err := p.Pick(trial, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Release(target)
	p.Forget(trial)
	if err := ends(p, false); err != nil || p.Breaker() != upstream.Closed {
		t.Errorf("the next is no trial: %v", err)
	}
}

func TestWhatBeganBeforeTheBreakerOpenedDecidesNothing(t *testing.T) {
	t.Parallel()
	p := breaking(t, 5*time.Millisecond)
	early := request("192.0.2.1")
	target, err := p.Pick(early, nil)
	if err != nil {
		t.Fatal(err)
	}
	halfOpen(t, p)
	p.Note(early, target, false)
	p.Release(target)
	p.Conclude(early)
	if p.Breaker() != upstream.HalfOpen {
		t.Error("an old answer closed it")
	}
}
