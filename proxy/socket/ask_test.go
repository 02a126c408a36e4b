package socket_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/portico-web/portico/proxy/socket"
)

func TestAskingWritesAndWaitsForAnAnswer(t *testing.T) {
	t.Parallel()
	near, far := pair(t)
	for range 3 {
		go func() {
			question := make([]byte, 5)
			if _, err := io.ReadFull(far, question); err == nil {
				_, _ = far.Write(bytes.ToUpper(question))
			}
		}()
		near.ReadBy(time.Now().Add(soon))
		if n, quiet, err := near.Ask([]byte("hello")); n != 5 || !quiet || err != nil {
			t.Fatalf("%d, %v, %v", n, quiet, err)
		}
		read(t, near, "HELLO")
	}
}

func TestNothingIsAskedWhereSomethingCameUnasked(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(far *net.TCPConn) error{
		"a byte":  func(far *net.TCPConn) error { _, err := far.Write([]byte("x")); return err },
		"the end": (*net.TCPConn).CloseWrite,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near, far := pair(t)
			if err := spoil(far); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it arrives", func() bool { return !near.Quiet() })
			if n, quiet, err := near.Ask([]byte("hello")); n != 0 || quiet || err != nil {
				t.Errorf("%d, %v, %v", n, quiet, err)
			}
			_ = near.Close()
			if rest, _ := io.ReadAll(far); len(rest) > 0 {
				t.Errorf("%q was written", rest)
			}
		})
	}
}

func TestADeadlineLeavesTheQuestionAsked(t *testing.T) {
	t.Parallel()
	near, far := pair(t)
	for _, patience := range []time.Duration{50 * time.Millisecond, -time.Second} {
		near.ReadBy(time.Now().Add(patience))
		if n, quiet, err := near.Ask([]byte("hello")); n != 5 || !quiet || err != nil {
			t.Fatalf("%d, %v, %v", n, quiet, err)
		}
		if _, err := near.Read(make([]byte, 1)); !errors.Is(err, socket.ErrTimeout) {
			t.Errorf("after %s: %v", patience, err)
		}
		read(t, far, "hello")
	}
}

func TestAQuestionThatTheSystemTakesInPartsIsAskedWhole(t *testing.T) {
	t.Parallel()
	near, far := pair(t)
	question := bytes.Repeat([]byte("question"), 4<<20)
	got := make(chan int)
	go func() {
		n, _ := io.CopyN(io.Discard, far, int64(len(question)))
		got <- int(n)
	}()
	if n, quiet, err := near.Ask(question); n != len(question) || !quiet || err != nil {
		t.Errorf("%d, %v, %v", n, quiet, err)
	}
	if n := <-got; n != len(question) {
		t.Errorf("%d bytes arrive", n)
	}
}
