package proxy

import (
	"github.com/portico-web/portico/proxy/compress"
	"github.com/portico-web/portico/proxy/config"
	"github.com/portico-web/portico/proxy/files"
	"github.com/portico-web/portico/proxy/guard"
)

// route is a config.Route made ready.
type route struct {
	config.Route
	tally    *tally
	name     string   // in logs
	policies []policy // asked in order before the route acts
	asserted guard.Asserted
	cors     *cors // nil: what the upstream says goes
	act      func(*exchange)

	mostContent  int64 // of a request, in bytes; 0: no limit
	requestEdits *fieldEdits
	answerFields *answerFields
	rewrite      template // the path to forward; none: the request's
	redirectTo   template
	codings      []compress.Coding // to compress answers with; none: they pass as they are
}

// policy decides over a request before its route acts. One that does not let it pass has answered it.
type policy func(*exchange) (passes bool)

// The policies that count whom they refuse, by their names in metrics. Limits count for themselves.
const (
	policyAddress     = "address"
	policyBasicAuth   = "basic_auth"
	policyJWT         = "jwt"
	policyForwardAuth = "forward_auth"
)

// refused notes that a policy does not let the request pass, and why, for those who read metrics and logs.
func (x *exchange) refused(policy, why string) {
	x.proxy.metrics.refused.WithLabelValues(policy).Inc()
	x.refusal = why
}

// newRoute makes a route of a site ready.
func (p *Proxy) newRoute(s *state, site *config.Site, configured config.Route, fields *answerFields) *route {
	name := site.Hosts[0]
	configured.Policies = site.PoliciesOf(&configured)
	made := &route{
		Route: configured, tally: p.metrics.tallies.route(name, configured.Path), name: name + configured.Path,
		mostContent:  int64(*configured.BodyBytes),
		requestEdits: newFieldEdits(site.RequestHeaders, configured.RequestHeaders),
		answerFields: fields,
		rewrite:      newTemplate(configured.Rewrite, configured.Path),
		codings:      compress.Codings(configured.Compress),
	}
	made.policies = p.policies(s, site, made)
	made.asserted = s.asserted.And(configured.Asserted()...)
	made.act = p.action(s, made)
	return made
}

// policies lists what a request of the route must pass, in this order.
func (p *Proxy) policies(s *state, site *config.Site, made *route) (list []policy) {
	if made.EncodedSlash == config.EncodedSlashRefuse {
		list = append(list, refuseEncodedSlash)
	}
	if len(made.Allow) > 0 || len(made.Deny) > 0 {
		list = append(list, (&addresses{prefixes(made.Allow), prefixes(made.Deny)}).admit)
	}
	var late []policy // limits that want to know who the client is
	for _, name := range made.RateLimit {
		limit := newLimit(name, s.config.RateLimits[name])
		if limit.user {
			late = append(late, limit.admit)
		} else {
			list = append(list, limit.admit)
		}
	}
	if made.CORS != nil {
		made.cors = newCORS(made.CORS)
		list = append(list, answerPreflight)
	}
	if made.BasicAuth != nil {
		list = append(list, newBasicAuth(site, made.BasicAuth).authenticate)
	}
	if made.JWT != nil {
		list = append(list, newBearer(site, made.JWT, s.keysOf(made.JWT)).authenticate)
	}
	if made.ForwardAuth != nil {
		list = append(list, newForwardAuth(made.ForwardAuth, s.services[made.ForwardAuth.Upstream]).authenticate)
	}
	list = append(list, late...)
	if made.mostContent > 0 {
		list = append(list, refuseLargerThan(made.mostContent))
	}
	return list
}

// action makes what the route does.
func (p *Proxy) action(s *state, made *route) func(*exchange) {
	switch {
	case made.Upstream != "":
		return made.forwardTo(s.services[made.Upstream])
	case made.Files != nil:
		return made.serveFiles(files.New(files.Settings{
			Root: made.Files.Root, MaxAge: made.Files.MaxAge, Browse: made.Files.Browse, Index: made.Files.Index,
			Fallback: made.Files.Fallback, Immutable: made.Files.Immutable, Precompressed: made.Files.Precompressed,
		}))
	default:
		made.redirectTo = newTemplate(made.Redirect.To, made.Path)
		return made.redirect
	}
}
