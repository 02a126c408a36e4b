package upstream_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	own "github.com/portico-web/portico/proxy/http2"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/upstream"
)

const patience = 10 * time.Second

// h2c runs a target; serves has each connection after what was said first, and what it returns closes it.
func h2c(t *testing.T, serves func(*http2.Framer, net.Conn), settings ...http2.Setting) (target *upstream.Target, p *upstream.Pool, connections *atomic.Int64) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	var open sync.Map
	connections = &atomic.Int64{}
	wait.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			open.Store(conn, nil)
			wait.Go(func() {
				defer conn.Close()
				if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
					return
				}
				framer := http2.NewFramer(conn, conn)
				if len(settings) > 0 {
					_ = framer.WriteSettings(settings...)
				}
				serves(framer, conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		open.Range(func(conn, _ any) bool { _ = conn.(net.Conn).Close(); return true })
		wait.Wait()
	})
	p = pool(t, upstream.Settings{Targets: []string{"h2c://" + listener.Addr().String()}})
	return p.Targets()[0], p, connections
}

func streams(n uint32) http2.Setting {
	return http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: n}
}

func readAll(framer *http2.Framer, _ net.Conn) {
	for {
		if _, err := framer.ReadFrame(); err != nil {
			return
		}
	}
}

func dial(t *testing.T, target *upstream.Target) *own.ClientStream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := target.DialStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func TestStreamsShareAConnectionUntilItIsFull(t *testing.T) {
	t.Parallel()
	target, _, connections := h2c(t, readAll, streams(10))
	if target.Stream() != nil {
		t.Error("a stream without a connection")
	}
	taken := make(chan *own.ClientStream, 25)
	var wait sync.WaitGroup
	for range 25 {
		wait.Go(func() { taken <- dial(t, target) })
	}
	wait.Wait()
	close(taken)
	if n := connections.Load(); n != 3 {
		t.Errorf("25 streams share %d connections, of 10 each", n)
	}
	for stream := range taken {
		stream.Release()
	}
	if stream := target.Stream(); stream == nil {
		t.Error("no place is free again")
	} else {
		stream.Release()
	}
}

func TestATargetThatCannotBeSpokenToTakesNoConnection(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		serves   func(*http2.Framer, net.Conn)
		settings []http2.Setting
	}{
		"takes no streams": {readAll, []http2.Setting{streams(0)}},
		"closes":           {func(*http2.Framer, net.Conn) {}, nil},
		"speaks HTTP/1.1": {func(_ *http2.Framer, conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			_, _ = io.Copy(io.Discard, conn)
		}, nil},
	} {
		target, _, _ := h2c(t, test.serves, test.settings...)
		_, err := target.DialStream(t.Context())
		if _, refused := errors.AsType[*upstream.DialError](err); !refused {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whoever dials may leave; the others go on.
func TestADialThatIsGivenUpIsNoFailureOfTheTarget(t *testing.T) {
	t.Parallel()
	word := make(chan struct{})
	target, _, _ := h2c(t, func(framer *http2.Framer, conn net.Conn) {
		<-word
		_ = framer.WriteSettings()
		readAll(framer, conn)
	})
	ctx, cancel := context.WithCancel(t.Context())
	first, second := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := target.DialStream(ctx)
		first <- err
	}()
	go func() {
		stream, err := target.DialStream(t.Context())
		if err == nil {
			stream.Release()
		}
		second <- err
	}()
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(word)
	if err := <-second; err != nil {
		t.Error(err)
	}
}

func TestAClosedPoolsStreamsGoOnAndLeaveNoConnection(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{}, 2)
	target, p, _ := h2c(t, func(framer *http2.Framer, conn net.Conn) {
		readAll(framer, conn)
		ended <- struct{}{}
	}, streams(10))
	before := dial(t, target)
	p.Close()
	after := dial(t, target)
	for _, stream := range []*own.ClientStream{before, after} {
		if err := stream.Send(&message.Head{Method: "GET", Path: "/"}, false, nil, true); err != nil {
			t.Error(err)
		}
		select {
		case <-ended:
			t.Error("a connection ended under a stream")
		default:
		}
		stream.Release()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Error("a connection is left")
		}
	}
}

func TestAConnectionThatEndsIsForgotten(t *testing.T) {
	t.Parallel()
	target, _, connections := h2c(t, func(framer *http2.Framer, conn net.Conn) {
		for {
			frame, err := framer.ReadFrame()
			if err != nil {
				return
			}
			if _, begins := frame.(*http2.HeadersFrame); begins {
				_ = framer.WriteGoAway(0, http2.ErrCodeNo, nil)
			}
		}
	}, streams(10))
	for i := range 3 {
		stream := dial(t, target)
		if err := stream.Send(&message.Head{Method: "GET", Path: "/"}, false, nil, true); err != nil {
			t.Fatal(err)
		}
		stream.ReadWithin(time.Now(), patience)
		if err := stream.ReadHead(&message.Head{}); !own.Untouched(err) {
			t.Error(err)
		}
		stream.Release()
		if n := connections.Load(); n != int64(i+1) {
			t.Errorf("%d connections for %d streams", n, i+1)
		}
	}
}
