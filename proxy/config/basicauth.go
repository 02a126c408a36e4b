package config

import (
	"os"
	"strings"

	"github.com/portico-web/portico/proxy/guard"
)

// BasicAuth asks for a name and a password (RFC 7617).
type BasicAuth struct {
	UsersFile       string `yaml:"users_file"`       // lines of NAME:HASH, bcrypt or argon2id
	Realm           string `yaml:"realm"`            // "": the site's first host
	Tell            string `yaml:"tell"`             // the field by which upstreams learn the name; "": they do not
	PassCredentials bool   `yaml:"pass_credentials"` // upstreams get name and password

	users *guard.Users
}

func (c *checker) basicAuth(path string, b *BasicAuth) {
	if strings.ContainsFunc(b.Realm, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		c.doc.Faultf(path+".realm", "%s.realm: only printable ASCII may stand in it, without quotes and backslashes", path)
	}
	if b.Tell != "" {
		c.asserted(path+".tell", b.Tell)
	}
	if b.UsersFile == "" {
		c.doc.Faultf(path, "%s wants users_file: a file with lines as htpasswd -B writes them", path)
		return
	}
	content, err := os.ReadFile(b.UsersFile)
	if err != nil {
		c.doc.Faultf(path+".users_file", "%s.users_file: %s cannot be read (%s)", path, b.UsersFile, cause(err))
		return
	}
	if b.users, err = guard.ParseUsers(content); err != nil {
		c.doc.Faultf(path+".users_file", "%s.users_file: %s: %s", path, b.UsersFile, err)
	}
	c.config.watched = append(c.config.watched, b.UsersFile)
}

// Users are those of the users file.
func (b *BasicAuth) Users() *guard.Users { return b.users }
