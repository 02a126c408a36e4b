package config

import (
	"cmp"
	"net/url"
	"time"

	"github.com/portico-web/portico/proxy/routing"
)

// mostAskTimeout leaves the handshake that waits for the answer some of its 10 seconds.
const mostAskTimeout = 8 * time.Second

// OnDemand lets hosts of "*" and "*.name" have certificates by ACME when a client asks for them, if a URL permits it.
type OnDemand struct {
	Ask        string        `yaml:"ask"`         // asked with ?domain=NAME; exactly status 200 permits
	Timeout    time.Duration `yaml:"timeout"`     // of one question
	Rate       Rate          `yaml:"rate"`        // of questions
	AllowedFor time.Duration `yaml:"allowed_for"` // how long a permission is remembered
	RefusedFor time.Duration `yaml:"refused_for"` // how long a refusal is
}

func (c *checker) onDemand(settings *OnDemand) {
	if u, err := url.Parse(settings.Ask); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
		c.doc.Faultf("tls.on_demand", "tls.on_demand.ask: %q is not a URL such as http://app:8000/may-have-certificate, which is asked with ?domain=NAME before a certificate is got", settings.Ask)
	}
	if settings.Timeout > mostAskTimeout {
		c.doc.Faultf("tls.on_demand.timeout", "tls.on_demand.timeout: a client waits for the answer: %s at most", mostAskTimeout)
	}
	for _, site := range c.config.Sites {
		for _, host := range site.Hosts {
			if host == routing.AnyHost || len(host) > 0 && host[0] == '*' {
				return
			}
		}
	}
	c.doc.Faultf("tls.on_demand", "tls.on_demand has no host to work for: name \"*\" or *.name in a site's hosts")
}

func (o *OnDemand) fillIn() {
	o.Timeout = cmp.Or(o.Timeout, 5*time.Second)
	if o.Rate.Events == 0 {
		o.Rate = Rate{Events: 10, Period: time.Second}
	}
	o.AllowedFor = cmp.Or(o.AllowedFor, 10*time.Minute)
	o.RefusedFor = cmp.Or(o.RefusedFor, time.Minute)
}
