package upstream_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/portico-web/portico/proxy/upstream"
)

// numbered lists n targets.
func numbered(n int) (targets []string) {
	for i := range n {
		targets = append(targets, fmt.Sprintf("10.0.0.%d:80", i+1))
	}
	return targets
}

// picked chooses for a request, and releases the target.
func picked(t *testing.T, p *upstream.Pool, asks *upstream.Request) *upstream.Target {
	t.Helper()
	target, err := p.Pick(asks, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Release(target)
	return target
}

func TestOfTwoTargetsTheOneWithLessWorkIsChosen(t *testing.T) {
	t.Parallel()
	p := pool(t, upstream.Settings{Targets: numbered(2), Balance: upstream.TwoChoices})
	var held []*upstream.Target
	for range 100 { // each stays in work: the two are never more than one apart
		target, err := p.Pick(request("192.0.2.1"), nil)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, target)
		if one, other := p.Targets()[0].Active(), p.Targets()[1].Active(); max(one, other)-min(one, other) > 1 {
			t.Fatalf("%d and %d requests", one, other)
		}
	}
	for _, target := range held {
		p.Release(target)
	}
}

func TestTwoChoicesReachAllTargetsAndSparesWhatRefused(t *testing.T) {
	t.Parallel()
	p := pool(t, upstream.Settings{Targets: numbered(5), Balance: upstream.TwoChoices})
	for _, refused := range p.Targets()[:3] {
		refused.Refused()
	}
	times := map[string]int{}
	for range 1000 {
		times[picked(t, p, request("192.0.2.1")).Host]++
	}
	if len(times) != 2 || times["10.0.0.4:80"] < 200 || times["10.0.0.5:80"] < 200 {
		t.Errorf("%v", times)
	}
	tried := p.Targets()[:4]
	for range 20 {
		target, err := p.Pick(request("192.0.2.1"), tried)
		if err != nil || target != p.Targets()[4] {
			t.Fatalf("%v, %v", target, err)
		}
		p.Release(target)
	}
}

const keys = 10_000

// owners tells which target each key belongs to.
func owners(t *testing.T, p *upstream.Pool) (owners [keys]string) {
	t.Helper()
	for key := range keys {
		owners[key] = picked(t, p, request(fmt.Sprintf("2001:db8::%x", key))).Host
	}
	return owners
}

func TestAHashMovesOnlyTheKeysOfATargetThatLeaves(t *testing.T) {
	t.Parallel()
	whole := pool(t, upstream.Settings{Targets: numbered(10), Balance: upstream.Hash})
	before := owners(t, whole)
	if again := owners(t, whole); again != before {
		t.Error("a key has no fixed target")
	}
	if elsewhere := owners(t, pool(t, upstream.Settings{Name: "edge 2", Targets: numbered(10), Balance: upstream.Hash})); elsewhere != before {
		t.Error("two edges do not agree")
	}
	after := owners(t, pool(t, upstream.Settings{Targets: numbered(10)[1:], Balance: upstream.Hash}))
	heirs, moved := map[string]int{}, 0
	for key := range before {
		switch {
		case before[key] == "10.0.0.1:80":
			heirs[after[key]]++
			moved++
		case before[key] != after[key]:
			t.Fatalf("key %d moved from %s to %s, which both are there", key, before[key], after[key])
		}
	}
	if moved < keys/20 || moved > keys/5 || len(heirs) != 9 {
		t.Errorf("%d of %d keys moved, to %v", moved, keys, heirs)
	}
}

func TestAHashSharesKeysEvenly(t *testing.T) {
	t.Parallel()
	times := map[string]int{}
	for _, owner := range owners(t, pool(t, upstream.Settings{Targets: numbered(5), Balance: upstream.Hash})) {
		times[owner]++
	}
	for host, n := range times {
		if n < keys/5*9/10 || n > keys/5*11/10 {
			t.Errorf("%s has %d of %d keys", host, n, keys)
		}
	}
}

