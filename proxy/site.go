package proxy

import (
	"github.com/portico-web/portico/proxy/config"
	"github.com/portico-web/portico/proxy/deploy"
	"github.com/portico-web/portico/proxy/routing"
)

// site is what belongs to a config.Site as a whole, made ready: for answers that no route of it gives.
type site struct {
	answerFields *answerFields
	errorPages   errorPages
	intercepts   bool                // the pages stand for upstreams' failures, too
	redirects    map[string]template // by path
	maintenance  *maintenance        // nil: the site is served
}

// newSite makes a site and its routes ready.
func (p *Proxy) newSite(s *state, configured *config.Site) routing.Site[*site, *route] {
	fields := newAnswerFields(configured)
	made := routing.Site[*site, *route]{
		Hosts: configured.Hosts, RedirectFrom: configured.RedirectFrom,
		Value: &site{answerFields: fields, errorPages: configured.ErrorPage, intercepts: configured.InterceptErrors},
	}
	if len(configured.Redirects) > 0 {
		made.Value.redirects = make(map[string]template, len(configured.Redirects))
	}
	for from, to := range configured.Redirects {
		made.Value.redirects[from] = newTemplate(to, "")
	}
	if wanted := configured.Maintenance; wanted != nil {
		made.Value.maintenance = newMaintenance(&deploy.Maintenance{Message: wanted.Message, Allow: wanted.Allowed()})
	}
	for _, wanted := range configured.Routes {
		made.Routes = append(made.Routes, routing.Route[*route]{Path: wanted.Path, Value: p.newRoute(s, configured, wanted, fields.ofRoute(configured, &wanted))})
	}
	return made
}
