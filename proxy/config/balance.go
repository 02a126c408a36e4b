package config

import (
	"strings"
	"time"

	"github.com/portico-web/portico/proxy/guard"
)

// How a target is chosen.
const (
	BalanceRoundRobin = "round_robin"
	BalanceLeastConn  = "least_conn"
	BalanceTwoChoices = "p2c"
	BalanceHash       = "hash"
)

// What balance: hash looks at, besides HashByHeader and HashByCookie with a name behind.
const (
	HashByClientIP = "client_ip"
	HashByHeader   = "header:"
	HashByCookie   = "cookie:"
)

// Sticky keeps a client with the target that answered it first.
type Sticky struct {
	Cookie     string `yaml:"cookie"`      // its name
	SecretFile string `yaml:"secret_file"` // "": a secret of this process

	secret string
}

// Secret is what SecretFile holds; "" without one.
func (s *Sticky) Secret() string { return s.secret }

// balance checks how targets are chosen.
func (c *checker) balance(path string, u Upstream) {
	header, byHeader := strings.CutPrefix(u.HashBy, HashByHeader)
	cookie, byCookie := strings.CutPrefix(u.HashBy, HashByCookie)
	switch {
	case u.HashBy == "":
	case u.Balance != BalanceHash:
		c.doc.Faultf(path+".hash_by", "%s.hash_by means something with balance: hash only", path)
	case byHeader && !guard.IsToken(header), byCookie && !guard.IsToken(cookie):
		c.doc.Faultf(path+".hash_by", "%s.hash_by: %q names no header or cookie, as header:X-Tenant and cookie:session do", path, u.HashBy)
	case !byHeader && !byCookie:
		c.oneOf(path+".hash_by", u.HashBy, HashByClientIP, HashByHeader+"NAME", HashByCookie+"NAME")
	}
	if u.SlowStart > time.Hour {
		c.doc.Faultf(path+".slow_start", "%s.slow_start: %s is longer than an hour", path, u.SlowStart)
	}
	if u.Sticky != nil {
		c.sticky(path+".sticky", u.Sticky)
	}
}

// minStickySecret is how many bytes a secret must have.
const minStickySecret = 16

func (c *checker) sticky(path string, sticky *Sticky) {
	if !guard.IsToken(sticky.Cookie) {
		c.doc.Faultf(path, "%s wants the name of a cookie, as in {cookie: server}", path)
	}
	if sticky.SecretFile == "" {
		return
	}
	sticky.secret = c.secret(path+".secret_file", sticky.SecretFile)
	if size := len(sticky.secret); size > 0 && size < minStickySecret {
		c.doc.Faultf(path+".secret_file", "%s.secret_file: %s holds %d bytes: make it %d or more (openssl rand -hex 32)", path, sticky.SecretFile, size, minStickySecret)
	}
	c.config.watched = append(c.config.watched, sticky.SecretFile)
}
