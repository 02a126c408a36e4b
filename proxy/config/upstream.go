package config

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/portico-web/portico/proxy/routing"
	"github.com/portico-web/portico/proxy/upstream"
)

// How a target is chosen.
const (
	BalanceRoundRobin = "round_robin"
	BalanceLeastConn  = "least_conn"
)

// Upstream is a set of targets that serve the same.
type Upstream struct {
	Targets []string `yaml:"targets"`
	Balance string   `yaml:"balance"` // round_robin or least_conn
	Health  *Health  `yaml:"health"`  // nil: not probed

	ResponseTimeout time.Duration  `yaml:"response_timeout"` // from the sent request to the head of the answer
	Resolve         *time.Duration `yaml:"resolve"`          // between two look-ups of a target's name; 0: at each new connection
}

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
	c.oneOf(path+".balance", u.Balance, BalanceRoundRobin, BalanceLeastConn)
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
