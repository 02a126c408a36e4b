package forward

import (
	"errors"
	"time"

	"github.com/portico-web/portico/proxy/upstream"
)

var errQueued = errors.New("no target became free in time")

// queue waits until a target may take the request, for as long as the pool says, or until the client leaves.
func (x *exchange) queue() (*upstream.Target, error) {
	pool := x.forwarder.pool
	place, err := pool.Queue(&x.asks, x.tried)
	if err != nil {
		return nil, &Failure{Busy, err}
	}
	timer := time.NewTimer(pool.Settings().Queue.Timeout)
	defer timer.Stop()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-place.Ready():
			return place.Target(), nil
		case <-timer.C:
			err = &Failure{Busy, errQueued}
		case <-ticker.C:
			if !x.gone() {
				place.Look()
				continue
			}
			err = errGone
		}
		if target := place.Leave(); target != nil {
			return target, nil // just now
		}
		return nil, err
	}
}
