package certs

import (
	"context"
	"time"
)

// storagePause is how long a storage that failed is left alone.
const storagePause = 10 * time.Minute

// order is the way of a configured name to its first certificate.
type order struct{ giveUp context.CancelFunc }

// place gets the certificates that are missing, in the background. However often the configuration is loaded while a CA is
// down, each name is on order once; one that is left out of the configuration is given up.
func (m *Manager) place(names []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range names {
		if m.orders[name] != nil || m.closed || m.has(name) {
			continue
		}
		ctx, giveUp := context.WithCancel(m.ctx)
		placed := &order{giveUp}
		m.orders[name] = placed
		m.background.Go(func() {
			defer giveUp()
			m.obtainAtLast(ctx, name)
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.orders[name] == placed {
				delete(m.orders, name)
			}
		})
	}
}

// obtainAtLast tries until it succeeds or ctx ends. certmagic repeats by itself what a CA refuses; what remains is a storage
// that fails.
func (m *Manager) obtainAtLast(ctx context.Context, name string) {
	for {
		err := m.obtain(ctx, name)
		if err == nil || ctx.Err() != nil {
			return
		}
		m.log.Error("no certificate", "name", name, "error", err, "again_in", storagePause)
		m.attempts.fail(name, err, m.expiry(name), m.tells(name))
		select {
		case <-ctx.Done():
			return
		case <-time.After(storagePause):
		}
	}
}
