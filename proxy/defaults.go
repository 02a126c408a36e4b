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
	if c.AccessLog == nil {
		c.AccessLog = new(true)
	}
	c.Limits.Connections = cmp.Or(c.Limits.Connections, 20_000)
	c.Limits.Streams = cmp.Or(c.Limits.Streams, 128)
	c.Limits.HeaderBytes = cmp.Or(c.Limits.HeaderBytes, 64<<10)
	c.Limits.HeaderFields = cmp.Or(c.Limits.HeaderFields, 128)
	c.Limits.TargetBytes = cmp.Or(c.Limits.TargetBytes, min(16<<10, c.Limits.HeaderBytes))
	if c.Limits.BodyRate == nil {
		c.Limits.BodyRate = new(Size(240))
	}
	c.Limits.BodyRateGrace = cmp.Or(c.Limits.BodyRateGrace, 5*time.Second)
	c.Limits.ReadHeaderTimeout = cmp.Or(c.Limits.ReadHeaderTimeout, 10*time.Second)
	c.Limits.IdleTimeout = cmp.Or(c.Limits.IdleTimeout, 2*time.Minute)
	c.Limits.StallTimeout = cmp.Or(c.Limits.StallTimeout, time.Minute)
	c.Limits.DrainTimeout = cmp.Or(c.Limits.DrainTimeout, 30*time.Second)
	c.Limits.HTTP2.fillIn()
	for name, limit := range c.RateLimits {
		limit.Key = cmp.Or(limit.Key, keyClientIP)
		limit.Burst = cmp.Or(limit.Burst, limit.Rate.Events)
		c.RateLimits[name] = limit
	}
	for name, upstream := range c.Upstreams {
		upstream.Balance = cmp.Or(upstream.Balance, balanceRoundRobin)
		upstream.ResponseTimeout = cmp.Or(upstream.ResponseTimeout, time.Minute)
		if upstream.Health != nil {
			upstream.Health.Path = cmp.Or(upstream.Health.Path, "/")
			upstream.Health.Interval = cmp.Or(upstream.Health.Interval, 2*time.Second)
			upstream.Health.Timeout = cmp.Or(upstream.Health.Timeout, 2*time.Second)
		}
		c.Upstreams[name] = upstream
	}
	for i := range c.Sites {
		for j := range c.Sites[i].Routes {
			route := &c.Sites[i].Routes[j]
			route.EncodedSlash = cmp.Or(route.EncodedSlash, encodedSlashPass)
			if route.Redirect != nil {
				route.Redirect.Status = cmp.Or(route.Redirect.Status, 308)
			}
		}
	}
}

func (l *HTTP2Limits) fillIn() {
	l.StreamWindow = cmp.Or(l.StreamWindow, 256<<10)
	l.ConnectionWindow = cmp.Or(l.ConnectionWindow, 1<<20)
	l.HeaderTable = cmp.Or(l.HeaderTable, 4<<10)
	l.Continuations = cmp.Or(l.Continuations, 64)
	l.Resets = cmp.Or(l.Resets, 100)
	l.ControlFrames = cmp.Or(l.ControlFrames, 1000)
	l.UnreadReplies = cmp.Or(l.UnreadReplies, 1000)
}
