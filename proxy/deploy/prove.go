package deploy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/portico-web/portico/proxy/upstream"
)

// Passes is how many checks in a row a target must pass before it gets requests.
const Passes = 3

// Proof is what new targets have to show.
type Proof struct {
	Settings upstream.Settings // with the new targets
	Within   time.Duration     // for the checks, all targets at once
	Smoke    []string          // paths that must be answered well afterwards
	Host     string            // that the smoke paths are asked of; "" for the target's own
}

// Prove checks the targets until each has passed Passes times in a row, and then asks for the smoke paths. Each step that is
// reached is told; tell is called by one goroutine at a time.
func (p Proof) Prove(ctx context.Context, tell func(target string, passed int)) error {
	checking, cancel := context.WithTimeout(ctx, p.Within)
	defer cancel()
	var mu sync.Mutex
	var waiting sync.WaitGroup
	failures := make([]error, len(p.Settings.Targets))
	for i, target := range p.Settings.Targets {
		waiting.Go(func() {
			failures[i] = p.check(checking, target, func(passed int) {
				mu.Lock()
				defer mu.Unlock()
				tell(target, passed)
			})
		})
	}
	waiting.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return inOneLine(failures)
}

// check asks one target until it has passed often enough, or the time is over.
func (p Proof) check(ctx context.Context, target string, tell func(passed int)) error {
	ticker := time.NewTicker(p.Settings.CheckEvery())
	defer ticker.Stop()
	var last error
	for passed := 0; ; {
		err := p.Settings.Check(ctx, target)
		switch {
		case err == nil:
			passed++
			tell(passed)
			if passed == Passes {
				return nil
			}
		case ctx.Err() == nil:
			passed, last = 0, err
		}
		select {
		case <-ctx.Done():
			if last == nil {
				last = errors.New("it answers too slowly")
			}
			return fmt.Errorf("%s did not pass %d probes in a row within %s (%w)", target, Passes, p.Within, last)
		case <-ticker.C:
		}
	}
}

// SmokeTest asks every target for the smoke paths.
func (p Proof) SmokeTest(ctx context.Context, tell func(target, path string)) error {
	for _, path := range p.Smoke {
		for _, target := range p.Settings.Targets {
			if err := p.Settings.Smoke(ctx, target, path, p.Host); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				return fmt.Errorf("the smoke path failed: %w", err)
			}
			tell(target, path)
		}
	}
	return nil
}

// inOneLine is what all these errors say, for an operator's one line; nil when none is one.
func inOneLine(failures []error) error {
	var told error
	for _, failure := range failures {
		switch {
		case failure == nil:
		case told == nil:
			told = failure
		default:
			told = fmt.Errorf("%w; %w", told, failure)
		}
	}
	return told
}
