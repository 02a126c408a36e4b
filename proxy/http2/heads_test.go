package http2_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/portico-web/portico/proxy/http2"
	"github.com/portico-web/portico/proxy/message"
)

func tableOf(n uint32) xhttp2.Setting {
	return xhttp2.Setting{ID: xhttp2.SettingHeaderTableSize, Val: n}
}

// listed answers with fields that a source of chance gives, and remembers them.
func listed(source *rand.Rand, sent chan<- []hpack.HeaderField) message.Handler {
	names := []string{"etag", "Server", "x-a", "X-Longer-Name", "vary", "set-cookie", "authorization", "cache-control", "location", "x-b", "link"}
	return func(stream message.Stream) {
		head := message.Head{Status: []int{200, 204, 206, 304, 400, 404, 500, 201, 418}[source.IntN(9)], Length: 0}
		var list []hpack.HeaderField
		for range source.IntN(30) {
			name, value := names[source.IntN(len(names))], fmt.Sprint("value ", source.IntN(4))
			switch source.IntN(12) {
			case 0:
				value = strings.Repeat(string('a'+rune(source.IntN(3))), source.IntN(6000)) // beyond the table, at times
			case 1:
				value = strings.Repeat("\xff", source.IntN(900))
			case 2:
				name = fmt.Sprint("X-Made-", source.IntN(100))
			}
			head.AddNamed(name, value)
			list = append(list, hpack.HeaderField{Name: strings.ToLower(name), Value: value, Sensitive: name == "set-cookie" || name == "authorization"})
		}
		head.AddNamed("date", "today")
		list = append(list, field("date", "today"))
		sent <- list
		_ = stream.Answer(&head)
		_ = stream.End(nil)
	}
}

// Whatever the sizes of the tables, and however they change, what is sent is understood: the same fields in the same order,
// secrets never indexed.
func TestHeadsAreCompressedInStep(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			source := rand.New(rand.NewPCG(2, seed))
			sent := make(chan []hpack.HeaderField, 1)
			bound := []int{4096, 1, 100, 8192, 65536}[seed%5]
			p := service{bounds: http2.Bounds{HeaderTable: bound}, handler: listed(rand.New(rand.NewPCG(3, seed)), sent)}.dial(t, tableOf(1<<20))
			for range 150 {
				for range source.IntN(8) / 5 * source.IntN(4) {
					size := []uint32{0, 1, 32, 100, 300, 4096, 5000, 1 << 16, 1<<32 - 1}[source.IntN(9)]
					p.decoder.SetAllowedMaxDynamicTableSize(1 << 20)
					_ = p.WriteSettings(tableOf(size))
					p.pending = append(p.pending, -1)
				}
				r := p.answer(p.get("/"))
				want := <-sent
				got := slices.DeleteFunc(r.fields, func(f hpack.HeaderField) bool { return f.Name == "content-length" })
				if !slices.Equal(got, want) {
					t.Fatalf("sent %v, understood %v", want, got)
				}
			}
		})
	}
}

// What comes for the third time costs a byte.
func TestFieldsThatComeAgainAreIndexed(t *testing.T) {
	t.Parallel()
	p := service{handler: func(stream message.Stream) {
		answer(stream, 204, "", "x-again", strings.Repeat("again ", 20), "set-cookie", "secret=1")
	}}.dial(t)
	var sizes []int
	for range 4 {
		p.answer(p.get("/"))
		sizes = append(sizes, len(p.fragment))
	}
	if secret := 1 + 2 + len("secret=1") + 1; sizes[0] < 120 || sizes[2] > 3+secret || sizes[2] != sizes[3] {
		t.Errorf("blocks of %v bytes", sizes)
	}
}
