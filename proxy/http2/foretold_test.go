package http2_test

import (
	"testing"

	xhttp2 "golang.org/x/net/http2"
)

// The last word about a stream that is still to come is the one that counts (RFC 9218 section 7.1).
func TestThePriorityThatWasForetoldLastCounts(t *testing.T) {
	t.Parallel()
	p := service{handler: sized}.dial(t, window(1<<20))
	foretell := func(id byte, priority string) {
		p.frame(xhttp2.FrameType(0x10), 0, 0, append([]byte{0, 0, 0, id}, priority...))
	}
	p.get("/65535") // takes the connection's window
	p.answer(1)
	foretell(5, "u=7")
	foretell(5, "u=0")
	p.get("/1000", field("priority", "u=3"))
	p.get("/1000", field("priority", "u=3"))
	p.settle()
	p.order = nil
	p.widen(0, 2000)
	p.answer(3)
	p.answer(5)
	if p.order[0] != 5 {
		t.Errorf("content came on the streams %v", p.order)
	}
}
