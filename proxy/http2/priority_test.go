package http2_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/portico-web/portico/proxy/message"
)

// contest has streams of these priorities write content while nothing can leave, and tells in which order it leaves then. The
// first one has begun before, and filled what is gathered.
func contest(t *testing.T, settings []xhttp2.Setting, announce func(p *peer, i int, id uint32), priorities ...string) []uint32 {
	t.Helper()
	var door *gate
	begun := make(chan struct{}, 10)
	p := service{
		wire: func(wire io.ReadWriter) io.ReadWriter { door = newGate(wire); return door },
		handler: func(stream message.Stream) {
			begun <- struct{}{}
			answer(stream, 200, strings.Repeat("x", 100_000))
		},
	}.dial(t, settings...)
	p.widen(0, 1<<30)
	p.settle()
	door.shut()
	_ = p.WritePing(false, [8]byte{})
	door.held()
	ask := func(priority string) {
		var more []hpack.HeaderField
		if priority != "" {
			more = append(more, field("priority", priority))
		}
		p.get("/", more...)
		<-begun
		time.Sleep(10 * time.Millisecond) // until it waits for room, which nothing shows; a little less shakes no verdict
	}
	for i, priority := range priorities {
		if announce != nil {
			announce(p, i, p.lastID+2)
		}
		ask(priority)
	}
	if announce != nil {
		for id := uint32(1); id <= p.lastID; id += 2 {
			announce(p, -1, id)
		}
	}
	ask("u=7") // it was taken in after the updates
	door.open(true)
	for id := range p.streams {
		p.answer(id)
	}
	return p.order
}

// end is where in the order a stream's content ends.
func end(order []uint32, id uint32) int {
	last := 0
	for i, other := range order {
		if other == id {
			last = i
		}
	}
	return last
}

// began is where in the order a stream's content begins.
func began(order []uint32, id uint32) int { return slices.Index(order, id) }

var wide = []xhttp2.Setting{{ID: xhttp2.SettingInitialWindowSize, Val: 1 << 30}}

func TestUrgentContentOvertakes(t *testing.T) {
	t.Parallel()
	order := contest(t, wide, nil, "u=7", "u=0", "u=3")
	if end(order, 3) > end(order, 5) || end(order, 5) > end(order, 1) {
		t.Errorf("%v", order)
	}
}

func TestIncrementalContentShares(t *testing.T) {
	t.Parallel()
	order := contest(t, wide, nil, "u=1, i", "u=1, i", "u=1, i")
	if began(order, 5) > end(order, 1) || began(order, 3) > end(order, 1) || began(order, 1) > end(order, 5) {
		t.Errorf("%v", order)
	}
}

func TestContentThatDoesNotShareComesInTheOrderOfItsRequests(t *testing.T) {
	t.Parallel()
	order := contest(t, wide, nil, "u=5", "u=1", "u=1", "u=1")
	for _, pair := range [][2]uint32{{3, 5}, {5, 7}, {7, 1}} {
		if end(order, pair[0]) > end(order, pair[1]) {
			t.Errorf("%v", order)
		}
	}
}

func update(p *peer, id uint32, priority string) {
	p.frame(0x10, 0, 0, append([]byte{byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)}, priority...))
}

func TestAPriorityMayBeAnnouncedBefore(t *testing.T) {
	t.Parallel()
	order := contest(t, wide, func(p *peer, i int, id uint32) {
		if i == 1 {
			update(p, id, "u=0") // it has the last word, whatever the request says
		}
	}, "u=7", "u=6", "u=3")
	if end(order, 3) > end(order, 5) || end(order, 5) > end(order, 1) {
		t.Errorf("%v", order)
	}
}

func TestAPriorityMayChange(t *testing.T) {
	t.Parallel()
	order := contest(t, wide, func(p *peer, i int, id uint32) {
		if i == -1 && id == 5 {
			update(p, id, "u=0")
		}
	}, "u=7", "u=2", "u=6")
	if end(order, 5) > end(order, 3) || end(order, 3) > end(order, 1) {
		t.Errorf("%v", order)
	}
}

// A field that is not understood changes nothing, in part or as a whole.
func TestPrioritiesAreParsedLeniently(t *testing.T) {
	t.Parallel()
	for _, urgent := range []string{"u=0", "i=?0,u=0", "u=0 , i", "u=0;x=1", "x, u=0", "u=7,u=0"} {
		if order := contest(t, wide, nil, "u=2", urgent); end(order, 3) > end(order, 1) {
			t.Errorf("%q is not urgent: %v", urgent, order)
		}
	}
	for _, usual := range []string{"", "u=8", "u=-1", "u=", "u", "u=00", "U=0", "=", ",,", "u=\"0\""} {
		if order := contest(t, wide, nil, "u=2", usual); end(order, 3) < end(order, 1) {
			t.Errorf("%q is urgent: %v", usual, order)
		}
	}
}

// A stream without window does not hold up others, however urgent it is.
func TestAStreamWithoutWindowHoldsUpNobody(t *testing.T) {
	t.Parallel()
	p := service{handler: sized}.dial(t)
	p.widen(0, 1<<20)
	urgent := p.get("/100000", field("priority", "u=0"))
	p.until("its window's end", func() bool { return p.stream(urgent).window == 0 })
	for i := range 5 {
		if r := p.answer(p.get("/1000", field("priority", fmt.Sprintf("u=%d", 3+i)))); len(r.content) != 1000 {
			t.Errorf("%v", r.frames)
		}
	}
	p.widen(urgent, 1<<20)
	p.answer(urgent)
}
