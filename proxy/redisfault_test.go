package proxy_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-web/portico/internal/dbtest"
	"github.com/portico-web/portico/internal/health"
)

// relay is the network between edges and Redis, and fails as networks do.
type relay struct {
	url      string // of Redis, by way of the relay
	target   string
	listener net.Listener
	running  sync.WaitGroup
	ended    chan struct{}

	mu          sync.Mutex
	delay       time.Duration // of what Redis answers
	blackholed  chan struct{} // open while nothing passes; nil when it does
	connections map[net.Conn]bool
}

// relayed puts a relay in front of the Redis at a URL.
func relayed(t *testing.T, rawURL string) *relay {
	t.Helper()
	parsed, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{target: parsed.Host, listener: listener, ended: make(chan struct{}), connections: map[net.Conn]bool{}}
	parsed.Host = listener.Addr().String()
	r.url = parsed.String()
	r.running.Go(r.accept)
	t.Cleanup(func() {
		close(r.ended)
		_ = listener.Close()
		r.cut()
		r.running.Wait()
	})
	return r
}

func (r *relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.running.Go(func() { r.carry(client) })
	}
}

func (r *relay) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", r.target)
	if err != nil {
		return
	}
	defer server.Close()
	r.mu.Lock()
	r.connections[client], r.connections[server] = true, true
	r.mu.Unlock()
	var back sync.WaitGroup
	back.Go(func() {
		r.copy(client, server, true)
		_ = client.Close()
	})
	r.copy(server, client, false)
	_ = server.Close()
	back.Wait()
	r.mu.Lock()
	delete(r.connections, client)
	delete(r.connections, server)
	r.mu.Unlock()
}

func (r *relay) copy(to, from net.Conn, answers bool) {
	buffer := make([]byte, 4096)
	for {
		n, err := from.Read(buffer)
		if err != nil || !r.passes(answers) {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// passes waits as long as the trouble wants; it tells whether the relay still runs.
func (r *relay) passes(answers bool) bool {
	r.mu.Lock()
	held, delay := r.blackholed, r.delay
	r.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-r.ended:
			return false
		}
	}
	if !answers || delay == 0 {
		return true
	}
	select {
	case <-time.After(delay):
		return true
	case <-r.ended:
		return false
	}
}

// blackhole lets nothing pass, and breaks nothing off, until heal.
func (r *relay) blackhole() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blackholed = make(chan struct{})
}

// slow makes every answer of Redis late, until heal.
func (r *relay) slow(by time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.delay = by
}

func (r *relay) heal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.delay = 0
	if r.blackholed != nil {
		close(r.blackholed)
		r.blackholed = nil
	}
}

// cut breaks every connection off.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for connection := range r.connections {
		_ = connection.Close()
	}
}

// Two edges with one limit, and a Redis in every kind of trouble: nothing is refused for it, requests do not wait for it, the
// edges keep the limit by themselves, and share it again when the trouble is over.
func TestRedisInTroubleRefusesNothingAndIsSharedAgainAfterwards(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		begin, end func(*dbtest.RedisServer, *relay)
	}{
		"killed": {
			func(redis *dbtest.RedisServer, _ *relay) { redis.Kill() },
			func(redis *dbtest.RedisServer, _ *relay) { redis.Start() },
		},
		"blackholed": {
			func(_ *dbtest.RedisServer, network *relay) { network.blackhole() },
			func(_ *dbtest.RedisServer, network *relay) { network.heal() },
		},
		"slowed": {
			func(_ *dbtest.RedisServer, network *relay) { network.slow(300 * time.Millisecond) },
			func(_ *dbtest.RedisServer, network *relay) { network.heal() },
		},
		"hanging": {
			func(redis *dbtest.RedisServer, _ *relay) { redis.Hang() },
			func(redis *dbtest.RedisServer, _ *relay) { redis.Resume() },
		},
		"cut off": {
			func(_ *dbtest.RedisServer, network *relay) { network.blackhole(); network.cut() },
			func(_ *dbtest.RedisServer, network *relay) { network.heal() },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := dbtest.NewRedis(t)
			network := relayed(t, redis.URL)
			config := "redis: \"" + network.url + "\"\nrate_limits: {few: {rate: 2/h, key: \"header:X-Key\"}, many: {rate: 100000/h}}\n" +
				site(echo(t), "      - {path: /, upstream: app, rate_limit: [many, few]}")
			first, second := start(t, config), start(t, config)
			clients := []*http.Client{first.client(true), second.client(true)}
			ask := func(ctx context.Context, edge int, key string) int {
				t.Helper()
				got, err := try(ctx, clients[edge], http.MethodGet, "https://localhost/", http.Header{"X-Key": {key}}, "")
				if err != nil {
					t.Fatal(err)
				}
				return got.StatusCode
			}
			fresh := 0
			shared := func() bool {
				fresh++
				key := fmt.Sprint("fresh", fresh)
				return ask(t.Context(), 0, key) == http.StatusOK && ask(t.Context(), 1, key) == http.StatusOK && ask(t.Context(), 0, key) == http.StatusTooManyRequests
			}
			eventually(t, "one limit of two edges", shared)

			c.begin(redis, network)
			// Waiting for an answer each time, they would not come to an end before that.
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			for i := range 60 {
				if got := ask(ctx, i%2, fmt.Sprint("trouble", i)); got != http.StatusOK {
					t.Fatalf("request %d is answered %d", i+1, got)
				}
			}
			for edge, e := range []*edge{first, second} {
				for i, want := range []int{http.StatusOK, http.StatusOK, http.StatusTooManyRequests} {
					if got := ask(ctx, edge, "alone"); got != want {
						t.Errorf("request %d of edge %d alone: %d, want %d", i+1, edge+1, got, want)
					}
				}
				if check := e.report().Checks["redis"]; check.Status != health.Degraded || strings.Contains(check.Detail, "test-secret") {
					t.Errorf("edge %d: %+v", edge+1, check)
				}
			}

			c.end(redis, network)
			eventually(t, "one limit of two edges again", shared)
			for _, e := range []*edge{first, second} {
				eventually(t, "good health", func() bool { return e.report().Status == health.OK })
				if strings.Contains(e.log.String(), "test-secret") {
					t.Error("the password is logged")
				}
			}
		})
	}
}

func TestAnEdgeStartsWhileRedisIsAwayAndSharesItsLimitsLater(t *testing.T) {
	t.Parallel()
	redis := dbtest.NewRedis(t)
	config := "redis: \"" + redis.URL + "\"\n" + limited(echo(t))
	redis.Kill()
	e := start(t, config)
	client := e.client(true)
	ask := func() int {
		return do(t, client, http.MethodGet, "https://localhost/", from("203.0.113.1"), "").StatusCode
	}
	for i, want := range []int{http.StatusOK, http.StatusOK, http.StatusTooManyRequests} {
		if got := ask(); got != want {
			t.Errorf("request %d: %d, want %d", i+1, got, want)
		}
	}
	if report := e.report(); report.Status != health.Degraded || strings.Contains(e.log.String(), "test-secret") {
		t.Errorf("%+v\n%s", report, e.log)
	}
	redis.Start()
	eventually(t, "a question to Redis", func() bool { return ask() == http.StatusOK }) // which has counted nothing yet
}
