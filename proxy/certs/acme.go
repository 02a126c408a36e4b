package certs

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
	"go.uber.org/zap"
)

// acmeIssuers are the ACME servers of settings, in the order in which they are asked.
func acmeIssuers(managing *certmagic.Config, settings Settings, log *zap.Logger) ([]*certmagic.ACMEIssuer, error) {
	directories := settings.Directories
	if len(directories) == 0 {
		directories = []Directory{{}}
	}
	issuers := make([]*certmagic.ACMEIssuer, 0, len(directories))
	for _, directory := range directories {
		roots, err := directoryRoots(directory.RootsFile)
		if err != nil {
			return nil, err
		}
		template := certmagic.ACMEIssuer{
			CA:                   cmp.Or(directory.URL, certmagic.LetsEncryptProductionCA),
			Email:                settings.Email,
			Agreed:               true,
			TrustedRoots:         roots,
			DisableHTTPChallenge: settings.HTTPPort == 0,
			AltHTTPPort:          settings.HTTPPort,
			AltTLSALPNPort:       settings.HTTPSPort,
			Logger:               log,
		}
		if binding := directory.Binding; binding != nil {
			template.ExternalAccount = &acme.EAB{KeyID: binding.KeyID, MACKey: binding.Key}
		}
		if settings.DNS != nil {
			template.DNS01Solver = &certmagic.DNS01Solver{DNSManager: certmagic.DNSManager{
				DNSProvider:        settings.DNS.Provider,
				Resolvers:          settings.DNS.Resolvers,
				PropagationTimeout: settings.DNS.Timeout,
				Logger:             log,
			}}
		}
		issuers = append(issuers, certmagic.NewACMEIssuer(managing, template))
	}
	return issuers, nil
}

func directoryRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil //nolint:nilnil // nil is the system's roots
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("tls.directory_ca: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("tls.directory_ca: no PEM certificate in %s", file)
	}
	return roots, nil
}

// HandleChallenge answers r when it is a CA's http-01 challenge, and tells whether it did.
func (m *Manager) HandleChallenge(w http.ResponseWriter, r *http.Request) bool {
	for _, issuer := range m.acme {
		if issuer.HandleHTTPChallenge(w, r) {
			return true
		}
	}
	return false
}
