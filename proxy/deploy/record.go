// Package deploy keeps what operators decided about the upstreams while the edge runs, so that it survives the edge: the
// targets that were put in the place of those in proxy.yaml, those before them, and who did it.
package deploy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

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

	Canary      *Canary      `json:"canary,omitempty"`
	Pause       *Pause       `json:"pause,omitempty"`
	Maintenance *Maintenance `json:"maintenance,omitempty"`
}

// Canary is targets that serve a share of the clients.
type Canary struct {
	Targets []string `json:"targets"`
	Percent float64  `json:"percent"`
}

// Check tells what is wrong with a canary.
func (c *Canary) Check() error {
	if len(c.Targets) == 0 {
		return errors.New("a canary needs a target")
	}
	if !(c.Percent >= 0.01 && c.Percent <= 100) {
		return fmt.Errorf("a canary cannot serve %g%% of the clients: name 0.01 to 100", c.Percent)
	}
	return CheckTargets(c.Targets)
}

// Pause is that requests wait.
type Pause struct {
	For   time.Duration `json:"for"`   // how long one request waits at most
	Queue int           `json:"queue"` // how many wait at most
}

const (
	maxPause = time.Hour
	maxQueue = 100_000
)

// Check tells what is wrong with a pause.
func (p *Pause) Check() error {
	if p.For <= 0 || p.For > maxPause {
		return fmt.Errorf("requests cannot wait for %s: name up to %s", p.For, maxPause)
	}
	if p.Queue < 1 || p.Queue > maxQueue {
		return fmt.Errorf("%d requests cannot wait: name 1 to %d", p.Queue, maxQueue)
	}
	return nil
}

// Maintenance is that requests are answered 503.
type Maintenance struct {
	Message string         `json:"message,omitempty"` // "": the edge's own words
	Allow   []netip.Prefix `json:"allow,omitempty"`   // clients who are served all the same
}

// maxMessage bounds a message to clients, and maxAllow the clients who are served.
const (
	maxMessage = 1000
	maxAllow   = 100
)

// Check tells what is wrong with a maintenance.
func (m *Maintenance) Check() error {
	if len(m.Message) > maxMessage || !utf8.ValidString(m.Message) || strings.ContainsFunc(m.Message, unicode.IsControl) {
		return fmt.Errorf("the message to clients is one line of %d bytes at most", maxMessage)
	}
	if len(m.Allow) > maxAllow {
		return fmt.Errorf("%d ranges of clients are more than %d", len(m.Allow), maxAllow)
	}
	return nil
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
	if r.Canary != nil {
		if err := r.Canary.Check(); err != nil {
			return err
		}
	}
	if r.Pause != nil {
		if err := r.Pause.Check(); err != nil {
			return err
		}
	}
	if r.Maintenance != nil {
		return r.Maintenance.Check()
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
