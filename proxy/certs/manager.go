// Package certs finds the certificate for each handshake: from files, from an ACME server, or from a certificate authority
// of this machine.
package certs

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/portico-web/portico/proxy/routing"
)

const (
	maxOnDemand = 500
	// loadTimeout bounds how long stored certificates may hold up a start.
	loadTimeout = 5 * time.Second
	// cacheSize bounds the certificates held in memory; others are read from storage when asked for.
	cacheSize = 10_000
)

// Manager serves certificates and renews them in time. It is safe for concurrent use.
type Manager struct {
	log       *slog.Logger
	storage   Storage // nil: a folder
	cache     *certmagic.Cache
	authority *authority
	acme      []*certmagic.ACMEIssuer // in the order in which they are asked
	wildcards bool                    // ACME proves them, by dns-01
	managing  *certmagic.Config
	issuer    Issuer
	files     atomic.Pointer[fileCertificates]
	served    atomic.Pointer[served]
	attempts  attempts
	asker     *asker
	ctx       context.Context
	stop      context.CancelFunc

	background  sync.WaitGroup
	mu          sync.Mutex
	closed      bool
	managed     []string
	onDemand    map[string]bool // names with a certificate that a handshake asked for
	flights     map[string]*flight
	orders      map[string]*order // names whose first certificate is on its way
	maxOnDemand int
}

// New opens what settings name and gets or loads the certificates: at once from the local CA, in the background from ACME.
// ctx bounds New alone.
func New(ctx context.Context, settings Settings, log *slog.Logger) (*Manager, error) {
	m := &Manager{
		log: log, issuer: settings.Issuer, storage: settings.Storage, wildcards: settings.DNS != nil, asker: newAsker(),
		onDemand: map[string]bool{}, flights: map[string]*flight{}, orders: map[string]*order{}, maxOnDemand: cmp.Or(settings.MaxOnDemand, maxOnDemand),
	}
	m.ctx, m.stop = context.WithCancel(context.WithoutCancel(ctx))
	if settings.Issuer != Files {
		if err := m.open(settings); err != nil {
			m.Close()
			return nil, err
		}
	}
	if err := m.Update(ctx, settings); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

func (m *Manager) open(settings Settings) error {
	if settings.Folder == "" {
		return errors.New("tls.storage: name a folder for certificates")
	}
	if err := os.MkdirAll(settings.Folder, 0o700); err != nil {
		return fmt.Errorf("the folder %s for certificates cannot be made (%w): correct its rights, or choose another by tls.storage", settings.Folder, pathCause(err))
	}
	var storage certmagic.Storage = settings.Storage
	if settings.Storage == nil {
		storage = &certmagic.FileStorage{Path: filepath.Join(settings.Folder, "certificates")}
	}
	logger := zapLogger(m.log)
	m.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return m.managing, nil },
		Capacity:         cacheSize,
		Logger:           logger,
	})
	template := certmagic.Config{Storage: storage, Logger: logger, OnEvent: m.event, ShouldEmitFunc: watched}
	if settings.Issuer == Local {
		authority, err := openAuthority(filepath.Join(settings.Folder, "ca"))
		if err != nil {
			return err
		}
		m.authority = authority
		template.Issuers = []certmagic.Issuer{authority}
		template.OCSP.DisableStapling = true
		template.DisableARI = true
		// A client that names nobody calls us by an address; when it is not one of ours (a container's), 127.0.0.1 is the
		// best guess at what it dialled.
		template.DefaultServerName = "127.0.0.1"
		m.managing = certmagic.New(m.cache, template)
		return nil
	}
	m.managing = certmagic.New(m.cache, template)
	issuers, err := acmeIssuers(m.managing, settings, logger)
	if err != nil {
		return err
	}
	m.acme = issuers
	m.managing.Issuers = nil
	for _, issuer := range issuers {
		m.managing.Issuers = append(m.managing.Issuers, issuer)
	}
	return nil
}

// Update takes over the hosts and files of new settings; the issuer and where it stores stay. After an error everything
// is as before.
func (m *Manager) Update(ctx context.Context, settings Settings) error {
	files, err := loadFiles(settings.Files)
	if err != nil {
		return err
	}
	if m.issuer == Files {
		m.files.Store(files)
		return nil
	}
	names := m.namesToManage(settings, files)
	if m.authority != nil {
		signed, err := m.authority.cover(settings.Hosts)
		if err != nil {
			return err
		}
		if signed {
			m.log.Info("the local CA's root certificate is new: let browsers and clients trust it", "file", m.authority.rootFile())
		}
		if err := m.managing.ManageSync(ctx, names); err != nil {
			return fmt.Errorf("certificates from the local CA: %w", err)
		}
	} else {
		m.load(names)
	}
	m.files.Store(files)
	m.asker.set(settings.OnDemand)
	m.served.Store(m.servedBy(settings.Hosts, names, settings.OnDemand != nil))
	m.leave(names)
	if m.authority == nil {
		m.place(names)
	}
	return nil
}

