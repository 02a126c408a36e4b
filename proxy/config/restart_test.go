package config_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/portico-web/portico/proxy/config"
)

func TestWhatIsAboutACMENeedsARestartAndTellsNoKey(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write(t, filepath.Join(folder, "key"), "c2VjcmV0\n")
	write(t, filepath.Join(folder, "other"), "b3RoZXI\n")
	with := func(keys string) *config.Config {
		t.Helper()
		content := strings.Replace(valid, "issuer: local", "issuer: acme"+strings.ReplaceAll(keys, "$DIR", folder), 1)
		cfg, err := config.Parse("p.yaml", []byte(content), noVariables)
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	for key, c := range map[string]struct{ now, next string }{
		"tls.eab":      {", eab: {key_id: kid, key_file: $DIR/key}", ", eab: {key_id: kid, key_file: $DIR/other}"},
		"tls.fallback": {"", `, fallback: {directory: "https://ca.example/directory"}`},
		"tls.dns":      {", dns: {cloudflare: {token_file: $DIR/key}}", ", dns: {cloudflare: {token_file: $DIR/other}}"},
	} {
		err := config.NeedsRestart(with(c.now), with(c.next))
		if err == nil || !strings.HasPrefix(err.Error(), key+" changed") || strings.Contains(err.Error(), folder) {
			t.Errorf("%s: %v", key, err)
		}
		if err := config.NeedsRestart(with(c.now), with(c.now)); err != nil {
			t.Errorf("%s, unchanged: %v", key, err)
		}
	}
	onDemand := `, on_demand: {ask: "http://app/ask"}`
	if err := config.NeedsRestart(with(""), with(onDemand)); err != nil {
		t.Errorf("tls.on_demand is taken over by a reload: %v", err)
	}
}
