package proxy_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portico-web/portico/internal/dbtest"
	"github.com/portico-web/portico/internal/health"
)

// Two edges with one limit, and a Redis in every kind of trouble: nothing is refused for it, requests do not wait for it, the
// edges keep the limit by themselves, and share it again when the trouble is over.
func TestRedisInTroubleRefusesNothingAndIsSharedAgainAfterwards(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		begin, end func(*dbtest.RedisServer, *dbtest.Relay)
	}{
		"killed": {
			func(redis *dbtest.RedisServer, _ *dbtest.Relay) { redis.Kill() },
			func(redis *dbtest.RedisServer, _ *dbtest.Relay) { redis.Start() },
		},
		"blackholed": {
			func(_ *dbtest.RedisServer, network *dbtest.Relay) { network.Blackhole() },
			func(_ *dbtest.RedisServer, network *dbtest.Relay) { network.Heal() },
		},
		"slowed": {
			func(_ *dbtest.RedisServer, network *dbtest.Relay) { network.Slow(300 * time.Millisecond) },
			func(_ *dbtest.RedisServer, network *dbtest.Relay) { network.Heal() },
		},
		"hanging": {
			func(redis *dbtest.RedisServer, _ *dbtest.Relay) { redis.Hang() },
			func(redis *dbtest.RedisServer, _ *dbtest.Relay) { redis.Resume() },
		},
		"cut off": {
			func(_ *dbtest.RedisServer, network *dbtest.Relay) { network.Blackhole(); network.Cut() },
			func(_ *dbtest.RedisServer, network *dbtest.Relay) { network.Heal() },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := dbtest.NewRedis(t)
			network := dbtest.NewRelay(t, redis.URL)
			config := "redis: \"" + network.URL + "\"\nrate_limits: {few: {rate: 2/h, key: \"header:X-Key\"}, many: {rate: 100000/h}}\n" +
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
