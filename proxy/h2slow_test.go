package proxy_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// h2impatient are limits short enough for a test.
const h2impatient = "limits: {read_header_timeout: 1s, idle_timeout: 1s, stall_timeout: 1s}\n"

// h2bound is how long the edge may take to do what it has to do after a second.
const h2bound = 5 * time.Second

// Memory and goroutines of the whole process are looked at: no test runs beside this one.
func TestClientsByHTTP2ThatTakeNothingHoldLittleAndAreCut(t *testing.T) {
	target := newH2target(t)
	e := startQuiet(t, h2impatient+site(target.address, `      - {path: /, upstream: app}`))
	for _, c := range []struct {
		name   string
		window int    // of each stream
		grant  uint32 // for the connection
		deaf   bool
	}{
		{name: "windows of nothing", window: 0},
		{name: "windows of a byte", window: 1},
		{name: "a connection's window that is used up", window: 1<<31 - 1},
		{name: "a connection that is not read", window: 1<<31 - 1, grant: 1 << 30, deaf: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			target.reset()
			bear(t, e, func() func() {
				p, err := e.attack(c.deaf, h2window(c.window))
				if err != nil {
					t.Error(err)
					return func() {}
				}
				if c.grant > 0 {
					_ = p.WriteWindowUpdate(0, c.grant)
				}
				p.repeat(int(p.streams), func(i int) error { return p.ask(i, http.MethodGet, "/endless", true) })
				if !target.wait(h2patience, func() bool { return target.work.Load() == int64(p.streams) }) {
					t.Logf("the upstream works at %d requests of %d", target.work.Load(), p.streams)
				}
				return func() {
					defer p.close()
					if !target.wait(h2bound, func() bool { return target.work.Load() == 0 }) {
						t.Errorf("the upstream still works at %d requests for a client that takes nothing", target.work.Load())
					}
				}
			})
			if target.peak.Load() == 0 {
				t.Error("the upstream was asked for nothing")
			}
		})
	}
}

func TestClientsByHTTP2ThatSayNothingAreCut(t *testing.T) {
	const each = 20
	const settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	e := startQuiet(t, h2impatient+site(newH2target(t).address, `      - {path: /, upstream: app}`))
	kinds := map[string]func() (net.Conn, error){
		"no TLS":              func() (net.Conn, error) { return say(e.dialTCP, "") },
		"half of TLS":         func() (net.Conn, error) { return say(e.dialTCP, "\x16\x03\x01\x02\x00\x01\x00") }, // 7 of 517 bytes
		"TLS alone":           func() (net.Conn, error) { return say(e.dialH2, "") },
		"half of the preface": func() (net.Conn, error) { return say(e.dialH2, http2.ClientPreface[:12]) },
		"the preface alone":   func() (net.Conn, error) { return say(e.dialH2, http2.ClientPreface) },
		"half of a frame":     func() (net.Conn, error) { return say(e.dialH2, http2.ClientPreface+settings[:5]) },
		"settings alone":      func() (net.Conn, error) { return say(e.dialH2, http2.ClientPreface+settings) },
		"half of a head": func() (net.Conn, error) {
			return say(e.dialH2, http2.ClientPreface+settings+"\x00\x00\x01\x01\x01\x00\x00\x00\x01\x82")
		},
		"half of a head frame": func() (net.Conn, error) {
			return say(e.dialH2, http2.ClientPreface+settings+"\x00\x00\x09\x01\x05\x00\x00\x00\x01\x82")
		},
	}
	bear(t, e, func() func() {
		open := map[net.Conn]string{}
		for name, dial := range kinds {
			for range each {
				conn, err := dial()
				if err != nil {
					t.Error(err)
					continue
				}
				open[conn] = name
			}
		}
		return func() {
			var mu sync.Mutex
			var reading sync.WaitGroup
			still := map[string]int{}
			for conn, name := range open {
				reading.Go(func() {
					_ = conn.SetReadDeadline(time.Now().Add(h2bound))
					if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
						mu.Lock()
						still[name]++
						mu.Unlock()
					}
					_ = conn.Close()
				})
			}
			reading.Wait()
			if len(still) > 0 {
				t.Errorf("still open: %v", still)
			}
		}
	})
}

func (e *edge) dialTCP() (net.Conn, error) { return net.Dial("tcp", e.Addrs().HTTPS.String()) }

// say opens a connection and sends text.
func say(dial func() (net.Conn, error), text string) (net.Conn, error) {
	conn, err := dial()
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, text); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}
