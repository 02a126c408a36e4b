package guard

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Origins is a set of origins (RFC 6454). The zero value is none.
type Origins struct {
	any   bool
	exact []string
	below []originsBelow
}

// originsBelow are the origins of all subdomains of a host.
type originsBelow struct{ scheme, suffix string } // https:// and .example.com

// ParseOrigins reads https://example.com, https://example.com:8443, https://*.example.com for every host below, and "*" for
// every origin. Browsers send an origin in one form only: what cannot match is refused.
func ParseOrigins(texts []string) (Origins, error) {
	var origins Origins
	for _, text := range texts {
		if text == "*" {
			origins.any = true
			continue
		}
		if text == "null" {
			return Origins{}, errors.New(`"null" is the origin of any page that hides its own: it cannot be let in`)
		}
		scheme, host, found := strings.Cut(text, "://")
		name, wild := strings.CutPrefix(host, "*.")
		parsed, err := url.Parse(scheme + "://" + name)
		if !found || err != nil || parsed.Host != name || name == "" || parsed.Hostname() == "" || strings.ContainsAny(name, "*@ ") ||
			strings.ToLower(text) != text || parsed.Scheme != scheme {
			return Origins{}, fmt.Errorf("%q is not an origin such as https://example.com, https://*.example.com or \"*\" (in small letters, without a path)", text)
		}
		if port := parsed.Port(); scheme == "https" && port == "443" || scheme == "http" && port == "80" {
			return Origins{}, fmt.Errorf("%q never comes: browsers leave the port %s off", text, port)
		}
		if wild {
			origins.below = append(origins.below, originsBelow{scheme + "://", "." + name})
		} else {
			origins.exact = append(origins.exact, text)
		}
	}
	return origins, nil
}

// Any tells whether every origin is in the set.
func (o *Origins) Any() bool { return o.any }

// Holds tells whether an origin, as a browser sends it, is in the set.
func (o *Origins) Holds(origin string) bool {
	return o.any || slices.Contains(o.exact, origin) || slices.ContainsFunc(o.below, func(b originsBelow) bool {
		host, ok := strings.CutPrefix(origin, b.scheme)
		below, fits := strings.CutSuffix(host, b.suffix)
		return ok && fits && below != "" && strings.Trim(below, "abcdefghijklmnopqrstuvwxyz0123456789.-_") == "" && below[0] != '.'
	})
}