func TestTheKeyOfAHash(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		by            upstream.HashBy
		same, another func(i int) *upstream.Request
	}{
		"client": {upstream.HashBy{},
			func(i int) *upstream.Request { return request("192.0.2.1", fmt.Sprintf("X-Tenant: %d", i)) },
			func(i int) *upstream.Request { return request(fmt.Sprintf("192.0.2.%d", i), "X-Tenant: 1") }},
		"header": {upstream.HashBy{Header: "X-Tenant"},
			func(i int) *upstream.Request { return request(fmt.Sprintf("192.0.2.%d", i), "x-tenant: 1") },
			func(i int) *upstream.Request { return request("192.0.2.1", fmt.Sprintf("X-Tenant: %d", i)) }},
		"no header": {upstream.HashBy{Header: "X-Tenant"},
			func(i int) *upstream.Request { return request("192.0.2.1", fmt.Sprintf("X-Other: %d", i)) },
			func(i int) *upstream.Request { return request(fmt.Sprintf("192.0.2.%d", i)) }},
		"cookie": {upstream.HashBy{Cookie: "session"},
			func(i int) *upstream.Request {
				return request("192.0.2.1", fmt.Sprintf("Cookie: a=%d; session=x; b=1", i))
			},
			func(i int) *upstream.Request {
				return request("192.0.2.1", "Cookie: a=1", fmt.Sprintf("Cookie: session=%d", i))
			}},
	} {
		p := pool(t, upstream.Settings{Targets: numbered(8), Balance: upstream.Hash, HashBy: c.by})
		first, others := picked(t, p, c.same(1)), map[*upstream.Target]bool{}
		for i := range 50 {
			if target := picked(t, p, c.same(i)); target != first {
				t.Errorf("%s: the same key leads to %s and %s", name, first.Host, target.Host)
			}
			others[picked(t, p, c.another(i))] = true
		}
		if len(others) < 4 {
			t.Errorf("%s: other keys lead to %d targets", name, len(others))
		}
	}
}

func TestATargetThatComesInBeginsWithLittle(t *testing.T) {
	t.Parallel()
	for _, balance := range []upstream.Balance{upstream.RoundRobin, upstream.LeastConn, upstream.TwoChoices, upstream.Hash} {
		n := newNames("192.0.2.1")
		p := following(t, n, upstream.Settings{Targets: []string{"app:80"}, Balance: balance, SlowStart: time.Hour})
		n.settled(t)
		n.become(nil, "192.0.2.1", "192.0.2.2")
		n.settled(t)
		const times = 5000
		fresh := 0
		var held []*upstream.Target
		for i := range times {
			target, err := p.Pick(request(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String()), nil)
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, target)
			if strings.HasPrefix(target.Endpoint(), "192.0.2.2:") {
				fresh++
			}
		}
		for _, target := range held {
			p.Release(target)
		}
		if fresh < times/50 || fresh > times/5 {
			t.Errorf("balance %d: %d of %d requests", balance, fresh, times)
		}
	}
}

func TestTargetsOfTheFirstHourShareEvenly(t *testing.T) {
	t.Parallel()
	n := newNames("192.0.2.1", "192.0.2.2")
	p := following(t, n, upstream.Settings{Targets: []string{"app:80", "192.0.2.3:80"}, SlowStart: time.Hour})
	n.settled(t)
	times := map[string]int{}
	for range 300 {
		times[picked(t, p, request("192.0.2.9")).Endpoint()]++
	}
	for at, count := range times {
		if count != 100 {
			t.Errorf("%s: %d of 300", at, count)
		}
	}
}

func TestChoosingAllocatesNothing(t *testing.T) {
	for _, balance := range []upstream.Balance{upstream.RoundRobin, upstream.LeastConn, upstream.TwoChoices, upstream.Hash} {
		p := pool(t, upstream.Settings{Targets: numbered(5), Balance: balance, SlowStart: time.Minute, HashBy: upstream.HashBy{Cookie: "a"}})
		asks := request("192.0.2.1", "Cookie: b=1; a=2")
		if n := testing.AllocsPerRun(100, func() { picked(t, p, asks) }); n != 0 {
			t.Errorf("balance %d: %v times", balance, n)
		}
	}
}

func BenchmarkPick(b *testing.B) {
	for name, settings := range map[string]upstream.Settings{
		"round robin": {}, "least conn": {Balance: upstream.LeastConn}, "p2c": {Balance: upstream.TwoChoices}, "hash": {Balance: upstream.Hash},
	} {
		b.Run(name, func(b *testing.B) {
			settings.Targets = numbered(4)
			p := pool(b, settings)
			asks := request("192.0.2.1")
			b.ReportAllocs()
			for b.Loop() {
				target, err := p.Pick(asks, nil)
				if err != nil {
					b.Fatal(err)
				}
				p.Release(target)
			}
		})
	}
}
