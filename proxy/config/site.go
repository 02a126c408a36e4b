package config

import (
	"fmt"
	"strings"

	"github.com/portico-web/portico/proxy/routing"
)

// Site is what is served under its hosts.
type Site struct {
	Hosts        []string `yaml:"hosts"`
	RedirectFrom []string `yaml:"redirect_from"`
	Routes       []Route  `yaml:"routes"`

	SecurityHeaders SecurityHeaders `yaml:"security_headers"`
	RequestHeaders  FieldEdits      `yaml:"request_headers"`  // of requests that are forwarded
	ResponseHeaders FieldEdits      `yaml:"response_headers"` // of every answer

	Redirects       map[string]string `yaml:"redirects"`        // path → address, answered 308 before any route
	ErrorPages      map[string]string `yaml:"error_pages"`      // files by status, or by class: 404, 5xx
	InterceptErrors bool              `yaml:"intercept_errors"` // in the place of what upstreams say, too
	Maintenance     *Maintenance      `yaml:"maintenance"`      // nil: the site is served

	errorPages map[string][]byte // what the files hold
	Policies
}

func (c *checker) site(path string, site *Site) {
	if len(site.Hosts) == 0 {
		c.doc.Faultf(path, "%s has no hosts: name at least one, such as example.com, *.example.com, or \"*\" for any", path)
	}
	c.siteHosts(path+".hosts", site.Hosts)
	c.siteHosts(path+".redirect_from", site.RedirectFrom)
	if len(site.RedirectFrom) > 0 && len(site.Hosts) > 0 && strings.Contains(site.Hosts[0], "*") {
		c.doc.Faultf(path+".hosts[0]", "%s.redirect_from leads to the site's first host, which must not be a wildcard (%s)", path, site.Hosts[0])
	}
	c.securityHeaders(path+".security_headers", site.SecurityHeaders)
	c.requestHeaders(path+".request_headers", site.RequestHeaders)
	c.responseHeaders(path+".response_headers", site.ResponseHeaders)
	c.redirects(path, site)
	c.errorPages(path, site)
	c.policies(path, &site.Policies)
	if len(site.Routes) == 0 {
		c.doc.Faultf(path, "%s has no routes: name at least one, such as {path: /, upstream: NAME}", path)
	}
	paths := map[string]bool{}
	for i := range site.Routes {
		at := fmt.Sprintf("%s.routes[%d]", path, i)
		route := &site.Routes[i]
		c.route(at, route)
		c.subjects(at, site.PoliciesOf(route))
		if key := routing.Key(route.Path); paths[key] {
			c.doc.Faultf(at+".path", "%s.path: the site has two routes for %s", at, route.Path)
		} else {
			paths[key] = true
		}
	}
}

func (c *checker) siteHosts(path string, hosts []string) {
	for i, host := range hosts {
		at := fmt.Sprintf("%s[%d]", path, i)
		clean, ok := routing.ParseHost(host)
		if !ok {
			c.doc.Faultf(at, "%s: %q is not a host such as example.com, *.example.com or \"*\" (no scheme, no port, no path)", at, host)
			continue
		}
		if earlier, double := c.hosts[clean]; double {
			c.doc.Faultf(at, "%s: the host %s is already named by %s", at, clean, earlier)
		}
		c.hosts[clean] = at
		hosts[i] = clean
	}
}

func (s *Site) fillIn(issuer string, mostContent Size) {
	s.SecurityHeaders.fillIn(issuer)
	if s.Maintenance != nil && s.Maintenance.off {
		s.Maintenance = nil
	}
	s.Policies.fillIn()
	for i := range s.Routes {
		s.Routes[i].fillIn(mostContent)
	}
}
