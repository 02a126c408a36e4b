package proxy

import (
	"context"

	"github.com/portico-web/portico/proxy/certs"
	"github.com/portico-web/portico/proxy/certs/dns"
	"github.com/portico-web/portico/proxy/config"
)

// certSettings says which certificates the configuration asks for.
func (p *Proxy) certSettings(cfg *config.Config) certs.Settings {
	settings := certs.Settings{
		Issuer:      certs.Issuer(cfg.TLS.Issuer),
		Email:       cfg.TLS.Email,
		Directories: []certs.Directory{{URL: cfg.TLS.Directory, RootsFile: cfg.TLS.DirectoryCA}},
		DNS:         dnsChallenge(cfg.TLS.DNS),
		Folder:      p.options.DataDir,
	}
	if cfg.TLS.Storage != "" && !cfg.TLS.SharedStorage() {
		settings.Folder = cfg.TLS.Storage
	}
	for _, site := range cfg.Sites {
		settings.Hosts = append(append(settings.Hosts, site.Hosts...), site.RedirectFrom...)
	}
	for _, pair := range cfg.TLS.Certificates {
		settings.Files = append(settings.Files, certs.Pair{Cert: pair.Cert, Key: pair.Key})
	}
	if p.addrs.HTTP != nil {
		settings.HTTPPort = p.addrs.HTTP.Port
	}
	if p.addrs.HTTPS != nil {
		settings.HTTPSPort = p.addrs.HTTPS.Port
	}
	return settings
}

func dnsChallenge(configured *config.DNSChallenge) *certs.DNS {
	if configured == nil {
		return nil
	}
	return &certs.DNS{
		Provider:  dns.NewRFC2136(configured.RFC2136.Server, configured.RFC2136.KeyFile),
		Resolvers: configured.Resolvers, Timeout: configured.PropagationTimeout,
	}
}

func (p *Proxy) openCertificates(ctx context.Context, cfg *config.Config) (err error) {
	if cfg.Listen.HTTPS == "" {
		return nil
	}
	settings := p.certSettings(cfg)
	if cfg.TLS.SharedStorage() {
		if settings.Storage, err = certs.OpenRedis(ctx, cfg.TLS.Storage, cfg.TLS.StorageKey()); err != nil {
			return err
		}
	}
	p.certs, err = certs.New(ctx, settings, p.log)
	return err
}

func (p *Proxy) closeCertificates() {
	if p.certs != nil {
		p.certs.Close()
	}
}
