package deploy

import (
	"context"
	"fmt"
	"time"

	"github.com/portico-web/portico/proxy/forward"
)

// drainTick is how often the exchanges that are left are counted: nothing on the way of a request tells.
const drainTick = 20 * time.Millisecond

// Drain lets exchanges with targets that were replaced come to their end.
type Drain struct {
	Within time.Duration // how long they are waited for
	Grace  time.Duration // after it event streams and tunnels are ended; no longer than Within

	KeepStreams bool // they go on instead, and nobody waits for them
}

// Drained is how that went.
type Drained struct {
	Requests int           // that were under way
	Streams  int           // event streams and tunnels that were ended
	Left     int           // requests that still go on
	Took     time.Duration // to the end, or to the limit
}

func (d Drained) String() string {
	text := fmt.Sprintf("drained %s in %s", count(d.Requests-d.Left, "request"), d.Took.Round(10*time.Millisecond))
	if d.Streams > 0 {
		text += fmt.Sprintf(", ended %s", count(d.Streams, "stream"))
	}
	if d.Left > 0 {
		text += fmt.Sprintf(", %s still under way", count(d.Left, "request"))
	}
	return text
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Wait waits until nothing of forwarders that were retired is under way, until the time is over, or ctx ends. What is left
// then goes on; only event streams and tunnels do not, as they would for ever.
func (d Drain) Wait(ctx context.Context, forwarders []*forward.Forwarder) Drained {
	start := time.Now()
	ticker := time.NewTicker(drainTick)
	defer ticker.Stop()
	var drained Drained
	ended := false
	for {
		exchanges, streams := 0, 0
		for _, forwarder := range forwarders {
			active, open := forwarder.Active()
			if d.KeepStreams {
				active, open = active-open, 0
			}
			exchanges, streams = exchanges+active, streams+open
		}
		took := time.Since(start)
		drained.Requests, drained.Left, drained.Took = max(drained.Requests, exchanges), exchanges, took
		if exchanges == 0 {
			return drained
		}
		if !d.KeepStreams && !ended && took >= min(d.Grace, d.Within) {
			ended, drained.Streams = true, streams
			for _, forwarder := range forwarders {
				forwarder.EndStreams()
			}
		}
		within := d.Within
		if drained.Streams > 0 { // their ends take a moment
			within += 10 * drainTick
		}
		if took >= within {
			return drained
		}
		select {
		case <-ctx.Done():
			return drained
		case <-ticker.C:
		}
	}
}
