package forward_test

import (
	"sync"
	"testing"

	"github.com/portico-web/portico/proxy/forward"
	"github.com/portico-web/portico/proxy/upstream"
)

// Event streams end by themselves just while the process ends them.
func TestTheStreamsMayEndWhileTheyAreEnded(t *testing.T) {
	t.Parallel()
	for range 5 {
		release := make(chan struct{})
		up := serve(t, func(p *peer) {
			for p.head() != "" {
				p.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 2\r\n\r\nx")
				<-release
				p.say("y")
			}
		})
		var streams forward.Streams
		f := forwarder(t, upstream.Settings{Targets: []string{up.address}}, &streams)
		var clients sync.WaitGroup
		first := make(chan struct{}, 100)
		for range 100 {
			c := ask(t, "GET", "/")
			clients.Go(func() {
				if err := c.through(f); err != nil || !c.ended() {
					t.Errorf("%v, %q", err, c.saw())
				}
				first <- struct{}{}
			})
			c.await("+x")
		}
		close(release)
		<-first
		streams.End()
		clients.Wait()
	}
}
