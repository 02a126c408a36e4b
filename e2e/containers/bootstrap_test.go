//go:build containers

package containers

import (
	"strings"
	"testing"
)

func TestAFreshHostIsReadyAfterBootstrap(t *testing.T) {
	t.Parallel()
	h := startHost(t, "fresh")
	if version := h.shell("docker compose version --short"); !strings.HasPrefix(version, "2.") {
		t.Errorf("the deploying user has docker compose %q", version)
	}
	modes := h.root("stat", "--format", "%n %U %a", "/opt/portico", "/opt/portico/secrets", "/opt/portico/.env", "/opt/portico/secrets/secret_key")
	want := "/opt/portico deploy 750\n/opt/portico/secrets deploy 700\n/opt/portico/.env deploy 640\n/opt/portico/secrets/secret_key deploy 444"
	if modes != want {
		t.Errorf("owners and modes are\n%s\nwant\n%s", modes, want)
	}
	before := h.root("sh", "-c", "cat /opt/portico/.env /opt/portico/secrets/*")
	script := h.root("cat", "/etc/systemd/system/portico.service")
	if !strings.Contains(script, "exec /opt/portico/deploy.sh start'\n") || !strings.Contains(script, "User=deploy\n") {
		t.Errorf("portico.service is\n%s", script)
	}
	h.bootstrap("--site", "other.test")
	if after := h.root("sh", "-c", "cat /opt/portico/.env /opt/portico/secrets/*"); after != before {
		t.Error("a second run changed settings or secrets")
	}
	if rules := h.root("ufw", "show", "added"); !strings.Contains(rules, " 22/tcp") || strings.Count(rules, "443/tcp") != 1 || strings.Count(rules, "443/udp") != 1 {
		t.Errorf("the firewall's rules are\n%s", rules)
	}
}

func TestBootstrapRefusesWhatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		arguments []string
		tells     string
	}{
		"no site":              {nil, "--site is missing"},
		"an unknown option":    {[]string{"--sight", "example.com"}, "unknown option --sight"},
		"an option at the end": {[]string{"--site"}, "--site wants a value"},
		"a site with a path":   {[]string{"--site", "example.com/x"}, "is not a host name"},
		"a folder with spaces": {[]string{"--site", "example.com", "--folder", "/opt/my site"}, "is not a plain absolute path"},
		"two keys at once":     {[]string{"--site", "example.com", "--key", "ssh-ed25519 AAAA\nssh-ed25519 BBBB"}, "is not one SSH public key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			output, err := attempt(t, nil, "docker/bootstrap.sh", test.arguments...)
			if err == nil || !strings.Contains(output, test.tells) || strings.Count(output, "\n") > 0 {
				t.Errorf("bootstrap.sh %q told %q (%v), want one line with %q", test.arguments, output, err, test.tells)
			}
		})
	}
}
