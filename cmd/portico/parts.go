package main

import (
	"context"
	"errors"
	"fmt"
)

// parts are the running parts of a platform. They run until the process is asked to stop or one of them ends, and are then
// stopped one after the other in the order of their start.
type parts struct {
	base    context.Context // never ends by itself: each part is stopped on its own
	asked   context.Context // ends when the process is asked to stop, or a part ended
	end     context.CancelFunc
	running []*part
	closers []func() error
}

type part struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

func newParts(ctx context.Context) *parts {
	asked, end := context.WithCancel(ctx)
	return &parts{base: context.WithoutCancel(ctx), asked: asked, end: end}
}

func (p *parts) start(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(p.base)
	started := &part{cancel: cancel, done: make(chan struct{})}
	p.running = append(p.running, started)
	go func() {
		defer close(started.done)
		defer p.end()
		if err := run(ctx); err != nil {
			started.err = err
		} else if ctx.Err() == nil {
			started.err = fmt.Errorf("%s ended by itself", name)
		}
	}()
}

// onStop has close called after all parts have stopped.
func (p *parts) onStop(close func() error) { p.closers = append(p.closers, close) }

// ending is closed when it is time to call stop.
func (p *parts) ending() <-chan struct{} { return p.asked.Done() }

// stop stops the parts, waits for each, and returns what went wrong.
func (p *parts) stop() error {
	p.end()
	var failures []error
	for _, running := range p.running {
		running.cancel()
		<-running.done
		failures = append(failures, running.err)
	}
	for _, close := range p.closers {
		failures = append(failures, close())
	}
	return errors.Join(failures...)
}
