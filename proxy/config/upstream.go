package config

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/portico-web/portico/proxy/upstream"
)

// Upstream is a set of targets that serve the same.
type Upstream struct {
	Targets   []string      `yaml:"targets"`
	Balance   string        `yaml:"balance" choice:"round_robin least_conn p2c hash"`
	HashBy    string        `yaml:"hash_by"`
	Sticky    *Sticky       `yaml:"sticky"`     // nil: clients are not kept with a target
	SlowStart time.Duration `yaml:"slow_start"` // until a target that came in or back has its full share
	Health    *Health       `yaml:"health"`     // nil: not probed
	Passive   *Passive      `yaml:"passive"`    // nil: not taken out for what they fail
	Breaker   *Breaker      `yaml:"breaker"`    // nil: none

	TLS *TargetTLS `yaml:"tls"` // nil: https is verified with the system's roots

	FailureStatuses []int   `yaml:"failure_statuses"` // of answers that count as failures for Passive and Breaker
	MaxRequests     int     `yaml:"max_requests"`     // that one target works on at once; 0: any number
	Queue           *Queue  `yaml:"queue"`            // nil: nothing is bounded
	Retries         Retries `yaml:"retries"`

	ResponseTimeout time.Duration  `yaml:"response_timeout"` // from the sent request to the head of the answer
	Resolve         *time.Duration `yaml:"resolve"`          // between two look-ups of a target's name; 0: at each new connection
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
	if u.Health != nil {
		c.health(path+".health", u.Health)
	}
	if u.Passive != nil {
		c.passive(path+".passive", u.Passive)
	}
	if u.Breaker != nil {
		c.breaker(path+".breaker", u.Breaker)
	}
	if u.TLS != nil {
		c.targetTLS(path+".tls", u)
	}
	c.bounds(path, u)
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
	if u.Passive != nil {
		u.Passive.fillIn()
	}
	if u.Breaker != nil {
		u.Breaker.fillIn()
	}
	if u.Queue == nil && u.MaxRequests > 0 {
		u.Queue = &Queue{}
	}
	if u.Queue != nil {
		u.Queue.fillIn()
	}
	u.Retries.fillIn()
}
