// Package handover is what an edge and the process that takes its place say to each other, on a Unix socket:
//
//	new  hello: the protocol's version, who it is
//	old  welcome, or why not; then its sockets (server.Listeners.HandOver)
//	new  ready: everything is prepared, nothing is accepted yet. Or why it gives up
//	old  yours
//	new  serving
//
// The old one serves until the last of these, whatever becomes of the new one; then it drains. Messages are JSON after their
// length in four bytes; members that a process does not know it ignores, so that versions of the program can differ.
package handover

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// protocol changes when processes of two versions cannot understand each other any more.
const protocol = 1

const (
	answerWithin = 5 * time.Second // for what needs no preparation
	// ReadyWithin is how long a new process may take to prepare itself.
	ReadyWithin = 2 * time.Minute

	mostMessage = 4 << 10
)

// Process is who takes part.
type Process struct {
	PID     int    `json:"pid"`
	Version string `json:"version"`
}

type message struct {
	Protocol int `json:"protocol,omitempty"`
	Process  `json:"process"`
	Step     step   `json:"step"`
	Reason   string `json:"reason,omitempty"` // of refused and failed
	Sticky   string `json:"sticky,omitempty"` // of welcome
}

type step string

const (
	hello   step = "hello"
	welcome step = "welcome"
	refused step = "refused"
	ready   step = "ready"
	failed  step = "failed"
	yours   step = "yours"
	serving step = "serving"
)

// errDead is told when the other process is gone.
var errDead = errors.New("the other process is gone")

// peer is one end of the conversation.
type peer struct {
	conn *net.UnixConn
	self Process
}

func (p *peer) tell(what step, reason string) error {
	return p.send(message{Step: what, Reason: reason})
}

func (p *peer) send(told message) error {
	told.Process, told.Protocol = p.self, protocol
	if len(told.Reason) > mostMessage/4 { // JSON may make it longer
		told.Reason = told.Reason[:mostMessage/4]
	}
	text, err := json.Marshal(told)
	if err != nil {
		return err
	}
	_ = p.conn.SetWriteDeadline(time.Now().Add(answerWithin))
	_, err = p.conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...))
	return err
}

// hear waits for a message, so long or, when within is 0, until ctx ends; errDead when the other process is gone.
func (p *peer) hear(ctx context.Context, within time.Duration) (heard message, err error) {
	var deadline time.Time
	if within > 0 {
		deadline = time.Now().Add(within)
	}
	_ = p.conn.SetReadDeadline(deadline)
	defer context.AfterFunc(ctx, func() { _ = p.conn.SetReadDeadline(time.Unix(1, 0)) })()
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = ctx.Err()
		}
	}()
	var length [4]byte
	if _, err := io.ReadFull(p.conn, length[:]); err != nil {
		if timeout, isNet := errors.AsType[net.Error](err); isNet && timeout.Timeout() {
			return heard, fmt.Errorf("it said nothing for %s", within)
		}
		return heard, errDead
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > mostMessage {
		return heard, errors.New("it speaks something else")
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(p.conn, text); err != nil {
		return heard, errDead
	}
	if err := json.Unmarshal(text, &heard); err != nil {
		return heard, errors.New("it speaks something else")
	}
	return heard, nil
}

// expect is hear for one step; another is an error, told with its reason.
func (p *peer) expect(ctx context.Context, what step, within time.Duration) (message, error) {
	heard, err := p.hear(ctx, within)
	switch {
	case err != nil:
		return heard, err
	case heard.Step == what:
		return heard, nil
	case heard.Reason != "":
		return heard, errors.New(heard.Reason)
	default:
		return heard, fmt.Errorf("it said %q where %q was due", heard.Step, what)
	}
}
