package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/portico-web/portico/proxy/document"
	"github.com/portico-web/portico/proxy/routing"
)

// ForwardAuth asks a server of the operator's whether a request may pass: an answer of 2xx lets it, any other is the client's.
type ForwardAuth struct {
	Upstream string        `yaml:"upstream"`
	Path     string        `yaml:"path"` // what is asked; a query may follow
	Copy     []string      `yaml:"copy"` // fields of its answer that the upstream of the route gets
	Timeout  time.Duration `yaml:"timeout"`
}

func (c *checker) forwardAuth(path string, f *ForwardAuth) {
	if _, ok := c.config.Upstreams[f.Upstream]; f.Upstream == "" {
		c.doc.Faultf(path, "%s wants upstream: the name of the one that is asked", path)
	} else if !ok {
		c.doc.Faultf(path+".upstream", "%s.upstream: no upstream is named %q%s", path, f.Upstream,
			document.Suggest(f.Upstream, slices.Collect(maps.Keys(c.config.Upstreams))))
	}
	if _, err := routing.Normalize(pathOnly(f.Path)); err != nil {
		c.doc.Faultf(path+".path", "%s.path: %q does not begin with a slash", path, f.Path)
	}
	for i, name := range f.Copy {
		c.asserted(fmt.Sprintf("%s.copy[%d]", path, i), name)
	}
	if f.Timeout > 10*time.Minute {
		c.doc.Faultf(path+".timeout", "%s.timeout: %s is longer than 10m", path, f.Timeout)
	}
}

func (f *ForwardAuth) fillIn() {
	f.Path = cmp.Or(f.Path, "/")
	f.Timeout = cmp.Or(f.Timeout, 5*time.Second)
}
