package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// TLS says how the targets of https are believed, and who the edge is towards them. The zero value believes the system's roots,
// under the target's own name.
type TLS struct {
	ServerName  string // in the place of the target's host, to ask for and to verify
	Roots       string // PEM; "" for the system's
	Certificate string // PEM, of the edge as a client; "" for none
	Key         string // PEM, the Certificate's
	Insecure    bool   // believe anybody
}

// Config is what a client of TLS needs to know of it. The errors are those of the PEM.
func (s TLS) Config() (*tls.Config, error) {
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: s.ServerName,
		InsecureSkipVerify: s.Insecure, //nolint:gosec // only if the operator spells it out
	}
	if s.Roots != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(s.Roots)) {
			return nil, errors.New("there is no certificate in the PEM file of roots")
		}
	}
	if s.Certificate != "" {
		pair, err := tls.X509KeyPair([]byte(s.Certificate), []byte(s.Key))
		if err != nil {
			return nil, fmt.Errorf("the certificate for targets: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// sessions is how many TLS sessions of a target can be resumed.
const sessions = 64

// secure gives the target its configurations of TLS: one that offers all that is spoken here, and one for upgrades.
func (t *Target) secure(of *tls.Config) {
	if t.Scheme != "https" {
		return
	}
	t.config = of.Clone()
	if t.config.ServerName == "" {
		t.config.ServerName = t.hostname()
	}
	t.config.NextProtos = []string{protocolHTTP2, protocolHTTP11}
	t.config.ClientSessionCache = tls.NewLRUClientSessionCache(sessions)
	t.upgradeConfig = t.config.Clone()
	t.upgradeConfig.NextProtos = []string{protocolHTTP11}
}
