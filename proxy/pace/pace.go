// Package pace holds clients to a minimum rate with the content that they send, in every version of HTTP.
package pace

import (
	"cmp"
	"time"
)

// Pace is how long clients may keep the server waiting. A member that is zero has the default that stands behind it.
type Pace struct {
	StallTimeout time.Duration // for which neither content nor an answer may get on; 30 s
	BodyRate     int           // bytes a second that a client must keep while its content is awaited; 0 is none
	BodyGrace    time.Duration // of waiting before BodyRate counts; 5 s
}

// WithDefaults sets what is zero.
func (p Pace) WithDefaults() Pace {
	p.StallTimeout = cmp.Or(p.StallTimeout, 30*time.Second)
	p.BodyGrace = cmp.Or(p.BodyGrace, 5*time.Second)
	return p
}

// Wait is how far a client is with a request's content: each wait is bounded, and on the whole the content must come at a
// rate, once a time of grace is used up. Only the time counts that is spent waiting for the client.
type Wait struct {
	Pace     *Pace
	waited   time.Duration
	received int64 // bytes of content
}

// Patience is how long the next wait may take; nothing when the client has fallen behind.
func (w *Wait) Patience() time.Duration {
	patience := w.Pace.StallTimeout
	if w.Pace.BodyRate > 0 {
		// Seconds first: bytes times a second overflow at 9 GB, and at a byte a second even those.
		rate := int64(w.Pace.BodyRate)
		earned := time.Duration(min(w.received/rate, mostEarned))*time.Second + time.Duration(w.received%rate)*time.Second/time.Duration(rate)
		patience = min(patience, w.Pace.BodyGrace+earned-w.waited)
	}
	return patience
}

// mostEarned is more seconds than any content takes.
const mostEarned = 1 << 32

// Came counts content, and for how long it was waited for.
func (w *Wait) Came(bytes int, waited time.Duration) {
	w.received += int64(bytes)
	w.waited += waited
}
