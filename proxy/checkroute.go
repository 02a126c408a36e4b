package proxy

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/portico-web/portico/proxy/document"
	"github.com/portico-web/portico/proxy/routing"
)

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
	c.oneOf(path+".encoded_slash", route.EncodedSlash, encodedSlashPass, encodedSlashRefuse)
	if route.RateLimit != "" {
		if _, ok := c.config.RateLimits[route.RateLimit]; !ok {
			c.doc.Faultf(path+".rate_limit", "%s.rate_limit: no rate limit is named %q%s", path, route.RateLimit,
				document.Suggest(route.RateLimit, slices.Collect(maps.Keys(c.config.RateLimits))))
		}
	}
	if route.StripPrefix && route.Upstream == "" {
		c.doc.Faultf(path+".strip_prefix", "%s.strip_prefix goes with upstream only", path)
	}
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

func (c *checker) files(path string, files *Files) {
	if files.Root == "" {
		c.doc.Faultf(path, "%s wants a root folder", path)
		return
	}
	if err := checkFolder(files.Root); err != nil {
		c.doc.Faultf(path+".root", "%s.root: %s", path, err)
	}
}

func checkFolder(folder string) error {
	info, err := os.Stat(folder)
	if err != nil {
		return fmt.Errorf("the folder %s cannot be served (%w): make it, or correct the path", folder, cause(err))
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder", folder)
	}
	return nil
}

func (c *checker) redirect(path string, redirect *Redirect) {
	if !slices.Contains([]int{301, 302, 303, 307, 308}, redirect.Status) {
		c.doc.Faultf(path+".status", "%s.status: %d is not one of 301, 302, 303, 307, 308", path, redirect.Status)
	}
	target, err := url.Parse(redirectSample(redirect.To))
	switch {
	case redirect.To == "":
		c.doc.Faultf(path, "%s wants to: an address or a path", path)
	case err != nil || strings.ContainsAny(redirect.To, " \t\r\n"),
		target.Host == "" && !strings.HasPrefix(redirect.To, "/") && !strings.HasPrefix(redirect.To, "{uri}") && !strings.HasPrefix(redirect.To, "{path}"),
		target.Host != "" && target.Scheme != "http" && target.Scheme != "https":
		c.doc.Faultf(path+".to", "%s.to: %q is neither a path nor an http(s) address; {host}, {path} and {uri} may stand in it", path, redirect.To)
	}
}

// redirectSample fills a redirect's placeholders with harmless values.
func redirectSample(to string) string {
	return strings.NewReplacer("{host}", "host", "{path}", "/path", "{uri}", "/path?query").Replace(to)
}
