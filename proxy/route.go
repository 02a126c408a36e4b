package proxy

import (
	"github.com/portico-web/portico/proxy/compress"
	"github.com/portico-web/portico/proxy/config"
	"github.com/portico-web/portico/proxy/files"
)

// route is a config.Route made ready.
type route struct {
	config.Route
	metrics  *routeMetrics
	name     string   // in logs
	policies []policy // asked in order before the route acts
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

// newRoute makes a route of a site ready.
func (p *Proxy) newRoute(s *state, site *config.Site, configured config.Route, fields *answerFields) *route {
	name := site.Hosts[0]
	made := &route{
		Route: configured, metrics: p.metrics.route(name, configured.Path), name: name + configured.Path,
		mostContent:  int64(*configured.BodyBytes),
		requestEdits: newFieldEdits(site.RequestHeaders, configured.RequestHeaders),
		answerFields: fields,
		rewrite:      newTemplate(configured.Rewrite, configured.Path),
		codings:      compress.Codings(configured.Compress),
	}
	made.policies = p.policies(s, made)
	made.act = p.action(s, made)
	return made
}

// policies lists what a request of the route must pass, in this order.
func (p *Proxy) policies(s *state, made *route) (list []policy) {
	if made.EncodedSlash == config.EncodedSlashRefuse {
		list = append(list, refuseEncodedSlash)
	}
	if made.RateLimit != "" {
		list = append(list, newLimit(made.RateLimit, s.config.RateLimits[made.RateLimit]).admit)
	}
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
