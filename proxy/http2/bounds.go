package http2

import (
	"cmp"
	"time"
)

// Bounds is how much one connection may take. A member that is zero has the default that stands behind it.
type Bounds struct {
	Streams          int // open at a time; 128
	StreamWindow     int // bytes of a stream's content that may be held; 256 KiB. It begins with 64 KiB, and grows with use
	ConnectionWindow int // the same of all streams; 1 MiB
	HeaderTable      int // bytes of the tables that compress heads; 4 KiB
	Continuations    int // CONTINUATION frames of one field block; 64
	Resets           int // a second, of streams that the other end resets, or makes this one reset; 100
	Frames           int // a second, of frames that bring neither a request nor content; 1000
	Replies          int // frames that the other end asks for, and does not read; 1000
}

// WithDefaults sets what is zero.
func (b Bounds) WithDefaults() Bounds {
	b.Streams = cmp.Or(b.Streams, 128)
	b.StreamWindow = cmp.Or(b.StreamWindow, 256<<10)
	b.ConnectionWindow = cmp.Or(b.ConnectionWindow, 1<<20)
	b.HeaderTable = cmp.Or(b.HeaderTable, tableSize)
	b.Continuations = cmp.Or(b.Continuations, 64)
	b.Resets = cmp.Or(b.Resets, 100)
	b.Frames = cmp.Or(b.Frames, 1000)
	b.Replies = cmp.Or(b.Replies, 1000)
	return b
}

// burst is for how many seconds' worth a client that was quiet may go beyond a rate at once.
const burst = 5

// allowance is what is left of a rate. The clock is read only when it is used up.
type allowance struct {
	left, most int
	rate       int // a second
	at         time.Time
}

func newAllowance(rate int) allowance {
	return allowance{left: burst * rate, most: burst * rate, rate: rate, at: time.Now()}
}

// take uses up one; false when there is none left.
func (a *allowance) take() bool {
	if a.left == 0 {
		now := time.Now()
		earned := min(now.Sub(a.at), burst*time.Second) * time.Duration(a.rate) / time.Second
		if earned == 0 {
			return false
		}
		a.left, a.at = int(earned), now
	}
	a.left--
	return true
}

// give adds to what is left.
func (a *allowance) give(n int) { a.left = min(a.left+n, a.most) }
