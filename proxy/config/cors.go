package config

import (
	"fmt"
	"strings"
	"time"

	"github.com/portico-web/portico/proxy/guard"
)

// CORS is what pages of other origins may do with a route (Fetch Standard, section 3.2).
type CORS struct {
	Origins     []string      `yaml:"origins"` // https://example.com, https://*.example.com, or "*"
	Methods     []string      `yaml:"methods"` // nil: GET, HEAD, POST
	Headers     []string      `yaml:"headers"` // fields that requests may have besides the usual; "*": all
	Expose      []string      `yaml:"expose"`  // fields of answers that pages may read besides the usual
	Credentials bool          `yaml:"credentials"`
	MaxAge      time.Duration `yaml:"max_age"` // how long browsers may remember the answer to a preflight

	origins guard.Origins
}

func (c *checker) cors(path string, cors *CORS) {
	if len(cors.Origins) == 0 {
		c.doc.Faultf(path, "%s wants origins, such as [https://example.com]", path)
	}
	var err error
	if cors.origins, err = guard.ParseOrigins(cors.Origins); err != nil {
		c.doc.Faultf(path+".origins", "%s.origins: %s", path, err)
	}
	if cors.Credentials && cors.origins.Any() {
		c.doc.Faultf(path+".credentials", "%s.credentials with the origin \"*\" would let every page act in the name of its visitor: name the origins", path)
	}
	for key, names := range map[string][]string{"methods": cors.Methods, "headers": cors.Headers, "expose": cors.Expose} {
		for i, name := range names {
			at := fmt.Sprintf("%s.%s[%d]", path, key, i)
			switch {
			case name == "*" && key == "headers" && len(names) == 1:
			case name == "*", !guard.IsToken(name):
				c.doc.Faultf(at, "%s: %q is not a name", at, name)
			case key == "methods" && strings.ToUpper(name) != name:
				c.doc.Faultf(at, "%s: methods are written in capitals: %s", at, strings.ToUpper(name))
			}
		}
	}
	if cors.MaxAge > 24*time.Hour {
		c.doc.Faultf(path+".max_age", "%s.max_age: %s is longer than a day", path, cors.MaxAge)
	}
}

func (c *CORS) fillIn() {
	if c.Methods == nil {
		c.Methods = []string{"GET", "HEAD", "POST"}
	}
	if c.MaxAge == 0 {
		c.MaxAge = 5 * time.Minute
	}
}

// Allowed are the origins, made ready.
func (c *CORS) Allowed() *guard.Origins { return &c.origins }
