package config

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/portico-web/portico/proxy/routing"
	"github.com/portico-web/portico/proxy/upstream"
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

// Upstream is a set of targets that serve the same.
type Upstream struct {
	Targets   []string      `yaml:"targets"`
	Balance   string        `yaml:"balance" choice:"round_robin least_conn p2c hash"`
	HashBy    string        `yaml:"hash_by"`
	Sticky    *Sticky       `yaml:"sticky"`     // nil: clients are not kept with a target
	SlowStart time.Duration `yaml:"slow_start"` // until a target that came in or back has its full share
	Health    *Health       `yaml:"health"`     // nil: not probed

	ResponseTimeout time.Duration  `yaml:"response_timeout"` // from the sent request to the head of the answer
	Resolve         *time.Duration `yaml:"resolve"`          // between two look-ups of a target's name; 0: at each new connection
}

// Sticky keeps a client with the target that answered it first.
type Sticky struct {
	Cookie     string `yaml:"cookie"`      // its name
	SecretFile string `yaml:"secret_file"` // "": a secret of this process

	secret string
}

// Secret is what SecretFile holds; "" without one.
func (s *Sticky) Secret() string { return s.secret }

// Health says how targets are probed.
type Health struct {
	Path     string        `yaml:"path"`
	Port     int           `yaml:"port"` // 0: the target's own
	Interval time.Duration `yaml:"interval"`
	Timeout  time.Duration `yaml:"timeout"`
}

func (c *checker) upstream(path string, u Upstream) {
	if len(u.Targets) == 0 {
		c.doc.Faultf(path, "%s has no targets: name at least one, as in [\"app:8000\"]", path)
	}
	seen := map[upstream.Address]bool{}
	for i, target := range u.Targets {
		at := fmt.Sprintf("%s.targets[%d]", path, i)
		address, err := upstream.ParseTarget(target)
		if err != nil {
			c.doc.Faultf(at, "%s: %s", at, err)
			continue
		}
		if seen[address] {
			c.doc.Faultf(at, "%s: %s is named twice", at, target)
		}
		seen[address] = true
		if u.Health != nil && u.Health.Port != 0 && address.Socket != "" {
			c.doc.Faultf(path+".health.port", "%s.health.port: %s has no ports: leave the key out, or name the target by host and port", path, target)
		}
	}
	c.balance(path, u)
	if u.ResponseTimeout > 24*time.Hour {
		c.doc.Faultf(path+".response_timeout", "%s.response_timeout: %s is longer than a day", path, u.ResponseTimeout)
	}
	if resolve := *u.Resolve; resolve != 0 && (resolve < time.Second || resolve > 24*time.Hour) {
		c.doc.Faultf(path+".resolve", "%s.resolve: %s is not between 1s and 24h; 0s resolves a name for each new connection", path, resolve)
	}
	if u.Health == nil {
		return
	}
	if _, err := routing.Normalize(pathOnly(u.Health.Path)); err != nil {
		c.doc.Faultf(path+".health.path", "%s.health.path: %q does not begin with a slash", path, u.Health.Path)
	}
	if u.Health.Port < 0 || u.Health.Port > 65535 {
		c.doc.Faultf(path+".health.port", "%s.health.port: %d is not a port", path, u.Health.Port)
	}
	if u.Health.Interval < 50*time.Millisecond {
		c.doc.Faultf(path+".health.interval", "%s.health.interval: %s is shorter than 50ms", path, u.Health.Interval)
	}
}

// balance checks how targets are chosen.
func (c *checker) balance(path string, u Upstream) {
	header, byHeader := strings.CutPrefix(u.HashBy, HashByHeader)
	cookie, byCookie := strings.CutPrefix(u.HashBy, HashByCookie)
	switch {
	case u.HashBy == "":
	case u.Balance != BalanceHash:
		c.doc.Faultf(path+".hash_by", "%s.hash_by means something with balance: hash only", path)
	case byHeader && !isToken(header), byCookie && !isToken(cookie):
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
	if !isToken(sticky.Cookie) {
		c.doc.Faultf(path, "%s wants the name of a cookie, as in {cookie: server}", path)
	}
	if sticky.SecretFile == "" {
		return
	}
	content, err := os.ReadFile(sticky.SecretFile)
	sticky.secret = strings.TrimRight(string(content), "\r\n")
	switch {
	case err != nil:
		c.doc.Faultf(path+".secret_file", "%s.secret_file: %s cannot be read (%s)", path, sticky.SecretFile, cause(err))
	case len(sticky.secret) < minStickySecret:
		c.doc.Faultf(path+".secret_file", "%s.secret_file: %s holds %d bytes: make it %d or more (openssl rand -hex 32)", path, sticky.SecretFile, len(sticky.secret), minStickySecret)
	}
	c.config.watched = append(c.config.watched, sticky.SecretFile)
}

// isToken tells whether text can name a field or a cookie (RFC 9110 section 5.6.2).
func isToken(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

func pathOnly(target string) string {
	path, _, _ := strings.Cut(target, "?")
	return path
}

func (u *Upstream) fillIn() {
	u.Balance = cmp.Or(u.Balance, BalanceRoundRobin)
	u.ResponseTimeout = cmp.Or(u.ResponseTimeout, time.Minute)
	if u.Resolve == nil {
		u.Resolve = new(10 * time.Second)
	}
	if u.Health != nil {
		u.Health.fillIn()
	}
}

func (h *Health) fillIn() {
	h.Path = cmp.Or(h.Path, "/")
	h.Interval = cmp.Or(h.Interval, 2*time.Second)
	h.Timeout = cmp.Or(h.Timeout, 2*time.Second)
}
