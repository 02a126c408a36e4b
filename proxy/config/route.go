package config

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/portico-web/portico/proxy/document"
	"github.com/portico-web/portico/proxy/routing"
)

// What is done with %2F in a path.
const (
	EncodedSlashPass   = "pass"
	EncodedSlashRefuse = "refuse"
)

// Route is what is done with the paths below one prefix: exactly one of Upstream, Files and Redirect is set.
type Route struct {
	Path          string    `yaml:"path"`
	Upstream      string    `yaml:"upstream"`
	Files         *Files    `yaml:"files"`
	Redirect      *Redirect `yaml:"redirect"`
	RedirectSlash bool      `yaml:"redirect_slash"`
	Rewrite       string    `yaml:"rewrite"` // the path that the upstream is asked for; "": the client's
	StripPrefix   bool      `yaml:"strip_prefix"`
	Compress      Compress  `yaml:"compress"`

	Policies
	Open bool `yaml:"open"` // the site's policies do not hold for it

	EncodedSlash     string `yaml:"encoded_slash" choice:"pass refuse"` // pass or refuse %2F in paths
	UnderscoreFields bool   `yaml:"underscore_fields"`                  // let fields with an underscore in their name through

	BodyBytes       *Size      `yaml:"body_bytes"`       // in the place of limits.body_bytes; 0: no limit. Set after Load
	RequestHeaders  FieldEdits `yaml:"request_headers"`  // after the site's
	ResponseHeaders FieldEdits `yaml:"response_headers"` // after the site's
	CacheControl    string     `yaml:"cache_control"`    // in the place of what the upstream says; "": that
}

func (c *checker) route(path string, route *Route) {
	clean, err := routing.Normalize(route.Path)
	switch {
	case route.Path == "":
		c.doc.Faultf(path, "%s has no path", path)
	case err != nil || strings.ContainsAny(route.Path, "?#"), strings.HasSuffix(route.Path, "//"):
		c.doc.Faultf(path+".path", "%s.path: %q is not a path such as /api/", path, route.Path)
	default:
		route.Path = clean
	}
	c.action(path, route)
	c.policies(path, &route.Policies)
	c.rewrite(path, route)
	if route.StripPrefix && route.Upstream == "" {
		c.doc.Faultf(path+".strip_prefix", "%s.strip_prefix goes with upstream only", path)
	}
	c.requestHeaders(path+".request_headers", route.RequestHeaders)
	if route.RequestHeaders.Some() && route.Upstream == "" {
		c.doc.Faultf(path+".request_headers", "%s.request_headers goes with upstream only", path)
	}
	c.responseHeaders(path+".response_headers", route.ResponseHeaders)
	c.cacheControl(path, route)
	c.compress(path+".compress", route.Compress)
	if route.RedirectSlash && (!strings.HasSuffix(route.Path, "/") || route.Path == "/") {
		c.doc.Faultf(path+".redirect_slash", "%s.redirect_slash needs a path that ends with a slash, such as /flower/", path)
	}
}

// action checks that the route does exactly one thing.
func (c *checker) action(path string, route *Route) {
	var named []string
	if route.Upstream != "" {
		named = append(named, "upstream")
		if _, ok := c.config.Upstreams[route.Upstream]; !ok {
			c.doc.Faultf(path+".upstream", "%s.upstream: no upstream is named %q%s", path, route.Upstream,
				document.Suggest(route.Upstream, slices.Collect(maps.Keys(c.config.Upstreams))))
		}
	}
	if route.Files != nil {
		named = append(named, "files")
		c.files(path+".files", route.Files)
	}
	if route.Redirect != nil {
		named = append(named, "redirect")
		c.redirect(path+".redirect", route.Redirect)
	}
	switch len(named) {
	case 0:
		c.doc.Faultf(path, "%s does nothing: give it one of upstream, files, redirect", path)
	case 1:
	default:
		c.doc.Faultf(path, "%s has %s: keep one of them", path, strings.Join(named, " and "))
	}
}

func (r *Route) fillIn(mostContent Size) {
	if r.BodyBytes == nil {
		r.BodyBytes = new(mostContent)
	}
	r.Policies.fillIn()
	r.EncodedSlash = cmp.Or(r.EncodedSlash, EncodedSlashPass)
	if r.Files != nil {
		r.Files.fillIn()
	}
	if r.Redirect != nil {
		r.Redirect.fillIn()
	}
}
