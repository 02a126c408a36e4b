package upstream

import (
	"slices"
	"time"
)

// Note tells the pool how a target dealt with a request: whether it failed, by no answer in time or none at all. Nothing is to
// be noted when the client was at fault.
func (p *Pool) Note(request *Request, target *Target, failed bool) {
	if p.settings.Passive.Failures > 0 {
		p.notePassive(target, failed)
	}
	if p.breaker == nil {
		return
	}
	trial := request.trial
	request.trial = false
	if !p.breaker.note(time.Now(), trial, failed) {
		return
	}
	if failed {
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
