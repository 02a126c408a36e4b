package ratelimit_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/portico-web/portico/internal/ratelimit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRatesAreReadInTheirForms(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text   string
		events int
		period time.Duration
	}{
		{"50/s", 50, time.Second},
		{"10/m", 10, time.Minute},
		{"100/h", 100, time.Hour},
		{"1000/d", 1000, 24 * time.Hour},
		{"5/10s", 5, 10 * time.Second},
		{" 5 / 10s ", 5, 10 * time.Second},
	} {
		events, period, err := ratelimit.ParseRate(c.text)
		if err != nil || events != c.events || period != c.period {
			t.Errorf("%q: %d per %s, %v", c.text, events, period, err)
		}
	}
	for _, text := range []string{"", "50", "/s", "0/s", "-1/s", "5/x", "1.5/s", "5/0s", "5/-1s", "99999999/s", "5/1ns", "1/9000h"} {
		if _, _, err := ratelimit.ParseRate(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestOneCustomerOfIPv6IsOneClient(t *testing.T) {
	t.Parallel()
	key := func(text string) string { return ratelimit.ClientKey(netip.MustParseAddr(text)) }
	if key("2001:db8:1:2::1") != key("2001:db8:1:2:ffff::9") {
		t.Error("two addresses of one /64 differ")
	}
	if key("2001:db8:1:2::1") == key("2001:db8:1:3::1") {
		t.Error("two /64 are one")
	}
	if key("::ffff:192.0.2.1") != key("192.0.2.1") {
		t.Error("an IPv4 address differs from its IPv6 spelling")
	}
	if key("192.0.2.1") == key("192.0.2.2") {
		t.Error("two IPv4 addresses are one")
	}
}

func TestLocalAllowsTheBurstThenTheRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limiter := ratelimit.NewLocal(1000, time.Now)
		limit := ratelimit.Limit{Events: 10, Period: time.Second, Burst: 3}
		allow := func() ratelimit.Result { return limiter.Allow(t.Context(), "a", limit) }
		for want := 2; want >= 0; want-- {
			if got := allow(); !got.Allowed || got.Remaining != want || got.RetryAfter != 0 {
				t.Fatalf("with %d to remain: %+v", want, got)
			}
		}
		refused := allow()
		if refused.Allowed || refused.RetryAfter != 100*time.Millisecond || refused.ResetAfter != 300*time.Millisecond {
			t.Fatalf("the fourth: %+v", refused)
		}
		if other := limiter.Allow(t.Context(), "b", limit); !other.Allowed {
			t.Fatal("another key is limited too")
		}
		time.Sleep(refused.RetryAfter - time.Nanosecond)
		if allow().Allowed {
			t.Fatal("allowed before RetryAfter passed")
		}
		time.Sleep(time.Nanosecond)
		if !allow().Allowed {
			t.Fatal("refused after RetryAfter passed")
		}
		time.Sleep(time.Second)
		if got := allow(); got.Remaining != 2 {
			t.Fatalf("after a rest: %+v", got)
		}
	})
}

func TestLocalPeeksWithoutCounting(t *testing.T) {
	t.Parallel()
	limiter := ratelimit.NewLocal(1000, time.Now)
	limit := ratelimit.Limit{Events: 1, Period: time.Hour, Burst: 1}
	for range 3 {
		if got := limiter.Peek(t.Context(), "a", limit); !got.Allowed || got.Remaining != 1 {
			t.Fatalf("before: %+v", got)
		}
	}
	limiter.Allow(t.Context(), "a", limit)
	if got := limiter.Peek(t.Context(), "a", limit); got.Allowed || got.RetryAfter <= 0 {
		t.Fatalf("after: %+v", got)
	}
}

func TestLocalHoldsBoundedKeysAndKeepsLimitingBusyOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const most = 1600
		limiter := ratelimit.NewLocal(most, time.Now)
		limit := ratelimit.Limit{Events: 1, Period: time.Minute, Burst: 1}
		for i := range 10 * most {
			limiter.Allow(t.Context(), fmt.Sprint("key", i), limit)
		}
		if held := limiter.Len(); held > most {
			t.Fatalf("%d keys are held, %d may be", held, most)
		}
		// At rest everything is forgotten in time, so that what comes next finds room without displacing a busy key.
		time.Sleep(2 * time.Minute)
		limiter.Allow(t.Context(), "busy", ratelimit.Limit{Events: 1, Period: time.Hour, Burst: 1})
		for i := range most / 2 {
			limiter.Allow(t.Context(), fmt.Sprint("later", i), limit)
		}
		if limiter.Allow(t.Context(), "busy", ratelimit.Limit{Events: 1, Period: time.Hour, Burst: 1}).Allowed {
			t.Fatal("a busy key was forgotten while others were at rest")
		}
	})
}

func TestLocalKeepsTheKeysOfALimitWhateverOtherLimitsHold(t *testing.T) {
	t.Parallel()
	const most = 1600
	limit := func(name string) ratelimit.Limit {
		return ratelimit.Limit{Name: name, Events: 1, Period: time.Hour, Burst: 1}
	}
	limiter := ratelimit.NewLocal(most, time.Now)
	count := func(name string, keys int) (allowed int) {
		for i := range keys {
			if limiter.Allow(t.Context(), fmt.Sprint(name, i), limit(name)).Allowed {
				allowed++
			}
		}
		return allowed
	}
	const few = most / 8
	count("before", few)
	count("flooded", 4*most)
	count("after", few) // takes its share of what is full
	count("flooded too", 4*most)
	if held := limiter.Len(); held > most || held < most/2 {
		t.Errorf("%d keys are held, %d may be", held, most)
	}
	for _, name := range []string{"before", "after"} {
		if allowed := count(name, few); allowed > 0 {
			t.Errorf("%s: %d of %d keys are forgotten", name, allowed, few)
		}
	}
}

func TestLocalCountsExactlyUnderContention(t *testing.T) {
	t.Parallel()
	limiter := ratelimit.NewLocal(1000, time.Now)
	limit := ratelimit.Limit{Events: 1, Period: time.Hour, Burst: 50}
	results := make(chan bool)
	for range 8 {
		go func() {
			for range 25 {
				results <- limiter.Allow(context.Background(), "a", limit).Allowed
			}
		}()
	}
	allowed := 0
	for range 200 {
		if <-results {
			allowed++
		}
	}
	if allowed != 50 {
		t.Fatalf("%d allowed, want 50", allowed)
	}
}
