package proxy

import (
	"github.com/portico-web/portico/proxy/config"
	"github.com/portico-web/portico/proxy/routing"
)

// site is what belongs to a config.Site as a whole, made ready: for answers that no route of it gives.
type site struct {
	answerFields *answerFields
}

// newSite makes a site and its routes ready.
func (p *Proxy) newSite(s *state, configured *config.Site) routing.Site[*site, *route] {
	fields := newAnswerFields(configured)
	made := routing.Site[*site, *route]{
		Hosts: configured.Hosts, RedirectFrom: configured.RedirectFrom,
		Value: &site{answerFields: fields},
	}
	for _, wanted := range configured.Routes {
		made.Routes = append(made.Routes, routing.Route[*route]{Path: wanted.Path, Value: p.newRoute(s, configured, wanted, fields.ofRoute(configured, &wanted))})
	}
	return made
}
