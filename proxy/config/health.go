package config

import (
	"cmp"
	"time"

	"github.com/portico-web/portico/proxy/routing"
)

// Health says how targets are probed.
type Health struct {
	Path           string        `yaml:"path"`
	Port           int           `yaml:"port"` // 0: the target's own
	Interval       time.Duration `yaml:"interval"`
	Timeout        time.Duration `yaml:"timeout"`
	HealthyAfter   int           `yaml:"healthy_after"`   // good probes in a row
	UnhealthyAfter int           `yaml:"unhealthy_after"` // bad ones in a row
}

// Passive takes out targets that fail requests.
type Passive struct {
	Failures   int           `yaml:"failures"` // in a row
	Window     time.Duration `yaml:"window"`
	Eject      time.Duration `yaml:"eject"`       // how long a target stays out
	MaxEjected int           `yaml:"max_ejected"` // percent of the targets
}

// Breaker refuses requests to an upstream that fails as a whole.
type Breaker struct {
	Failures int           `yaml:"failures"` // percent of the requests
	Requests int           `yaml:"requests"` // the least that tell something
	Window   time.Duration `yaml:"window"`
	Open     time.Duration `yaml:"open"`
}

func (c *checker) health(path string, h *Health) {
	if _, err := routing.Normalize(pathOnly(h.Path)); err != nil {
		c.doc.Faultf(path+".path", "%s.path: %q does not begin with a slash", path, h.Path)
	}
	if h.Port < 0 || h.Port > 65535 {
		c.doc.Faultf(path+".port", "%s.port: %d is not a port", path, h.Port)
	}
	if h.Interval < 50*time.Millisecond {
		c.doc.Faultf(path+".interval", "%s.interval: %s is shorter than 50ms", path, h.Interval)
	}
	c.number(path+".healthy_after", h.HealthyAfter, 1, 100)
	c.number(path+".unhealthy_after", h.UnhealthyAfter, 1, 100)
}

func (h *Health) fillIn() {
	h.Path = cmp.Or(h.Path, "/")
	h.Interval = cmp.Or(h.Interval, 2*time.Second)
	h.Timeout = cmp.Or(h.Timeout, 2*time.Second)
	h.HealthyAfter = cmp.Or(h.HealthyAfter, 1)
	h.UnhealthyAfter = cmp.Or(h.UnhealthyAfter, 1)
}

func (c *checker) passive(path string, p *Passive) {
	c.number(path+".failures", p.Failures, 1, 1000)
	c.number(path+".max_ejected", p.MaxEjected, 1, 99)
	c.lasting(path+".window", p.Window, 100*time.Millisecond, time.Hour)
	c.lasting(path+".eject", p.Eject, 100*time.Millisecond, time.Hour)
}

func (p *Passive) fillIn() {
	p.Failures = cmp.Or(p.Failures, 5)
	p.Window = cmp.Or(p.Window, 10*time.Second)
	p.Eject = cmp.Or(p.Eject, 30*time.Second)
	p.MaxEjected = cmp.Or(p.MaxEjected, 50)
}

func (c *checker) breaker(path string, b *Breaker) {
	c.number(path+".failures", b.Failures, 1, 100)
	c.number(path+".requests", b.Requests, 1, 1_000_000)
	c.lasting(path+".window", b.Window, 100*time.Millisecond, time.Hour)
	c.lasting(path+".open", b.Open, 100*time.Millisecond, time.Hour)
}

func (b *Breaker) fillIn() {
	b.Failures = cmp.Or(b.Failures, 50)
	b.Requests = cmp.Or(b.Requests, 20)
	b.Window = cmp.Or(b.Window, 10*time.Second)
	b.Open = cmp.Or(b.Open, 15*time.Second)
}

// number checks that a value lies between two others.
func (c *checker) number(path string, value, least, most int) {
	if value < least || value > most {
		c.doc.Faultf(path, "%s: %d is not between %d and %d", path, value, least, most)
	}
}

func (c *checker) lasting(path string, value, least, most time.Duration) {
	if value < least || value > most {
		c.doc.Faultf(path, "%s: %s is not between %s and %s", path, value, least, most)
	}
}
