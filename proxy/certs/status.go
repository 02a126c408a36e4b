package certs

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/portico-web/portico/internal/health"
)

// Status is what is known of the certificate for one name.
type Status struct {
	Name     string
	Source   Issuer
	OnDemand bool      // a handshake asked for it
	Issuer   string    // who signed it; "" as long as there is none
	Expiry   time.Time // zero as long as there is none
	// Error is why the last attempt to get or renew it failed, at the time Failed; "" when it did not. It is one line.
	Error  string
	Failed time.Time
}

// mostError bounds the text of a failure, which a CA writes, in bytes.
const mostError = 500

// attempts remembers how the last attempt for each name went. It is safe for concurrent use.
type attempts struct {
	mu     sync.Mutex
	failed map[string]failure
	count  uint64 // failed attempts of all names
}

type failure struct {
	text   string
	when   time.Time
	expiry time.Time // of the certificate that was in use
}

// fail counts a failed attempt; what it failed of is kept only for names that somebody is told of.
func (a *attempts) fail(name string, err error, expiry time.Time, kept bool) {
	text := strings.Join(strings.Fields(strings.Map(printable, err.Error())), " ")
	if len(text) > mostError {
		text = strings.ToValidUTF8(text[:mostError], "") + "…"
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.count++
	if !kept {
		return
	}
	if a.failed == nil {
		a.failed = map[string]failure{}
	}
	a.failed[name] = failure{text, time.Now(), expiry}
}

// printable leaves out what could command an operator's terminal.
func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return ' '
}

func (a *attempts) forget(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.failed, name)
}

func (a *attempts) last(name string) failure {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failed[name]
}

// keep forgets all names but these.
func (a *attempts) keep(names map[string]bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name := range a.failed {
		if !names[name] {
			delete(a.failed, name)
		}
	}
}

// watched tells which of certmagic's events are looked at: others, such as that of each handshake, are not even made.
func watched(event string) bool {
	return event == "cert_obtaining" || event == "cert_failed" || event == "cert_obtained"
}

// event takes note of how an attempt ended; an error stops one that is about to begin.
func (m *Manager) event(ctx context.Context, event string, data map[string]any) error {
	name, _ := data["identifier"].(string)
	switch event {
	case "cert_obtaining":
		if renewal, _ := data["renewal"].(bool); renewal {
			return m.mayRenew(ctx, name)
		}
	case "cert_obtained":
		m.attempts.forget(name)
	case "cert_failed":
		if err, ok := data["error"].(error); ok {
			m.attempts.fail(name, err, m.expiry(name), m.tells(name))
		}
	}
	return nil
}

// tells tells whether Statuses has name. Others, which handshakes asked for in vain, may be any number.
func (m *Manager) tells(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	served := m.served.Load() // nil at the start
	return served != nil && served.managed[name] || m.onDemand[name]
}

// Statuses tells of the certificates of the configured names and files, and of those on demand, sorted by name.
func (m *Manager) Statuses() []Status {
	m.mu.Lock()
	managed := m.managed
	m.mu.Unlock()
	onDemand := m.namesOnDemand()
	files := m.files.Load()
	statuses := make([]Status, 0, len(managed)+len(onDemand)+len(files.byName))
	for i, name := range slices.Concat(managed, onDemand) {
		if files.byName[name] != nil {
			continue // the file is what is served
		}
		status := Status{Name: name, Source: m.issuer, OnDemand: i >= len(managed)}
		for _, certificate := range m.cache.AllMatchingCertificates(name) {
			status.show(certificate.Leaf)
		}
		// A certificate that is newer than the failure came by another edge, through the storage they share.
		if failed := m.attempts.last(name); !status.Expiry.After(failed.expiry) {
			status.Error, status.Failed = failed.text, failed.when
		}
		statuses = append(statuses, status)
	}
	for name, certificates := range files.byName {
		status := Status{Name: name, Source: Files}
		status.show(certificates[0].Leaf)
		statuses = append(statuses, status)
	}
	slices.SortFunc(statuses, func(a, b Status) int { return strings.Compare(a.Name, b.Name) })
	return statuses
}

// expiry is until when the certificate in use for name is valid; zero when there is none.
func (m *Manager) expiry(name string) time.Time {
	var status Status
	for _, certificate := range m.cache.AllMatchingCertificates(name) {
		status.show(certificate.Leaf)
	}
	return status.Expiry
}

// show takes over the one of several certificates that is valid for longest.
func (s *Status) show(leaf *x509.Certificate) {
	if leaf == nil || !leaf.NotAfter.After(s.Expiry) {
		return
	}
	s.Expiry = leaf.NotAfter
	s.Issuer = leaf.Issuer.CommonName
	if len(leaf.Issuer.Organization) > 0 && !strings.HasPrefix(s.Issuer, leaf.Issuer.Organization[0]) {
		s.Issuer = strings.TrimSpace(leaf.Issuer.Organization[0] + " " + s.Issuer)
	}
}

// Failures is how many attempts to get or renew a certificate failed so far.
func (m *Manager) Failures() uint64 {
	m.attempts.mu.Lock()
	defer m.attempts.mu.Unlock()
	return m.attempts.count
}

// Check is degraded while a certificate of a configured name could not be got or renewed, or has expired: the names still answer with what there is.
func (m *Manager) Check(context.Context) health.Result {
	var troubles []string
	for _, status := range m.Statuses() {
		switch {
		case status.OnDemand: // whose names are not the operator's to mend
		case status.Error != "":
			troubles = append(troubles, status.Name+": "+status.Error)
		case !status.Expiry.IsZero() && time.Now().After(status.Expiry):
			troubles = append(troubles, fmt.Sprintf("%s: expired at %s", status.Name, status.Expiry.Format(time.RFC3339)))
		}
	}
	if len(troubles) == 0 {
		return health.Result{Status: health.OK}
	}
	const shown = 3
	detail := strings.Join(troubles[:min(shown, len(troubles))], "; ")
	if more := len(troubles) - shown; more > 0 {
		detail += fmt.Sprintf("; and %d more (proxy certs lists them)", more)
	}
	return health.Result{Status: health.Degraded, Detail: detail}
}