// leave lets go of the names that are managed no longer.
func (m *Manager) leave(names []string) {
	kept := m.served.Load().managed
	m.mu.Lock()
	defer m.mu.Unlock()
	var left []certmagic.SubjectIssuer
	for _, name := range m.managed {
		if !kept[name] {
			left = append(left, certmagic.SubjectIssuer{Subject: name})
		}
	}
	for name, placed := range m.orders {
		if !kept[name] {
			placed.giveUp()
			delete(m.orders, name)
		}
	}
	m.cache.RemoveManaged(left)
	for name := range kept {
		delete(m.onDemand, name)
	}
	m.managed = names
	m.attempts.keep(kept)
}

// load takes the certificates that are stored already into memory, so that the first handshake finds them, and begins to
// renew those that are due. What takes longer than loadTimeout comes later.
func (m *Manager) load(names []string) {
	ctx, cancel := context.WithTimeout(m.ctx, loadTimeout)
	defer cancel()
	var loading sync.WaitGroup
	for _, name := range names {
		if !m.has(name) {
			loading.Go(func() { _, _ = m.managing.CacheManagedCertificate(ctx, name) }) // place sees to what fails
		}
	}
	loading.Wait()
	m.background.Go(func() { _ = m.cache.RenewManagedCertificates(m.ctx) }) // it logs
}

// has tells whether a certificate for name itself, not for a wildcard above it, is in memory.
func (m *Manager) has(name string) bool {
	return slices.ContainsFunc(m.cache.AllMatchingCertificates(name), func(candidate certmagic.Certificate) bool {
		return slices.Contains(candidate.Names, name)
	})
}

// namesToManage are the hosts that get a certificate ahead of the first handshake. Below a wildcard that has one, no name gets
// its own. Of the local CA wildcards have none: their names get certificates one by one, since many clients refuse *.localhost.
func (m *Manager) namesToManage(settings Settings, files *fileCertificates) []string {
	var names []string
	seen := map[string]bool{routing.AnyHost: true}
	add := func(name string) {
		if !seen[name] {
			names = append(names, name)
		}
		seen[name] = true
	}
	if m.authority != nil {
		for _, own := range []string{"localhost", "127.0.0.1", "::1"} {
			add(own)
		}
	}
	wildcards := map[string]bool{}
	for _, host := range settings.Hosts {
		wildcards[host] = m.wildcards && strings.HasPrefix(host, "*.")
	}
	for _, host := range settings.Hosts {
		onDemand := strings.HasPrefix(host, "*.") && (m.authority != nil || settings.OnDemand != nil && !m.wildcards)
		switch {
		case files.covers(host) || onDemand:
		case host != routing.AnyHost && m.authority == nil && !m.provable(host):
			m.log.Warn("no certificate for this host: ACME proves public names, and wildcards with tls.dns alone; give one under tls.certificates", "host", host)
		case above(host) != host && wildcards[above(host)]:
		default:
			add(host)
		}
	}
	return names
}

// provable tells whether an ACME server can be shown that host is ours.
func (m *Manager) provable(host string) bool {
	_, err := netip.ParseAddr(host)
	return err != nil && certmagic.SubjectQualifiesForPublicCert(host) && (m.wildcards || !strings.HasPrefix(host, "*."))
}

// above is the wildcard that name stands below; of a wildcard, itself.
func above(name string) string {
	_, parent, _ := strings.Cut(name, ".")
	return "*." + parent
}

// TLSConfig is for listeners of HTTP/1.1 and HTTP/2.
func (m *Manager) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1", "acme-tls/1"},
		GetCertificate: m.certificate,
	}
}

func (m *Manager) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	files := m.files.Load()
	challenge := slices.Equal(hello.SupportedProtos, []string{"acme-tls/1"})
	if !challenge {
		if certificate := files.find(hello); certificate != nil {
			return certificate, nil
		}
	}
	if m.managing != nil {
		if name := serverName(hello); !challenge && m.served.Load().wanted(name) {
			if err := m.fetch(hello.Context(), name); err != nil {
				return nil, err
			}
		}
		return m.managing.GetCertificate(hello)
	}
	if files.first != nil && !challenge {
		return files.first, nil
	}
	return nil, errors.New("no certificate for " + serverName(hello))
}

// RootFile is the path of the local CA's root certificate, or "".
func (m *Manager) RootFile() string {
	if m.authority == nil {
		return ""
	}
	return m.authority.rootFile()
}

// Close ends the renewals.
func (m *Manager) Close() {
	m.stop()
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.background.Wait()
	m.asker.close()
	if m.cache != nil {
		m.cache.Stop()
	}
	if m.storage != nil {
		_ = m.storage.Close()
	}
}
