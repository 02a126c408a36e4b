package config

import (
	"errors"
	"fmt"
	"reflect"
)

// NeedsRestart says which settings of the next configuration only a restart can take over; nil when there are none.
func NeedsRestart(current, next *Config) error {
	for _, setting := range []struct {
		key         string
		now, wanted any
	}{
		{"listen.http", current.Listen.HTTP, next.Listen.HTTP},
		{"listen.https", current.Listen.HTTPS, next.Listen.HTTPS},
		{"listen.http3", current.Listen.HTTP3, next.Listen.HTTP3},
		{"listen.internal", current.Listen.Internal, next.Listen.Internal},
		{"listen.admin", current.Listen.Admin, next.Listen.Admin},
		{"listen.handover", current.Listen.Handover, next.Listen.Handover},
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
	for _, setting := range []struct {
		key         string
		now, wanted any
	}{
		{"tls.eab", current.TLS.EAB, next.TLS.EAB},
		{"tls.fallback", current.TLS.Fallback, next.TLS.Fallback},
		{"tls.dns", current.TLS.DNS, next.TLS.DNS},
	} {
		if !reflect.DeepEqual(setting.now, setting.wanted) { // they hold keys, so that no values are told
			return fmt.Errorf("%s changed: this one needs a restart", setting.key)
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
