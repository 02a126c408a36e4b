package proxy

import (
	"context"
	"strings"

	"github.com/portico-web/portico/proxy/certs"
)

// certSettings says which certificates the configuration asks for.
func (p *Proxy) certSettings(cfg *Config) certs.Settings {
	settings := certs.Settings{
		Issuer:      certs.Issuer(cfg.TLS.Issuer),
		Email:       cfg.TLS.Email,
		Directory:   cfg.TLS.Directory,
		DirectoryCA: cfg.TLS.DirectoryCA,
		Folder:      p.options.DataDir,
	}
	if cfg.TLS.Storage != "" && !isRedis(cfg.TLS.Storage) {
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

func isRedis(storage string) bool {
	return strings.HasPrefix(storage, "redis:") || strings.HasPrefix(storage, "rediss:")
}

func (p *Proxy) openCertificates(ctx context.Context, cfg *Config) (err error) {
	if cfg.Listen.HTTPS == "" {
		return nil
	}
	settings := p.certSettings(cfg)
	if isRedis(cfg.TLS.Storage) {
		if settings.Storage, err = certs.OpenRedis(ctx, cfg.TLS.Storage, cfg.TLS.storageKey); err != nil {
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
