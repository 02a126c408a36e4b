package handover_test

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portico-web/portico/proxy/handover"
)

// meet lets a process ask, and another answer; both run at the same time.
func meet(t *testing.T, ask func(*handover.Predecessor, error), answer func(*handover.Successor)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "handover.sock")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		connection, err := listener.AcceptUnix()
		if err != nil {
			t.Error(err)
			return
		}
		defer connection.Close()
		successor, err := handover.Greet(t.Context(), connection, handover.Process{PID: 1, Version: "old"})
		if err != nil {
			t.Error(err)
			return
		}
		answer(successor)
	}()
	ask(handover.Ask(t.Context(), path, handover.Process{PID: 2, Version: "new"}))
	<-answered
}

func noSockets(*net.UnixConn) error { return nil }

func TestAPlaceIsTakenStepByStep(t *testing.T) {
	t.Parallel()
	meet(t, func(before *handover.Predecessor, err error) {
		if err != nil || before.Process() != (handover.Process{PID: 1, Version: "old"}) || before.Sticky() != "secret" {
			t.Fatalf("%+v, %v", before, err)
		}
		if err := before.TakeOver(t.Context()); err != nil {
			t.Error(err)
		}
		before.Serving()
	}, func(successor *handover.Successor) {
		if successor.Process() != (handover.Process{PID: 2, Version: "new"}) {
			t.Errorf("%+v", successor.Process())
		}
		if err := successor.Welcome("secret", noSockets); err != nil {
			t.Error(err)
		}
		if err := successor.AwaitReady(t.Context()); err != nil {
			t.Error(err)
		}
		if err := successor.GiveWay(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestWhyNobodyTakesThePlaceIsTold(t *testing.T) {
	t.Parallel()
	meet(t, func(_ *handover.Predecessor, err error) {
		if err == nil || !strings.HasSuffix(err.Error(), "does not hand over: not now") {
			t.Error(err)
		}
	}, func(successor *handover.Successor) { successor.Refuse("not now") })

	meet(t, func(before *handover.Predecessor, err error) {
		if err != nil {
			t.Fatal(err)
		}
		before.Close(context.DeadlineExceeded)
	}, func(successor *handover.Successor) {
		_ = successor.Welcome("", noSockets)
		if err := successor.AwaitReady(t.Context()); err == nil || err.Error() != context.DeadlineExceeded.Error() {
			t.Error(err)
		}
	})

	meet(t, func(before *handover.Predecessor, err error) {
		if err != nil {
			t.Fatal(err)
		}
		defer before.Close(nil)
		if err := before.TakeOver(t.Context()); err == nil || !strings.HasSuffix(err.Error(), "keeps its place: too late") {
			t.Error(err)
		}
	}, func(successor *handover.Successor) {
		_ = successor.Welcome("", noSockets)
		successor.Refuse("too late")
	})
}

func TestAPredecessorThatDiedGivesItsPlaceAway(t *testing.T) {
	t.Parallel()
	meet(t, func(before *handover.Predecessor, err error) {
		if err != nil {
			t.Fatal(err)
		}
		if err := before.TakeOver(t.Context()); err != nil {
			t.Error(err)
		}
		before.Close(nil)
	}, func(successor *handover.Successor) {
		_ = successor.Welcome("", noSockets)
		_ = successor.AwaitReady(t.Context()) // its connection is closed then
	})
}

func TestNobodyThereIsNoPredecessor(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "handover.sock")
	for _, left := range []bool{false, true} {
		if left { // by a process that was killed
			listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			listener.SetUnlinkOnClose(false)
			_ = listener.Close()
		}
		if before, err := handover.Ask(t.Context(), path, handover.Process{}); before != nil || err != nil {
			t.Errorf("%v, %v", before, err)
		}
	}
}
