// Package deploy keeps what operators decided about the upstreams while the edge runs, so that it survives the edge: the
// targets that were put in the place of those in proxy.yaml, those before them, and who did it.
package deploy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/portico-web/portico/proxy/upstream"
)

const (
	// MaxTargets bounds the targets of one upstream.
	MaxTargets = 64
	// maxHistory is how many events an upstream's history keeps.
	maxHistory = 20
)

// Record is what was decided about one upstream. The zero value stands for nothing: the targets of proxy.yaml serve.
type Record struct {
	Live     []string `json:"live,omitempty"`     // the targets that serve; none: those of proxy.yaml
	Previous []string `json:"previous,omitempty"` // what a rollback goes back to
	History  []Event  `json:"history,omitempty"`  // the last ones, the newest at the end
}

// Event is something that an operator did.
type Event struct {
	Time    time.Time `json:"time"`
	Action  string    `json:"action"`
	By      string    `json:"by"`
	Targets []string  `json:"targets,omitempty"` // that serve since then
	From    []string  `json:"from,omitempty"`    // that served before
	Outcome string    `json:"outcome,omitempty"` // how the requests to From came to their end; "" while that is not known
}

// Note adds an event to the history, which forgets the oldest.
func (r *Record) Note(event Event) {
	r.History = append(slices.Clone(r.History), event)
	if more := len(r.History) - maxHistory; more > 0 {
		r.History = r.History[more:]
	}
}

// Conclude tells the outcome of the event of that time, if the history still has it.
func (r *Record) Conclude(at time.Time, outcome string) {
	r.History = slices.Clone(r.History)
	for i := range r.History {
		if r.History[i].Time.Equal(at) {
			r.History[i].Outcome = outcome
		}
	}
}

// Last is the newest event; nil when there is none.
func (r *Record) Last() *Event {
	if len(r.History) == 0 {
		return nil
	}
	return &r.History[len(r.History)-1]
}

func (r *Record) check() error {
	for _, targets := range [][]string{r.Live, r.Previous} {
		if err := CheckTargets(targets); err != nil {
			return err
		}
	}
	return nil
}

// CheckTargets tells what is wrong with a list of targets; an empty one is right.
func CheckTargets(targets []string) error {
	if len(targets) > MaxTargets {
		return fmt.Errorf("%d targets are more than %d", len(targets), MaxTargets)
	}
	for i, target := range targets {
		if _, err := upstream.ParseTarget(target); err != nil {
			return err
		}
		if slices.Contains(targets[:i], target) {
			return fmt.Errorf("%s is named twice", target)
		}
	}
	return nil
}

// Names writes targets as a person reads them.
func Names(targets []string) string {
	if len(targets) == 0 {
		return "the targets of proxy.yaml"
	}
	return strings.Join(targets, ", ")
}

var errVersion = errors.New("it was written by a newer version of this program")
