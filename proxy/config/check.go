package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/portico-web/portico/internal/ratelimit"
	"github.com/portico-web/portico/proxy/document"
)

// checker finds what is wrong with the values of a configuration, beyond their form.
type checker struct {
	config *Config
	doc    *document.Document
	hosts  map[string]string // host → path of the value that named it first
}

func (c *checker) all() {
	c.listen()
	c.tls()
	if c.config.Redis != "" {
		if err := ratelimit.CheckURL(c.config.Redis); err != nil {
			c.doc.Faultf("redis", "redis: %s", err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.config.RateLimits)) {
		c.rateLimit("rate_limits."+name, c.config.RateLimits[name])
	}
	for _, name := range slices.Sorted(maps.Keys(c.config.Upstreams)) {
		if strings.Contains(name, "/") { // app/canary is how the canary of app is called
			c.doc.Faultf("upstreams."+name, "upstreams: the name %q has a slash: leave it out", name)
		}
		c.upstream("upstreams."+name, c.config.Upstreams[name])
	}
	c.limits()
	c.accessLog()
	c.tracing()
	if len(c.config.Sites) == 0 {
		c.doc.Faultf("sites", "no sites: name at least one, with hosts and routes")
	}
	c.hosts = map[string]string{}
	for i := range c.config.Sites {
		c.site(fmt.Sprintf("sites[%d]", i), &c.config.Sites[i])
	}
}

func (c *checker) oneOf(path, value string, known ...string) {
	if !slices.Contains(known, value) {
		c.doc.Faultf(path, "%s: unknown value %q%s", path, value, document.Suggest(value, known))
	}
}
