package config

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
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

func (r *Redirect) fillIn() {
	r.Status = cmp.Or(r.Status, 308)
}
