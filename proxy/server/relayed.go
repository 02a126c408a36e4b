package server

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/portico-web/portico/proxy/proxyprotocol"
)

// relayed tells whether connections from peer begin with a header of the PROXY protocol.
func (s *server) relayed(peer netip.Addr) bool {
	for _, prefix := range *s.relays.Load() {
		if prefix.Contains(peer) {
			return true
		}
	}
	return false
}

// introduce learns from the header whose connection this is, and lets talk serve it. A connection without a header is closed:
// from a balancer that is to send one, it would pass somebody's request off as the balancer's own.
func (c *conn) introduce(talk func()) {
	s := c.server
	c.socket.ReadBy(c.since.Add(min(s.settings.ReadHeaderTimeout, mostHandshake))) // what TLS needs after it counts to the same time
	stop := context.AfterFunc(s.handshakes, c.socket.Interrupt)
	source, err := proxyprotocol.Read(c.socket)
	if !stop() || err != nil {
		s.counts.unintroduced.Add(1)
		if errors.Is(err, proxyprotocol.ErrMalformed) {
			s.strangers.warn(s, c.peer, err)
		}
		c.end()
		return
	}
	if !source.Local {
		c.peer = source.Client
	}
	talk()
}

// strangers tells of connections that should have begun with a PROXY header, but not of each.
type strangers struct {
	mu   sync.Mutex
	last time.Time
}

func (w *strangers) warn(s *server, peer netip.AddrPort, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := time.Now(); now.Sub(w.last) > warnEvery {
		w.last = now
		s.log.Warn("connection refused: switch the PROXY protocol on at the load balancer, or leave its address out of listen.proxy_protocol",
			"peer", peer.String(), "err", err)
	}
}
