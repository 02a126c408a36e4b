package server

import (
	"maps"
	"sync"
	"sync/atomic"
)

// Counts is what became of the connections since the listeners were opened.
type Counts struct {
	Open     map[string]int    // by listener: http, https, quic
	Accepted map[string]uint64 // likewise

	HandshakesFailed uint64 // of TLS over TCP
	Unintroduced     uint64 // without the PROXY header that was due
	Evicted          uint64 // idle ones that made room for others
}

type counts struct {
	mu       sync.Mutex
	open     map[string]int
	accepted map[string]uint64

	handshakesFailed, unintroduced, evicted atomic.Uint64
}

func (c *counts) entered(listener string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open, c.accepted = map[string]int{}, map[string]uint64{}
	}
	c.open[listener]++
	c.accepted[listener]++
}

func (c *counts) left(listener string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[listener]--
}

// Counts may be called at any time.
func (l *Listeners) Counts() Counts {
	c := &l.counts
	c.mu.Lock()
	defer c.mu.Unlock()
	return Counts{
		Open: maps.Clone(c.open), Accepted: maps.Clone(c.accepted),
		HandshakesFailed: c.handshakesFailed.Load(), Unintroduced: c.unintroduced.Load(), Evicted: c.evicted.Load(),
	}
}
