package proxy

import (
	"context"

	"github.com/caddyserver/certmagic"

	"github.com/portico-web/portico/internal/ratelimit"
	"github.com/portico-web/portico/proxy/certs"
	"github.com/portico-web/portico/proxy/certs/dns"
	"github.com/portico-web/portico/proxy/config"
	"github.com/portico-web/portico/proxy/control"
)

// certSettings says which certificates the configuration asks for.
func (p *Proxy) certSettings(cfg *config.Config) certs.Settings {
	settings := certs.Settings{
		Issuer:      certs.Issuer(cfg.TLS.Issuer),
		Email:       cfg.TLS.Email,
		Directories: directories(&cfg.TLS),
		DNS:         dnsChallenge(cfg.TLS.DNS),
		OnDemand:    onDemand(cfg.TLS.OnDemand),
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

// directories are the ACME servers in the order in which they are asked.
func directories(configured *config.TLS) []certs.Directory {
	asked := []certs.Directory{{URL: configured.Directory, RootsFile: configured.DirectoryCA, Binding: binding(configured.EAB)}}
	if fallback := configured.Fallback; fallback != nil {
		asked = append(asked, certs.Directory{URL: fallback.Directory, RootsFile: fallback.DirectoryCA, Binding: binding(fallback.EAB)})
	}
	return asked
}

func binding(configured *config.Binding) *certs.Binding {
	if configured == nil {
		return nil
	}
	return &certs.Binding{KeyID: configured.KeyID, Key: configured.Key()}
}

func onDemand(configured *config.OnDemand) *certs.OnDemand {
	if configured == nil {
		return nil
	}
	return &certs.OnDemand{
		Ask: configured.Ask, Timeout: configured.Timeout, AllowedFor: configured.AllowedFor, RefusedFor: configured.RefusedFor,
		Rate: ratelimit.Limit{Events: configured.Rate.Events, Period: configured.Rate.Period, Burst: configured.Rate.Events},
	}
}

func dnsChallenge(configured *config.DNSChallenge) *certs.DNS {
	if configured == nil {
		return nil
	}
	return &certs.DNS{Provider: dnsProvider(configured), Resolvers: configured.Resolvers, Timeout: configured.PropagationTimeout}
}

func dnsProvider(configured *config.DNSChallenge) certmagic.DNSProvider {
	switch {
	case configured.Cloudflare != nil:
		return dns.NewCloudflare(configured.Cloudflare.Endpoint, configured.Cloudflare.TokenFile)
	case configured.Route53 != nil:
		return dns.NewRoute53(dns.Route53Settings{
			Region: configured.Route53.Region, HostedZoneID: configured.Route53.HostedZoneID,
			CredentialsFile: configured.Route53.CredentialsFile, Endpoint: configured.Route53.Endpoint,
		})
	default:
		return dns.NewRFC2136(configured.RFC2136.Server, configured.RFC2136.KeyFile)
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
	if p.certs, err = certs.New(ctx, settings, p.log); err != nil {
		return err
	}
	p.options.Checks.Add("certificates", p.certs.Check)
	return nil
}

func (p *Proxy) closeCertificates() {
	if p.certs != nil {
		p.options.Checks.Remove("certificates")
		p.certs.Close()
	}
}

// certificates is what the control socket tells of them.
func (p *Proxy) certificates() []control.Certificate {
	statuses := p.certs.Statuses()
	told := make([]control.Certificate, 0, len(statuses))
	for _, status := range statuses {
		told = append(told, control.Certificate{
			Name: status.Name, Source: string(status.Source), Issuer: status.Issuer, Expiry: status.Expiry, Error: status.Error, Failed: status.Failed,
		})
	}
	return told
}
