package upstream_test

import (
	"testing"
	"time"

	"github.com/portico-web/portico/proxy/upstream"
)

func passive(failures int) upstream.Passive {
	return upstream.Passive{Failures: failures, Window: time.Minute, Eject: time.Hour, Percent: 50}
}

func TestATargetThatFailsTooOftenInARowIsTakenOut(t *testing.T) {
	t.Parallel()
	p := pool(t, upstream.Settings{Targets: []string{"a:1", "b:1", "c:1"}, Passive: passive(3), FailureStatuses: []int{503}})
	asks, b := request("192.0.2.1"), p.Targets()[1]
	for range 2 {
		p.Note(asks, b, true)
	}
	p.NoteAnswer(asks, b, 500) // not one of the statuses: it served
	for range 2 {
		p.Note(asks, b, true)
	}
	if got := picks(t, p, 6); got != "abcabc" || b.Ejected() {
		t.Fatalf("after two failures, a success and two failures: %s", got)
	}
	p.NoteAnswer(asks, b, 503)
	if got := picks(t, p, 6); !b.Ejected() || got != "acacac" && got != "aacaac" && got != "accacc" {
		t.Errorf("after three in a row: %s", got)
	}
}

func TestTargetsThatFailTogetherDoNotAllGo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ targets, percent, out int }{{1, 99, 0}, {2, 50, 1}, {2, 99, 1}, {4, 50, 2}, {4, 20, 0}, {10, 30, 3}} {
		settings := upstream.Settings{Targets: numbered(c.targets), Passive: passive(1)}
		settings.Passive.Percent = c.percent
		p := pool(t, settings)
		for range 2 {
			for _, target := range p.Targets() {
				p.Note(request("192.0.2.1"), target, true)
			}
		}
		out := 0
		for _, target := range p.Targets() {
			if target.Ejected() {
				out++
			}
		}
		if out != c.out {
			t.Errorf("%d%% of %d targets: %d are out", c.percent, c.targets, out)
		}
		picked(t, p, request("192.0.2.1"))
	}
}

func TestATargetComesBackAfterItsTime(t *testing.T) {
	t.Parallel()
	settings := upstream.Settings{Targets: numbered(2), Passive: passive(1)}
	settings.Passive.Eject = time.Millisecond
	p := pool(t, settings)
	p.Note(request("192.0.2.1"), p.Targets()[0], true)
	deadline := time.Now().Add(patience)
	for picked(t, p, request("192.0.2.1")) != p.Targets()[0] {
		if time.Now().After(deadline) {
			t.Fatal("it stays out")
		}
	}
}

func TestFailuresFarApartDoNotCountTogether(t *testing.T) {
	t.Parallel()
	settings := upstream.Settings{Targets: numbered(2), Passive: passive(2)}
	settings.Passive.Window = time.Nanosecond
	p := pool(t, settings)
	for range 3 {
		p.Note(request("192.0.2.1"), p.Targets()[0], true)
		<-time.After(time.Microsecond)
	}
	if p.Targets()[0].Ejected() {
		t.Error("it is out")
	}
}
