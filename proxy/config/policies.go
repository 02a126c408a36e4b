package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/portico-web/portico/proxy/document"
	"github.com/portico-web/portico/proxy/guard"
)

// Policies is who may pass. They stand in a route, or in a site for those of its routes that do not have the key themselves.
type Policies struct {
	Allow       []Prefix           `yaml:"allow"`      // clients by address; nil or empty: all
	Deny        []Prefix           `yaml:"deny"`       // it goes before Allow
	BasicAuth   *BasicAuth         `yaml:"basic_auth"` // nil: not asked for
	JWT         *JWT               `yaml:"jwt"`        // likewise; a route has one way of authentication
	ForwardAuth *ForwardAuth       `yaml:"forward_auth"`
	CORS        *CORS              `yaml:"cors"`       // nil: what the upstream says goes
	RateLimit   document.OneOrMore `yaml:"rate_limit"` // names of rate limits; empty: none
}

func (c *checker) policies(path string, policies *Policies) {
	if policies.Allow != nil && len(policies.Allow) == 0 { // its variables may be empty: that must not let everybody in
		c.doc.Faultf(path+".allow", "%s.allow is empty: name who may pass, or leave it out; open: true in a route lets everybody pass", path)
	}
	c.limitNames(path+".rate_limit", policies.RateLimit)
	if policies.BasicAuth != nil {
		c.basicAuth(path+".basic_auth", policies.BasicAuth)
	}
	if policies.JWT != nil {
		c.jwt(path+".jwt", policies.JWT)
	}
	if policies.ForwardAuth != nil {
		c.forwardAuth(path+".forward_auth", policies.ForwardAuth)
	}
	if ways := policies.authentication(); len(ways) > 1 {
		c.doc.Faultf(path+"."+ways[1], "%s has %s: keep one of them", path, strings.Join(ways, " and "))
	}
	if policies.CORS != nil {
		c.cors(path+".cors", policies.CORS)
	}
}

// asserted checks the name of a field that upstreams are told something by.
func (c *checker) asserted(path, name string) {
	if why := guard.CheckAsserted(name); why != "" {
		c.doc.Faultf(path, "%s: %q %s", path, name, why)
	}
}

// limitNames checks the names of rate limits, of which a request is counted once against each.
func (c *checker) limitNames(path string, names []string) {
	for i, name := range names {
		at := path
		if len(names) > 1 {
			at = fmt.Sprintf("%s[%d]", path, i)
		}
		if _, ok := c.config.RateLimits[name]; !ok {
			c.doc.Faultf(at, "%s: no rate limit is named %q%s", at, name, document.Suggest(name, slices.Collect(maps.Keys(c.config.RateLimits))))
		}
		if slices.Contains(names[:i], name) {
			c.doc.Faultf(at, "%s: %s is named twice", at, name)
		}
	}
}

// subjects checks that where a limit counts by subject there is one.
func (c *checker) subjects(path string, effective Policies) {
	for _, name := range effective.RateLimit {
		if c.config.RateLimits[name].Key == KeySubject && effective.JWT == nil {
			c.doc.Faultf(path+".rate_limit", "%s: the rate limit %s counts by jwt_subject: give the route jwt, or another limit", path, name)
		}
	}
}

// PoliciesOf are the policies that hold for one of the site's routes.
func (s *Site) PoliciesOf(route *Route) Policies {
	own := route.Policies
	if route.Open {
		return own
	}
	if own.Allow == nil {
		own.Allow = s.Allow
	}
	if own.Deny == nil {
		own.Deny = s.Deny
	}
	if own.RateLimit == nil {
		own.RateLimit = s.RateLimit
	}
	if len(own.authentication()) == 0 {
		own.BasicAuth, own.JWT, own.ForwardAuth = s.BasicAuth, s.JWT, s.ForwardAuth
	}
	if own.CORS == nil {
		own.CORS = s.CORS
	}
	return own
}

func (p *Policies) fillIn() {
	if p.CORS != nil {
		p.CORS.fillIn()
	}
	if p.JWT != nil {
		p.JWT.fillIn()
	}
	if p.ForwardAuth != nil {
		p.ForwardAuth.fillIn()
	}
}

// authentication names the ways by which clients prove who they are.
func (p *Policies) authentication() (ways []string) {
	if p.BasicAuth != nil {
		ways = append(ways, "basic_auth")
	}
	if p.JWT != nil {
		ways = append(ways, "jwt")
	}
	if p.ForwardAuth != nil {
		ways = append(ways, "forward_auth")
	}
	return ways
}

// Asserted are the names of the fields by which upstreams are told who the client is.
func (p *Policies) Asserted() (names []string) {
	if p.BasicAuth != nil && p.BasicAuth.Tell != "" {
		names = append(names, p.BasicAuth.Tell)
	}
	if p.JWT != nil {
		names = slices.AppendSeq(names, maps.Values(p.JWT.Tell))
	}
	if p.ForwardAuth != nil {
		names = append(names, p.ForwardAuth.Copy...)
	}
	return names
}
