package http2_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/portico-web/portico/proxy/http2"
	"github.com/portico-web/portico/proxy/message"
)

// Whatever becomes of content, the connection's window moves on for each byte of it once.
func TestEveryByteOfContentIsGivenBackOnce(t *testing.T) {
	t.Parallel()
	const most = 64 << 10
	for seed := range uint64(4) {
		t.Run(strconv.Itoa(int(seed)), func(t *testing.T) {
			t.Parallel()
			source := rand.New(rand.NewPCG(seed, seed))
			p := service{bounds: http2.Bounds{StreamWindow: most, ConnectionWindow: most, Resets: 1 << 20, Frames: 1 << 20}, handler: takeSome}.dial(t)
			sent := int64(0)
			left := func() int64 { return initialWindow + p.credit - sent }
			for range 400 {
				fields := head("POST", fmt.Sprintf("/%d", source.IntN(4)))
				switch source.IntN(8) {
				case 0:
					fields = append(fields, field("content-length", strconv.Itoa(source.IntN(20_000))))
				case 1:
					fields = append(fields, field("connection", "close"))
				case 2:
					fields = append(fields, field("expect", "the unexpected"))
				}
				id, ended := p.open(false, fields), false
				for range source.IntN(5) {
					if source.IntN(3) == 0 {
						p.settle()
					}
					n, padding := source.IntN(8000), []byte(nil)
					if source.IntN(3) == 0 {
						padding = make([]byte, source.IntN(256))
					}
					size := int64(n)
					if padding != nil {
						size += int64(1 + len(padding))
					}
					p.until("a window", func() bool { return left() >= size })
					sent += size
					end := source.IntN(6) == 0
					ended = ended || end // and goes on, which is an error of the stream's
					_ = p.WriteDataPadded(id, end, []byte(strings.Repeat("c", n)), padding)
				}
				switch end := source.IntN(4); {
				case end == 0:
					p.reset(id, xhttp2.ErrCodeCancel)
				case end == 1 && !ended:
					p.headers(id, true, []hpack.HeaderField{field("checksum", "1")})
				case end == 2:
					p.data(id, true, "")
				}
				if source.IntN(4) == 0 || p.served.begun.Load() > p.served.returned.Load()+50 {
					p.settle()
				}
			}
			for id := uint32(1); id <= p.lastID; id += 2 { // those that go on
				p.reset(id, xhttp2.ErrCodeCancel)
			}
			for p.settle(); p.served.begun.Load() > p.served.returned.Load(); {
				p.settle()
			}
			p.alive() // so that they were put aside
			if n := left(); n > most || n <= most-most/4 {
				t.Errorf("%d bytes of %d may be sent after %d were", n, most, sent)
			}
		})
	}
}

const initialWindow = 65535

// takeSome takes as much of the content as the path says, and then answers, or aborts.
func takeSome(stream message.Stream) {
	mode := stream.Head().Path
	for i := 0; mode != "/0"; i++ {
		if _, err := stream.Body().Next(); err != nil || mode == "/1" && i == 1 {
			break
		}
	}
	if mode == "/3" {
		stream.Abort()
		return
	}
	answer(stream, 200, "taken")
}
