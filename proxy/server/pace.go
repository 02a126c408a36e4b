package server

import "time"

// pace says how long a client may keep a request's content waiting: each wait is bounded, and on the whole the content must
// come at a rate, once a time of grace is used up. Only the time counts that is spent waiting for the client.
type pace struct {
	settings *Settings
	waited   time.Duration
	received int64 // bytes of content
}

// patience is how long the next wait may take; nothing when the client has fallen behind.
func (p *pace) patience() time.Duration {
	patience := p.settings.StallTimeout
	if p.settings.BodyRate > 0 {
		// Seconds first: bytes times a second overflow at 9 GB.
		rate := int64(p.settings.BodyRate)
		earned := time.Duration(p.received/rate)*time.Second + time.Duration(p.received%rate)*time.Second/time.Duration(rate)
		patience = min(patience, p.settings.BodyGrace+earned-p.waited)
	}
	return patience
}

// came counts content, and for how long it was waited for.
func (p *pace) came(bytes int, waited time.Duration) {
	p.received += int64(bytes)
	p.waited += waited
}
