package proxy_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2attack is something that one client does on one connection.
type h2attack struct {
	name    string
	run     func(p *h2peer)
	deaf    bool                // the attacker reads nothing
	verdict func(*h2peer) error // looks whether the edge did what it has to, while the connection stands
}

var h2attacks = []h2attack{
	{name: "rapid reset", run: func(p *h2peer) {
		p.repeat(10_000, func(i int) error {
			_ = p.ask(i, http.MethodGet, "/hang", true)
			return p.WriteRSTStream(h2stream(i), http2.ErrCodeCancel)
		})
	}},
	{name: "resets provoked by increments of zero", run: func(p *h2peer) {
		p.repeat(10_000, func(i int) error {
			_ = p.ask(i, http.MethodGet, "/hang", true)
			return p.WriteWindowUpdate(h2stream(i), 0)
		})
	}},
	{name: "resets provoked by windows that overflow", run: func(p *h2peer) {
		p.repeat(10_000, func(i int) error {
			_ = p.ask(i, http.MethodGet, "/hang", true)
			return p.WriteWindowUpdate(h2stream(i), 1<<31-1)
		})
	}},
	{name: "resets provoked by content after the end", run: func(p *h2peer) {
		p.repeat(10_000, func(i int) error {
			_ = p.ask(i, http.MethodGet, "/hang", true)
			return p.WriteData(h2stream(i), true, []byte("x"))
		})
	}},
	{name: "resets provoked by streams that depend on themselves", run: func(p *h2peer) {
		p.repeat(10_000, func(i int) error {
			_ = p.ask(i, http.MethodGet, "/hang", true)
			return p.WritePriority(h2stream(i), http2.PriorityParam{StreamDep: h2stream(i)})
		})
	}},
	{name: "more streams than allowed", verdict: refusedExcess, run: func(p *h2peer) {
		p.repeat(4*int(p.streams), func(i int) error { return p.ask(i, http.MethodGet, "/hang", true) })
	}},
	{name: "continuation without end", verdict: ended, run: func(p *h2peer) {
		p.continued("/bomb", 4_000, bytes.Repeat([]byte("\x00\x01a\x7f\x81\x7f"+strings.Repeat("b", 256)), 60)) // literals: 64 MB in all
	}},
	{name: "continuation without end in tiny pieces", verdict: ended, run: func(p *h2peer) {
		p.continued("/bomb", 100_000, []byte("\x00\x01a\x01b"))
	}},
	{name: "continuation of nothing", run: func(p *h2peer) {
		p.continued("/", 100_000, nil)
		_ = p.WriteContinuation(1, true, nil) // a ping may not come before
	}},
	{name: "bombs of indexed fields", run: func(p *h2peer) {
		p.repeat(50, func(i int) error { // each expands to 64 MB
			value := fmt.Sprint(i, strings.Repeat("b", 3900))
			block := append(p.fields(http.MethodGet, "/bomb", hpack.HeaderField{Name: "x-bomb", Value: value}), bytes.Repeat([]byte{0x80 | 62}, 16_000)...)
			return p.split(i, block)
		})
	}},
	{name: "fields of a megabyte", run: func(p *h2peer) {
		value := strings.Repeat("b", 1<<20)
		p.repeat(10, func(i int) error {
			return p.split(i, p.fields(http.MethodGet, "/bomb", hpack.HeaderField{Name: "x-bomb", Value: value, Sensitive: true}))
		})
	}},
	{name: "thousands of tiny fields", run: func(p *h2peer) {
		p.repeat(20, func(i int) error {
			return p.split(i, append(p.fields(http.MethodGet, "/bomb"), bytes.Repeat([]byte("\x00\x01a\x01b"), 20_000)...))
		})
	}},
	{name: "thousands of crumbs of a cookie", run: func(p *h2peer) {
		p.repeat(20, func(i int) error {
			return p.split(i, append(p.fields(http.MethodGet, "/bomb"), bytes.Repeat([]byte("\x0f\x11\x01b"), 20_000)...)) // entry 32 is cookie
		})
	}},
	{name: "pings", run: func(p *h2peer) {
		p.repeat(50_000, func(int) error { return p.WritePing(false, [8]byte{}) })
	}},
	{name: "pings whose answers are not read", deaf: true, run: func(p *h2peer) {
		p.repeat(500_000, func(int) error { return p.WritePing(false, [8]byte{}) })
	}},
	{name: "settings", run: func(p *h2peer) {
		p.repeat(20_000, func(i int) error { return p.WriteSettings(h2window(i % 2)) })
	}},
	{name: "settings whose answers are not read", deaf: true, run: func(p *h2peer) {
		p.repeat(500_000, func(int) error { return p.WriteSettings() })
	}},
	{name: "content of no bytes", run: func(p *h2peer) {
		_ = p.ask(0, http.MethodPost, "/hang", false)
		p.repeat(50_000, func(int) error { return p.WriteData(1, false, nil) })
	}},
	{name: "content that is padding", run: func(p *h2peer) {
		_ = p.ask(0, http.MethodPost, "/hang", false)
		p.repeat(50_000, func(int) error { return p.WriteDataPadded(1, false, nil, make([]byte, 255)) })
	}},
	{name: "tiny windows", run: func(p *h2peer) {
		_ = p.ask(0, http.MethodGet, "/hang", true)
		p.repeat(50_000, func(i int) error { return p.WriteWindowUpdate(uint32(i%2), 1) })
	}},
	{name: "priorities of streams that never come", run: func(p *h2peer) {
		p.repeat(50_000, func(i int) error {
			return p.WritePriority(h2stream(i), http2.PriorityParam{StreamDep: h2stream(i + 1)})
		})
	}},
	{name: "frames of unknown types", run: func(p *h2peer) {
		p.repeat(50_000, func(i int) error { return p.WriteRawFrame(0xee, 0, 0, []byte("x")) })
	}},
}

