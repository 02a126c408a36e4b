package server

import (
	"crypto/rand"
	"crypto/tls"
	"slices"
	"sync"
	"time"
)

const (
	ticketKeyFor  = 24 * time.Hour     // that a key encrypts tickets
	ticketFor     = 7 * 24 * time.Hour // that a ticket may be used (RFC 8446 section 4.6.1)
	renewTickets  = time.Hour
	mostTickets   = int(ticketFor/ticketKeyFor) + 1
	ticketKeySize = 32
)

// ticketKey encrypts the tickets by which clients resume sessions of TLS. Who has it can read sessions that were resumed
// without a new exchange of keys: so it is never stored, and is replaced each day.
type ticketKey struct {
	Key   []byte    `json:"key"`
	Since time.Time `json:"since"`
}

// tickets are the keys in use, the newest first. They go over with the sockets, so that sessions are resumed after an upgrade.
type tickets struct {
	mu   sync.Mutex
	keys []ticketKey
}

func (t *tickets) all() []ticketKey {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.keys)
}

// inherit takes the keys of another process; those that are no keys are left out.
func (t *tickets) inherit(keys []ticketKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, key := range keys {
		if len(key.Key) == ticketKeySize && len(t.keys) < mostTickets {
			t.keys = append(t.keys, key)
		}
	}
}

// renew makes a new key when it is time, forgets those that are too old, and lets configs use the others.
func (t *tickets) renew(now time.Time, configs ...*tls.Config) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.keys) == 0 || now.Sub(t.keys[0].Since) >= ticketKeyFor {
		fresh := ticketKey{make([]byte, ticketKeySize), now}
		_, _ = rand.Read(fresh.Key) // it never fails
		t.keys = slices.Insert(t.keys, 0, fresh)
	}
	t.keys = slices.DeleteFunc(t.keys, func(key ticketKey) bool { return now.Sub(key.Since) > ticketKeyFor+ticketFor })
	t.keys = t.keys[:min(len(t.keys), mostTickets)]
	keys := make([][ticketKeySize]byte, len(t.keys))
	for i, key := range t.keys {
		keys[i] = [ticketKeySize]byte(key.Key)
	}
	for _, config := range configs {
		config.SetSessionTicketKeys(keys)
	}
}

// renewing lets what serves TLS use the keys, and renews them until the function that comes back is called, which waits.
func (t *tickets) renewing(config *tls.Config, quic *http3Codec) (stop func()) {
	if config == nil {
		return func() {}
	}
	configs := []*tls.Config{config}
	if quic != nil {
		configs = append(configs, quic.codec.TLSConfig)
	}
	t.renew(time.Now(), configs...)
	stopping := make(chan struct{})
	var renewing sync.WaitGroup
	renewing.Go(func() {
		ticker := time.NewTicker(renewTickets)
		defer ticker.Stop()
		for {
			select {
			case <-stopping:
				return
			case now := <-ticker.C:
				t.renew(now, configs...)
			}
		}
	})
	return func() {
		close(stopping)
		renewing.Wait()
	}
}
