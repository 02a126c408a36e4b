package certs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/portico-web/portico/proxy/routing"
)

const (
	// obtainTimeout bounds how long a certificate is waited for that a handshake asked for; handshakes themselves give up
	// earlier, and the next one finds it.
	obtainTimeout = 3 * time.Minute
	// handshakePatience is how long a handshake waits for it: a client that has not gone by then soon does.
	handshakePatience = 9 * time.Second
	// mostFlights bounds the names that certificates are got for at once.
	mostFlights = 64
)

// served is what is configured now, for handshakes to look at.
type served struct {
	hosts    map[string]bool
	managed  map[string]bool // names that have a certificate ahead of the first handshake
	onDemand bool            // other names of the hosts may have one
	local    bool            // so may all below localhost
}

// flight is the way of one name to its certificate, which handshakes wait for together.
type flight struct {
	done chan struct{}
	err  error // set before done is closed
}

// fetch makes sure that the certificate for a name that is not configured is in memory, if it may have one. Whether it may is
// decided before anything is read.
func (m *Manager) fetch(ctx context.Context, name string) error {
	if len(m.cache.AllMatchingCertificates(name)) > 0 {
		return nil
	}
	m.mu.Lock()
	under := m.flights[name]
	switch {
	case under != nil:
	case m.closed:
		m.mu.Unlock()
		return errors.New("the edge stops")
	case len(m.flights) >= mostFlights:
		m.mu.Unlock()
		return errors.New("too many names were asked for at once")
	default:
		under = &flight{done: make(chan struct{})}
		m.flights[name] = under
		m.background.Go(func() { m.fly(name, under) })
	}
	m.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, handshakePatience)
	defer cancel()
	select {
	case <-under.done:
		return under.err
	case <-ctx.Done():
		return fmt.Errorf("the certificate for %s is on its way: %w", name, ctx.Err())
	}
}

func (m *Manager) fly(name string, under *flight) {
	ctx, cancel := context.WithTimeout(m.ctx, obtainTimeout)
	defer cancel()
	if under.err = m.permitted(ctx, name); under.err == nil {
		under.err = m.obtain(ctx, name)
		if under.err != nil {
			m.asker.remember(name, answer{under.err, time.Now().Add(time.Minute)})
		}
	}
	if under.err != nil {
		m.log.Debug("no certificate on demand", "name", name, "reason", under.err)
	}
	m.mu.Lock()
	delete(m.flights, name)
	if under.err == nil && len(m.onDemand) < cacheSize {
		m.onDemand[name] = true
	}
	m.mu.Unlock()
	close(under.done)
}

// obtain takes the certificate from the storage, or else gets one.
func (m *Manager) obtain(ctx context.Context, name string) error {
	stored, err := m.managing.CacheManagedCertificate(ctx, name)
	switch {
	case err == nil && !stored.Expired():
		return nil
	case err == nil:
		err = m.managing.RenewCertAsync(ctx, name, false)
	case errors.Is(err, fs.ErrNotExist):
		err = m.managing.ObtainCertAsync(ctx, name)
	}
	if err != nil {
		return err
	}
	_, err = m.managing.CacheManagedCertificate(ctx, name)
	return err
}

// wanted tells whether a handshake for name may lead to a certificate on demand, as far as the configuration goes.
func (s *served) wanted(name string) bool {
	if !s.onDemand || name == "" || s.managed[name] || s.managed[above(name)] {
		return false
	}
	return s.hosts[name] || s.hosts[above(name)] || s.hosts[routing.AnyHost] || s.local && strings.HasSuffix(name, ".localhost")
}

// permitted says whether name may have a certificate: by the local CA if it is known, by ACME if the operator's URL says so.
func (m *Manager) permitted(ctx context.Context, name string) error {
	if !m.served.Load().wanted(name) {
		return fmt.Errorf("%w: no site has this host", errRefused)
	}
	if m.authority != nil {
		return m.roomFor(name)
	}
	if clean, ok := routing.ParseHost(name); !ok || clean != name || strings.Contains(name, "*") || !strings.Contains(name, ".") ||
		certmagic.SubjectIsIP(name) || !certmagic.SubjectQualifiesForPublicCert(name) {
		return fmt.Errorf("%w: it is not a public name", errRefused)
	}
	return m.asker.ask(ctx, name)
}

// roomFor bounds how many certificates the local CA makes because somebody asked for them.
func (m *Manager) roomFor(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.onDemand[name] && len(m.onDemand) >= m.maxOnDemand {
		return errors.New("too many names were asked for")
	}
	m.onDemand[name] = true
	return nil
}

// mayRenew stops the renewal of a certificate on demand whose name is no longer permitted: its owner may have left. When
// nobody can tell, it is renewed.
func (m *Manager) mayRenew(ctx context.Context, name string) error {
	if m.authority != nil || m.served.Load().managed[name] {
		return nil
	}
	err := m.permitted(ctx, name)
	if !errors.Is(err, errRefused) {
		return nil
	}
	m.cache.RemoveManaged([]certmagic.SubjectIssuer{{Subject: name}})
	m.mu.Lock()
	delete(m.onDemand, name)
	m.mu.Unlock()
	m.attempts.forget(name)
	return err
}

// servedBy sums up the configuration for handshakes.
func (m *Manager) servedBy(hosts, managed []string, onDemand bool) *served {
	s := &served{hosts: map[string]bool{}, managed: map[string]bool{}, onDemand: onDemand}
	for _, host := range hosts {
		s.hosts[host] = true
	}
	for _, name := range managed {
		s.managed[name] = true
	}
	if m.authority != nil { // it speaks for names that are configured, and for those of this machine
		s.onDemand, s.local = true, true
		delete(s.hosts, routing.AnyHost)
	}
	return s
}

// namesOnDemand are those with a certificate in memory.
func (m *Manager) namesOnDemand() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := make([]string, 0, len(m.onDemand))
	for name := range m.onDemand {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
