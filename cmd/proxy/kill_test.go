package main

import (
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/portico-web/portico/proxy/control"
)

// buried waits for the end of a program that was killed.
func (e *edge) buried() {
	for e.log.Scan() { // Wait closes the pipe
	}
	_ = e.command.Wait()
}

func TestAnEdgeKilledWhileItDeploysStartsWithWhatItTold(t *testing.T) {
	t.Parallel()
	one, two := application(t), application(t)
	file := deployable(t, one)
	socket, data := filepath.Join(filepath.Dir(file), "s"), t.TempDir()
	e := start(t, file, "--data", data)
	if _, stderr, status := run(t, "deploy", "app", "--config", file, "--target", two); status != 0 {
		t.Fatalf("%d %s", status, stderr)
	}
	live, other := two, one
	rounds, amidst, switches := 40, 0, 0
	for range rounds {
		killed := make(chan struct{})
		deadly := e
		time.AfterFunc(time.Duration(rand.IntN(30_000))*time.Microsecond, func() { // any moment will do
			defer close(killed)
			_ = deadly.command.Process.Kill()
		})
		// Each goes to the target that the one before left; both save twice.
		for {
			err := control.Change(t.Context(), socket, "app", "rollback", "", control.Rollback{Force: true}, func(progress control.Progress) {
				if progress.Step == control.StepSwitch {
					live, other = other, live
					switches++
				}
			})
			if err != nil {
				break
			}
		}
		<-killed
		e.buried()
		if _, err := os.Stat(filepath.Join(data, "deploys.json.new")); err == nil {
			amidst++
		}
		e = start(t, file, "--data", data)
		var status control.Status
		if err := control.Call(t.Context(), socket, http.MethodGet, "/status", &status); err != nil || len(status.Upstreams) != 1 {
			t.Fatalf("%+v, %v", status, err)
		}
		app := status.Upstreams[0]
		// What was switched and not told may have happened or not; what was told has.
		if serving := app.Targets[0]; serving == other && app.Previous[0] == live {
			live, other = other, live
		} else if serving != live || app.Previous[0] != other {
			t.Fatalf("%+v serves after %s was told", app, live)
		}
	}
	if switches == 0 {
		t.Error("nothing was switched")
	}
	t.Logf("%d switches, %d of %d times killed while saving", switches, amidst, rounds)
	e.stop()
}
