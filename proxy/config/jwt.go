package config

import (
	"cmp"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/portico-web/portico/proxy/document"
	"github.com/portico-web/portico/proxy/guard"
)

// JWT asks for a token of an issuer (RFC 7519, RFC 6750).
type JWT struct {
	JWKS       string                        `yaml:"jwks"` // URL or file of the issuer's keys
	Issuer     string                        `yaml:"issuer"`
	Audience   document.OneOrMore            `yaml:"audience"`   // one of them; nil: any
	Claims     map[string]document.OneOrMore `yaml:"claims"`     // each must be, or hold, one of the values
	Algorithms []string                      `yaml:"algorithms"` // nil: all with a public key
	ClockSkew  time.Duration                 `yaml:"clock_skew"`
	From       string                        `yaml:"from"` // header:NAME or cookie:NAME; "": Authorization: Bearer
	Tell       map[string]string             `yaml:"tell"` // claim → the field by which upstreams learn it

	keys *guard.KeySet // of a file
}

func (c *checker) jwt(path string, j *JWT) {
	if j.Issuer == "" {
		c.doc.Faultf(path, "%s wants issuer: what the claim iss of its tokens must be", path)
	}
	if j.Audience != nil && len(j.Audience) == 0 { // its variables may be empty: that must not let tokens for others in
		c.doc.Faultf(path+".audience", "%s.audience is empty: name whom tokens must be for, or leave it out for any", path)
	}
	c.jwks(path, j)
	for _, name := range slices.Sorted(maps.Keys(j.Claims)) {
		if len(j.Claims[name]) == 0 {
			c.doc.Faultf(path+".claims."+name, "%s.claims.%s wants a value, or a list of values of which the token must have one", path, name)
		}
	}
	for _, algorithm := range j.Algorithms {
		if !slices.Contains(guard.Algorithms, algorithm) {
			c.doc.Faultf(path+".algorithms", "%s.algorithms: %q is none that verifies by a public key%s", path, algorithm, document.Suggest(algorithm, guard.Algorithms))
		}
	}
	if j.ClockSkew > 5*time.Minute {
		c.doc.Faultf(path+".clock_skew", "%s.clock_skew: %s is longer than 5m", path, j.ClockSkew)
	}
	if j.From != "" {
		if _, err := guard.ParseSource(j.From); err != nil {
			c.doc.Faultf(path+".from", "%s.from: %s", path, err)
		}
	}
	for _, claim := range slices.Sorted(maps.Keys(j.Tell)) {
		c.asserted(path+".tell."+claim, j.Tell[claim])
	}
}

func (c *checker) jwks(path string, j *JWT) {
	if j.JWKS == "" {
		c.doc.Faultf(path, "%s wants jwks: the URL or the file of the issuer's public keys", path)
		return
	}
	if j.KeysURL() != "" {
		if u, err := url.Parse(j.JWKS); err != nil || u.Host == "" || u.User != nil {
			c.doc.Faultf(path+".jwks", "%s.jwks: this is not a URL such as https://login.example.com/.well-known/jwks.json", path)
		}
		return
	}
	content, err := os.ReadFile(j.JWKS)
	if err != nil {
		c.doc.Faultf(path+".jwks", "%s.jwks: %s cannot be read (%s)", path, j.JWKS, cause(err))
		return
	}
	if j.keys, err = guard.ParseKeySet(content); err != nil {
		c.doc.Faultf(path+".jwks", "%s.jwks: %s: %s", path, j.JWKS, err)
	}
	c.config.watched = append(c.config.watched, j.JWKS)
}

func (j *JWT) fillIn() {
	j.ClockSkew = cmp.Or(j.ClockSkew, 30*time.Second)
	if j.Algorithms == nil {
		j.Algorithms = guard.Algorithms
	}
}

// KeysURL is where the keys are fetched; "" when they are in a file.
func (j *JWT) KeysURL() string {
	if strings.HasPrefix(j.JWKS, "https://") || strings.HasPrefix(j.JWKS, "http://") {
		return j.JWKS
	}
	return ""
}

// Keys are those of the file; nil when there is none.
func (j *JWT) Keys() *guard.KeySet { return j.keys }
