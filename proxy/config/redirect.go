package config

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/portico-web/portico/proxy/routing"
)

// Redirect answers with another address.
type Redirect struct {
	To     string `yaml:"to"`
	Status int    `yaml:"status"`
}

func (c *checker) redirect(path string, redirect *Redirect) {
	if !slices.Contains([]int{301, 302, 303, 307, 308}, redirect.Status) {
		c.doc.Faultf(path+".status", "%s.status: %d is not one of 301, 302, 303, 307, 308", path, redirect.Status)
	}
	switch {
	case redirect.To == "":
		c.doc.Faultf(path, "%s wants to: an address or a path", path)
	case !redirectTarget(redirect.To):
		c.doc.Faultf(path+".to", "%s.to: %q is neither a path nor an http(s) address; {host}, {path}, {uri} and {rest} may stand in it", path, redirect.To)
	}
}

// redirectTarget tells whether a redirect may lead to an address.
func redirectTarget(to string) bool {
	target, err := url.Parse(sample(to))
	if err != nil || strings.ContainsAny(to, " \t\r\n") {
		return false
	}
	if target.Host == "" {
		return target.Scheme == "" && (strings.HasPrefix(to, "/") || strings.HasPrefix(to, "{uri}") || strings.HasPrefix(to, "{path}"))
	}
	return target.Scheme == "http" || target.Scheme == "https"
}

// sample fills placeholders with harmless values.
func sample(text string) string {
	return strings.NewReplacer("{host}", "host", "{path}", "/path", "{uri}", "/path?query", "{rest}", "/rest").Replace(text)
}

// redirects checks a site's list of paths that are elsewhere now, and brings the paths into the form that requests have.
func (c *checker) redirects(path string, site *Site) {
	clean := make(map[string]string, len(site.Redirects))
	for _, from := range slices.Sorted(maps.Keys(site.Redirects)) {
		at, to := path+".redirects."+from, site.Redirects[from]
		normal, err := routing.Normalize(from)
		_, double := clean[normal]
		switch {
		case err != nil || strings.ContainsAny(from, "?#"):
			c.doc.Faultf(at, "%s: %q is not a path such as /old", at, from)
		case double:
			c.doc.Faultf(at, "%s: the path %s is in the list twice", at, normal)
		case !redirectTarget(to):
			c.doc.Faultf(at, "%s: %q is neither a path nor an http(s) address; {host}, {path} and {uri} may stand in it", at, to)
		default:
			clean[normal] = to
		}
	}
	for _, from := range slices.Sorted(maps.Keys(clean)) {
		seen := map[string]bool{}
		for next := from; clean[next] != ""; next = strings.NewReplacer("{path}", next, "{uri}", next).Replace(clean[next]) {
			if seen[next] {
				c.doc.Faultf(path+".redirects", "%s.redirects: %s leads back to itself", path, from)
				return
			}
			seen[next] = true
		}
	}
	site.Redirects = clean
}

// rewrite checks the path that a route's upstream is asked for.
func (c *checker) rewrite(path string, route *Route) {
	if route.Rewrite == "" {
		return
	}
	at := path + ".rewrite"
	target, err := url.Parse(sample(route.Rewrite))
	switch {
	case route.Upstream == "":
		c.doc.Faultf(at, "%s goes with upstream only", at)
	case route.StripPrefix:
		c.doc.Faultf(at, "%s and strip_prefix both change the path: keep one of them; {rest} is the path without the prefix", at)
	case strings.Contains(route.Rewrite, "{uri}"):
		c.doc.Faultf(at, "%s: the query stays what it is: write {path} for {uri}", at)
	case err != nil || strings.ContainsAny(route.Rewrite, " \t\r\n?#") || target.Host != "" || !strings.HasPrefix(route.Rewrite, "/") && !strings.HasPrefix(route.Rewrite, "{path}"):
		c.doc.Faultf(at, "%s: %q is not a path such as /v2{rest}; {path}, {rest} and {host} may stand in it", at, route.Rewrite)
	}
}

func (r *Redirect) fillIn() {
	r.Status = cmp.Or(r.Status, 308)
}
