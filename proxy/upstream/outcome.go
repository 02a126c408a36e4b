package upstream

import (
	"slices"
	"time"
)

// Note tells the pool how a target dealt with a request: whether it failed, by no answer in time or none at all. Nothing is to
// be noted when the client was at fault. The breaker counts only how the request ends: Conclude.
func (p *Pool) Note(request *Request, target *Target, failed bool) {
	if p.settings.Passive.Failures > 0 {
		p.notePassive(target, failed)
	}
	request.noted, request.failed = p.breaker != nil, failed
}

// Conclude lets the breaker count a request by what was noted last: it goes to no other target.
func (p *Pool) Conclude(request *Request) {
	if !request.noted {
		return
	}
	trial := request.trial
	request.noted, request.trial = false, false
	if !p.breaker.note(time.Now(), trial, request.failed) {
		return
	}
	if p.Breaker() != Closed { // also by a request that did not fail, as the last of those that tell something
		p.log.Warn("upstream fails, its circuit breaker opens", "upstream", p.settings.Name, "for", p.settings.Breaker.Open)
		return
	}
	p.log.Info("upstream answers again, its circuit breaker closes", "upstream", p.settings.Name)
}

// NoteAnswer is Note for an answer of this status.
func (p *Pool) NoteAnswer(request *Request, target *Target, status int) {
	if p.breaker != nil || p.settings.Passive.Failures > 0 {
		p.Note(request, target, slices.Contains(p.settings.FailureStatuses, status))
	}
}

func (p *Pool) notePassive(target *Target, failed bool) {
	if failed {
		p.judge(target, time.Now())
		return
	}
	target.failing.reset()
}

// Breaker is what the circuit breaker does; Closed without one.
func (p *Pool) Breaker() BreakerState {
	if p.breaker == nil {
		return Closed
	}
	return p.breaker.state(time.Now())
}
