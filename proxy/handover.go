package proxy

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/portico-web/portico/proxy/config"
	"github.com/portico-web/portico/proxy/control"
	"github.com/portico-web/portico/proxy/handover"
	"github.com/portico-web/portico/proxy/server"
)

// askPredecessor asks the edge that serves already, if there is one, for its sockets.
func (p *Proxy) askPredecessor(ctx context.Context, cfg *config.Config) (*handover.Predecessor, *server.Inherited, error) {
	path, configured := strings.CutPrefix(cfg.Listen.Handover, "unix:")
	if !configured {
		return nil, nil, nil
	}
	before, err := handover.Ask(ctx, path, p.process())
	if before == nil || err != nil {
		return nil, nil, err
	}
	inherited, err := server.Inherit(before.Conn())
	if err != nil {
		before.Close(err)
		return nil, nil, err
	}
	p.stickyKey = cmp.Or(before.Sticky(), p.stickyKey)
	p.log.Info("taking another process's place", "pid", before.Process().PID, "version", before.Process().Version)
	return before, inherited, nil
}

func (p *Proxy) process() handover.Process {
	return handover.Process{PID: os.Getpid(), Version: p.options.Version}
}

// sockets are the Unix sockets of the operator and of successors; nil where none is configured.
type sockets struct{ admin, handover *control.Socket }

func openSockets(ctx context.Context, cfg *config.Config, predecessor bool) (opened sockets, err error) {
	for _, socket := range []struct {
		key, address string
		opened       **control.Socket
	}{
		{"listen.admin", cfg.Listen.Admin, &opened.admin}, {"listen.handover", cfg.Listen.Handover, &opened.handover},
	} {
		path, configured := strings.CutPrefix(socket.address, "unix:")
		if !configured {
			continue
		}
		if *socket.opened, err = control.Open(ctx, socket.key, path, predecessor); err != nil {
			opened.close()
			return sockets{}, err
		}
	}
	return opened, nil
}

func (s sockets) all() (all []*control.Socket) {
	for _, socket := range []*control.Socket{s.admin, s.handover} {
		if socket != nil {
			all = append(all, socket)
		}
	}
	return all
}

// publish lets the sockets be found. It is too late to fail for those that cannot.
func (s sockets) publish(log *slog.Logger) {
	for _, socket := range s.all() {
		if err := socket.Publish(); err != nil {
			log.Error("the edge serves, but no command reaches it by this socket", "error", err)
		}
	}
}

func (s sockets) close() {
	for _, socket := range s.all() {
		_ = socket.Close()
	}
}

// callers is how many processes may ask for this one's place at once; only one gets on.
const callers = 8

// serveHandover answers processes that want to take this one's place, and calls leave when one did. The function that comes
// back stops that and waits.
func (p *Proxy) serveHandover(ctx context.Context, socket *control.Socket, leave func()) (stop func()) {
	if socket == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	context.AfterFunc(ctx, func() { _ = socket.Close() }) // who comes later begins anew
	var answering sync.WaitGroup
	room := make(chan struct{}, callers)
	answering.Go(func() {
		for {
			room <- struct{}{} // those that have it lose it when ctx ends
			connection, err := socket.AcceptUnix()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil { // too many open files, which passes
				<-room
				select {
				case <-time.After(time.Second):
				case <-ctx.Done():
					return
				}
				continue
			}
			answering.Go(func() {
				defer func() { <-room }()
				defer connection.Close()
				if p.handOver(ctx, connection) {
					leave()
				}
			})
		}
	})
	return func() {
		cancel()
		answering.Wait()
	}
}

// handOver gives this edge's place to the process behind connection, and tells whether that took it. In every other case this
// one serves on, and has not stopped to.
func (p *Proxy) handOver(ctx context.Context, connection *net.UnixConn) bool {
	successor, err := handover.Greet(ctx, connection, p.process())
	if err != nil {
		p.log.Warn("a process that asked for this one's place was refused", "reason", err)
		return false
	}
	if !p.handing.TryLock() {
		successor.Refuse("another process is about to take its place")
		return false
	}
	defer p.handing.Unlock()
	if p.hasSuccessor() {
		successor.Refuse("another process has just taken its place")
		return false
	}
	thaw, err := p.deploys.freeze() // the other one is to know all that was decided
	if err != nil {
		successor.Refuse(err.Error())
		return false
	}
	log := p.log.With("pid", successor.Process().PID, "version", successor.Process().Version)
	log.Info("a process prepares to take this one's place")
	err = successor.Welcome(p.stickyKey, p.listeners.HandOver)
	if err == nil {
		err = successor.AwaitReady(ctx)
	}
	if err == nil {
		p.listeners.Yield()
		if err = successor.GiveWay(ctx); err != nil && ctx.Err() == nil {
			p.listeners.Resume()
		}
	}
	switch {
	case ctx.Err() != nil: // it was told to stop: the other one sees that this one is gone
		return false
	case err != nil:
		thaw()
		successor.Refuse(err.Error())
		log.Warn("this process keeps its place, the other one does not take it", "reason", err)
		return false
	}
	taker := successor.Process()
	p.successor = &taker
	close(p.succeeded)
	if p.options.Succeeded != nil {
		p.options.Succeeded(taker.PID)
	}
	return true
}

func (p *Proxy) hasSuccessor() bool {
	select {
	case <-p.succeeded:
		return true
	default:
		return false
	}
}
