package proxy

import (
	"context"
	"errors"
	"fmt"
)

// Reload reads the configuration file again and takes it over as a whole, without dropping a request or a connection. A file
// that is refused, for its content or because it wants what only a restart can change, changes nothing; the reason comes
// back, is logged, and shows in /readyz until a reload succeeds. Reloads run one after the other.
func (p *Proxy) Reload(ctx context.Context) error {
	p.reloading.Lock()
	defer p.reloading.Unlock()
	select {
	case <-p.ready:
	default:
		return errors.New("the edge does not run yet")
	}
	if p.ended {
		return errors.New("the edge has stopped")
	}
	if p.options.ConfigPath == "" {
		return errors.New("the edge was started without a configuration file to reload")
	}
	err := p.takeOver(ctx)
	p.metrics.reloaded(err == nil)
	if err != nil {
		p.refused.Store(&err)
		p.logRefused(err)
		return err
	}
	p.refused.Store(nil)
	p.log.Info("configuration reloaded", "file", p.options.ConfigPath)
	return nil
}

func (p *Proxy) takeOver(ctx context.Context) error {
	cfg, err := Load(p.options.ConfigPath, p.options.Lookup)
	if err != nil {
		return err
	}
	p.override(cfg)
	previous := p.current.Load()
	if err := needsRestart(previous.config, cfg); err != nil {
		return err
	}
	next, err := p.build(ctx, cfg, previous)
	if err != nil {
		return err
	}
	if p.certs != nil {
		if err := p.certs.Update(ctx, p.certSettings(cfg)); err != nil {
			next.retire(previous)
			return err
		}
	}
	p.current.Store(next)
	p.listeners.SetPace(cfg.pace())
	p.showLimiter(next)
	previous.retire(next)
	p.metrics.drop(previous.config, cfg)
	return nil
}

// needsRestart tells which settings of the next configuration only a restart can take over.
func needsRestart(current, next *Config) error {
	for _, setting := range []struct {
		key         string
		now, wanted any
	}{
		{"listen.http", current.Listen.HTTP, next.Listen.HTTP},
		{"listen.https", current.Listen.HTTPS, next.Listen.HTTPS},
		{"listen.http3", current.Listen.HTTP3, next.Listen.HTTP3},
		{"listen.internal", current.Listen.Internal, next.Listen.Internal},
		{"listen.admin", current.Listen.Admin, next.Listen.Admin},
		{"tls.issuer", current.TLS.Issuer, next.TLS.Issuer},
		{"tls.email", current.TLS.Email, next.TLS.Email},
		{"tls.directory", current.TLS.Directory, next.TLS.Directory},
		{"tls.directory_ca", current.TLS.DirectoryCA, next.TLS.DirectoryCA},
		{"limits.connections", current.Limits.Connections, next.Limits.Connections},
		{"limits.streams", current.Limits.Streams, next.Limits.Streams},
		{"limits.header_bytes", current.Limits.HeaderBytes, next.Limits.HeaderBytes},
		{"limits.header_fields", current.Limits.HeaderFields, next.Limits.HeaderFields},
		{"limits.target_bytes", current.Limits.TargetBytes, next.Limits.TargetBytes},
		{"limits.read_header_timeout", current.Limits.ReadHeaderTimeout, next.Limits.ReadHeaderTimeout},
		{"limits.idle_timeout", current.Limits.IdleTimeout, next.Limits.IdleTimeout},
		{"limits.http2", current.Limits.HTTP2, next.Limits.HTTP2},
	} {
		if setting.now != setting.wanted {
			return fmt.Errorf("%s changed from %v to %v: this one needs a restart", setting.key, setting.now, setting.wanted)
		}
	}
	if current.TLS.Storage != next.TLS.Storage {
		return errors.New("tls.storage changed: this one needs a restart") // it may hold a password
	}
	if current.TLS.storageKey != next.TLS.storageKey {
		return errors.New("the secret in tls.storage_key_file changed: this one needs a restart")
	}
	return nil
}
