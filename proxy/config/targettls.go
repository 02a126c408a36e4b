package config

import (
	"os"
	"strings"

	"github.com/portico-web/portico/proxy/upstream"
)

// TargetTLS says how targets of https are believed, and who the edge is towards them.
type TargetTLS struct {
	ServerName         string `yaml:"server_name"`          // "": the target's host
	CA                 string `yaml:"ca"`                   // PEM file of the roots to believe; "": the system's
	Cert               string `yaml:"cert"`                 // PEM file of the edge's certificate as a client; "": none
	Key                string `yaml:"key"`                  // PEM file of its key
	InsecureSkipVerify bool   `yaml:"insecure_skip_verify"` // believe anybody

	read upstream.TLS
}

// Settings is the configuration with the content of its files.
func (t *TargetTLS) Settings() upstream.TLS { return t.read }

func (c *checker) targetTLS(path string, u Upstream) {
	settings := u.TLS
	secure := false
	for _, target := range u.Targets {
		secure = secure || strings.HasPrefix(target, "https://")
	}
	switch {
	case !secure:
		c.doc.Faultf(path, "%s: no target speaks TLS: write https:// before those that do", path)
	case (settings.Cert == "") != (settings.Key == ""):
		c.doc.Faultf(path, "%s wants both cert and key, or neither", path)
		return
	case settings.InsecureSkipVerify && settings.CA != "":
		c.doc.Faultf(path+".insecure_skip_verify", "%s.insecure_skip_verify believes anybody, so that ca means nothing: keep one of them", path)
	case settings.ServerName != "" && strings.ContainsAny(settings.ServerName, ":/ *"):
		c.doc.Faultf(path+".server_name", "%s.server_name: %q is not a host name", path, settings.ServerName)
	}
	settings.read = upstream.TLS{ServerName: settings.ServerName, Insecure: settings.InsecureSkipVerify}
	for _, file := range []struct {
		key, name string
		content   *string
	}{
		{"ca", settings.CA, &settings.read.Roots}, {"cert", settings.Cert, &settings.read.Certificate}, {"key", settings.Key, &settings.read.Key},
	} {
		if file.name == "" {
			continue
		}
		content, err := os.ReadFile(file.name)
		if err != nil {
			c.doc.Faultf(path+"."+file.key, "%s.%s: %s cannot be read (%s)", path, file.key, file.name, cause(err))
			return
		}
		*file.content = string(content)
		c.config.watched = append(c.config.watched, file.name)
	}
	if _, err := settings.read.Config(); err != nil {
		c.doc.Faultf(path, "%s: %s", path, err)
	}
}
