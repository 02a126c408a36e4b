package proxy

import (
	"cmp"
	"time"
)

// fillIn gives every key that the file leaves out its default.
func (c *Config) fillIn() {
	if c.Listen.HTTP == "" && c.Listen.HTTPS == "" {
		c.Listen.HTTP, c.Listen.HTTPS = ":80", ":443"
	}
	c.TLS.Issuer = cmp.Or(c.TLS.Issuer, issuerLocal)
	c.Limits.HeaderBytes = cmp.Or(c.Limits.HeaderBytes, 64<<10)
	c.Limits.ReadHeaderTimeout = cmp.Or(c.Limits.ReadHeaderTimeout, 10*time.Second)
	c.Limits.IdleTimeout = cmp.Or(c.Limits.IdleTimeout, 2*time.Minute)
	c.Limits.StallTimeout = cmp.Or(c.Limits.StallTimeout, time.Minute)
	c.Limits.DrainTimeout = cmp.Or(c.Limits.DrainTimeout, 30*time.Second)
	for name, limit := range c.RateLimits {
		limit.Key = cmp.Or(limit.Key, keyClientIP)
		limit.Burst = cmp.Or(limit.Burst, limit.Rate.Events)
		c.RateLimits[name] = limit
	}
	for name, upstream := range c.Upstreams {
		upstream.Balance = cmp.Or(upstream.Balance, balanceRoundRobin)
		if upstream.Health != nil {
			upstream.Health.Path = cmp.Or(upstream.Health.Path, "/")
			upstream.Health.Interval = cmp.Or(upstream.Health.Interval, 2*time.Second)
			upstream.Health.Timeout = cmp.Or(upstream.Health.Timeout, 2*time.Second)
		}
		c.Upstreams[name] = upstream
	}
	for i := range c.Sites {
		for j := range c.Sites[i].Routes {
			if redirect := c.Sites[i].Routes[j].Redirect; redirect != nil {
				redirect.Status = cmp.Or(redirect.Status, 308)
			}
		}
	}
}