func ended(p *h2peer) error {
	if !p.gone(h2patience) {
		return errors.New("the connection is still open")
	}
	return nil
}

func refusedExcess(p *h2peer) error {
	resets := 0
	for _, count := range p.saw().Resets {
		resets += count
	}
	if want := 3 * int(p.streams); resets < want && !p.gone(0) {
		return fmt.Errorf("%d streams were refused, want %d", resets, want)
	}
	return nil
}

// continued begins a head and goes on with it, without an end.
func (p *h2peer) continued(path string, n int, part []byte) {
	_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.fields(http.MethodGet, path), EndStream: true})
	p.repeat(n, func(int) error { return p.WriteContinuation(1, false, part) })
}

func h2window(size int) http2.Setting {
	return http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(size)}
}

// Memory and goroutines of the whole process are looked at: no test runs beside this one.
func TestAttacksByHTTP2CostLittleAndHarmNobody(t *testing.T) {
	target := newH2target(t)
	e := startQuiet(t, site(target.address, `      - {path: /, upstream: app}`))
	for _, attack := range h2attacks {
		t.Run(attack.name, func(t *testing.T) {
			target.reset()
			bear(t, e, func() func() {
				p, err := e.attack(attack.deaf)
				if err != nil {
					t.Error(err)
					return func() {}
				}
				attack.run(p)
				p.settle()
				return func() {
					if attack.verdict != nil {
						if err := attack.verdict(p); err != nil {
							t.Error(err)
						}
					}
					p.close()
					t.Logf("it saw %+v; the upstream worked at %d requests at once", p.saw(), target.peak.Load())
					if p.streams == 0 || target.peak.Load() > 2*int64(p.streams) { // an upstream learns a little later that it was left
						t.Errorf("the upstream worked at %d requests at once, the edge allows %d streams", target.peak.Load(), p.streams)
					}
				}
			})
			if target.bombed.Load() {
				t.Error("the upstream was asked for /bomb")
			}
		})
	}
}
