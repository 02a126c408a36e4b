// Package config is proxy.yaml: its keys as types, their defaults, and what is wrong with a file. One file a part of it.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/portico-web/portico/proxy/document"
)

// Config is proxy.yaml. Load and Parse return it checked and with every default filled in; docs/proxy.md describes the keys.
type Config struct {
	Listen         Listen               `yaml:"listen"`
	TLS            TLS                  `yaml:"tls"`
	Redis          string               `yaml:"redis"` // URL; "" keeps limits in this process
	TrustedProxies []Prefix             `yaml:"trusted_proxies"`
	RateLimits     map[string]RateLimit `yaml:"rate_limits"`
	Upstreams      map[string]Upstream  `yaml:"upstreams"`
	Sites          []Site               `yaml:"sites"`
	Limits         Limits               `yaml:"limits"`
	AccessLog      AccessLog            `yaml:"access_log"`
	Tracing        Tracing              `yaml:"tracing"`

	watched []string // files besides the configuration itself whose change is a reason to reload
}

// Faults is everything that is wrong with a configuration's content, each with line and column.
type Faults = document.Faults

// Load reads and checks the configuration file at path. lookup finds the variables that the file refers to (os.LookupEnv).
// What is wrong with the file's content comes as Faults.
func Load(path string, lookup func(string) (string, bool)) (*Config, error) {
	content, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: no such file: name the configuration with --config", path)
	case err != nil:
		return nil, fmt.Errorf("%s: cannot be read (%w)", path, cause(err))
	}
	return Parse(path, content, lookup)
}

// Parse is Load for content that is not in a file; faults call it name.
func Parse(name string, content []byte, lookup func(string) (string, bool)) (*Config, error) {
	config := &Config{}
	doc := document.Decode(name, content, lookup, config)
	if err := doc.Err(); err != nil {
		// What could not be read would only make for misleading faults about what is missing.
		return nil, err
	}
	config.fillIn()
	config.Tracing.fillIn(lookup)
	check := &checker{config: config, doc: doc}
	check.all()
	if err := doc.Err(); err != nil {
		return nil, err
	}
	return config, nil
}

// cause strips the operation and the path that the caller tells anyway.
func cause(err error) error {
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		return pathError.Err
	}
	return err
}

// fillIn gives every key that the file leaves out its default.
func (c *Config) fillIn() {
	c.Listen.fillIn(c.TrustedProxies)
	c.TLS.fillIn()
	c.AccessLog.fillIn()
	c.Limits.fillIn()
	for name, limit := range c.RateLimits {
		limit.fillIn()
		c.RateLimits[name] = limit
	}
	for name, upstream := range c.Upstreams {
		upstream.fillIn()
		c.Upstreams[name] = upstream
	}
	for i := range c.Sites {
		c.Sites[i].fillIn(c.TLS.Issuer, c.Limits.BodyBytes)
	}
}

// Watched are the files besides the configuration itself whose change is a reason to load it again.
func (c *Config) Watched() []string { return c.watched }
