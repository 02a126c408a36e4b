package main

import (
	"bufio"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/portico-web/portico/proxy/control"
)

// gauge is what the process tells of itself.
func gauge(t *testing.T, at listens, name string) (value float64) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+at.Internal+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if text, found := strings.CutPrefix(lines.Text(), name+" "); found {
			value, err = strconv.ParseFloat(text, 64)
			if err != nil {
				t.Fatal(err)
			}
			return value
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}

// enough bounds the test on slow machines, which get fewer than a thousand changes done.
const enough = 30 * time.Second

func TestAThousandReloadsAndSwapsUnderLoadFailNothingAndLeaveNothing(t *testing.T) {
	t.Parallel()
	p, other := newPlace(t), newUpstream(t)
	at := p.begin().ready()
	quick := control.Drain{}
	err := control.Change(t.Context(), p.socket("admin"), "app", "deploy", "", control.Deploy{
		Targets: []string{other.address}, Timeout: control.Duration(soon), Drain: quick,
	}, func(control.Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	l := newLoad(t, at, p.data)
	stop := l.start()
	l.goesOn()
	round := func(i int) {
		t.Helper()
		var err error
		if i%2 == 0 {
			p.configure(chosenPorts, fmt.Sprintf("{path: /echo, interval: %ds}", 3600+i)) // a new pool
			err = control.Call(t.Context(), p.socket("admin"), http.MethodPost, "/reload", &control.Status{})
		} else {
			err = control.Change(t.Context(), p.socket("admin"), "app", "rollback", "", control.Rollback{Force: true, Drain: quick}, func(control.Progress) {})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	gauges := []string{"go_goroutines", "process_open_fds"}
	warm := map[string]float64{}
	start := time.Now()
	rounds := 0
	for ; rounds < 1000 && time.Since(start) < enough; rounds++ {
		round(rounds)
		if rounds < 60 { // what varies with the load
			for _, name := range gauges {
				warm[name] = max(warm[name], gauge(t, at, name))
			}
		}
	}
	took := time.Since(start)
	l.goesOn()
	if rounds < 20 { // a slow machine does few with the race detector, but some
		t.Errorf("only %d changes in %s", rounds, took)
	}
	for _, name := range gauges {
		last := gauge(t, at, name)
		for range 10 {
			last = min(last, gauge(t, at, name))
		}
		t.Logf("%s: %g at the beginning, %g at the end", name, warm[name], last)
		if last > warm[name]+50 {
			t.Errorf("%s grew from %g to %g", name, warm[name], last)
		}
	}
	stop()
	answered := 0
	for _, count := range l.answered() {
		answered += count
	}
	if failed := l.failures(); len(failed) > 0 {
		t.Errorf("%d requests were answered, these were not: %v", answered, failed)
	}
	t.Logf("%d requests during %d changes in %s", answered, rounds, took)
}
