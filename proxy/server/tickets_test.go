package server

import (
	"crypto/tls"
	"testing"
	"time"
)

func TestKeysOfTicketsAreReplacedDailyAndForgotten(t *testing.T) {
	t.Parallel()
	var keys tickets
	config := &tls.Config{}
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	keys.renew(now, config)
	first := keys.all()[0]
	for hour := range 24 * 20 {
		keys.renew(now.Add(time.Duration(hour)*time.Hour), config)
		all := keys.all()
		if want := min(hour/24+1, mostTickets); len(all) != want {
			t.Fatalf("after %d hours there are %d keys, not %d", hour, len(all), want)
		}
		if known := string(all[len(all)-1].Key) == string(first.Key); known != (hour/24 < mostTickets) {
			t.Fatalf("after %d hours the first key is known: %v", hour, known)
		}
	}
}

func TestOnlyKeysOfTicketsAreInherited(t *testing.T) {
	t.Parallel()
	var keys tickets
	good := ticketKey{make([]byte, ticketKeySize), time.Now().Add(-time.Hour)}
	old := ticketKey{make([]byte, ticketKeySize), time.Now().Add(-9 * 24 * time.Hour)}
	keys.inherit([]ticketKey{{nil, time.Now()}, good, {make([]byte, 31), time.Now()}, old})
	keys.renew(time.Now(), &tls.Config{})
	if all := keys.all(); len(all) != 1 || !all[0].Since.Equal(good.Since) {
		t.Errorf("%v", all)
	}
}
