package forward_test

import (
	"errors"
	"testing"

	"github.com/portico-web/portico/proxy/forward"
	"github.com/portico-web/portico/proxy/upstream"
)

func TestARetiredForwarderTakesNothingMoreAndCountsWhatGoesOn(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	old := serve(t, func(p *peer) {
		p.head()
		close(arrived)
		<-release
		p.say("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold")
	})
	f, next := to(t, old), to(t, answering(t, ok))
	first := ask(t, "GET", "/")
	done := first.start(f)
	<-arrived
	f.Retire()
	second := ask(t, "GET", "/second")
	if err := second.through(f); !errors.Is(err, forward.ErrRetired) || len(second.saw()) > 0 {
		t.Errorf("%v, %q", err, second.saw())
	}
	if err := second.through(next); err != nil || second.answer.String() != "ok" {
		t.Errorf("asked elsewhere: %v, %q", err, second.saw())
	}
	if exchanges, streams := f.Active(); exchanges != 1 || streams != 0 {
		t.Errorf("%d exchanges and %d streams are under way", exchanges, streams)
	}
	close(release)
	if err := within(t, done, patience); err != nil || first.answer.String() != "old" {
		t.Errorf("%v, %q", err, first.saw())
	}
	if exchanges, _ := f.Active(); exchanges != 0 {
		t.Errorf("%d exchanges remain", exchanges)
	}
}

func TestTheStreamsOfOneForwarderEndAndOthersDoNot(t *testing.T) {
	t.Parallel()
	var streams forward.Streams
	tunnel := func() (*client, *forward.Forwarder, <-chan error) {
		up := serve(t, func(p *peer) {
			p.head()
			p.say(switching)
			p.untilClosed()
		})
		c, f := upgrading(t), forwarder(t, upstream.Settings{Targets: []string{up.address}}, &streams)
		done := c.start(f)
		<-c.opened
		return c, f, done
	}
	first, replaced, ended := tunnel()
	second, kept, goesOn := tunnel()
	if exchanges, open := replaced.Active(); exchanges != 1 || open != 1 {
		t.Errorf("%d exchanges and %d streams are under way", exchanges, open)
	}
	replaced.EndStreams()
	if err := within(t, ended, patience); err != nil {
		t.Error(err)
	}
	if _, open := kept.Active(); open != 1 {
		t.Errorf("%d streams of the other forwarder are open", open)
	}
	streams.End()
	if err := within(t, goesOn, patience); err != nil {
		t.Error(err)
	}
	_ = first.tunnel.Close()
	_ = second.tunnel.Close()
}
