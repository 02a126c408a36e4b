package http2_test

import (
	"fmt"
	"io"
	"log"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/message"
)

// summary is what a request is, whatever server took it in.
func summary(method, authority, target string, fields map[string][]string, content string, trailer map[string][]string) string {
	var all strings.Builder
	fmt.Fprintf(&all, "%s %s %s", method, strings.ToLower(authority), target)
	for _, part := range []map[string][]string{fields, trailer} {
		all.WriteString(" |")
		for _, name := range slices.Sorted(maps.Keys(part)) {
			fmt.Fprintf(&all, " %s=%q", name, part[name])
		}
	}
	fmt.Fprintf(&all, " | %d bytes: %.20q", len(content), content)
	return all.String()
}

func summarize(stream message.Stream) {
	head := stream.Head()
	listed := func(fields *message.Fields) map[string][]string {
		if fields == nil {
			return nil
		}
		all := map[string][]string{}
		for _, f := range fields.All() {
			if name := strings.ToLower(string(f.Name)); name != "trailer" {
				all[name] = append(all[name], string(f.Value))
			}
		}
		return all
	}
	fields := listed(&head.Fields)
	method, authority, target := head.Method, head.Authority, head.Target()
	all, err := content(stream.Body())
	if err != nil {
		stream.Abort()
		return
	}
	answer(stream, 200, summary(method, authority, target, fields, all, listed(stream.Body().Trailer())))
}

func summarizeHTTP(w http.ResponseWriter, r *http.Request) {
	listed := func(header http.Header, leftOut ...string) map[string][]string {
		all := map[string][]string{}
		for name, values := range header {
			if name = strings.ToLower(name); len(values) > 0 && !slices.Contains(leftOut, name) {
				all[name] = values
			}
		}
		return all
	}
	all, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	text := summary(r.Method, r.Host, r.RequestURI, listed(r.Header, "content-length", "te", "expect", "host", "http2-settings"), string(all), listed(r.Trailer))
	w.Header().Set("Content-Length", fmt.Sprint(len(text)))
	_, _ = io.WriteString(w, text)
}

// dialOther has a connection served by the other server.
func dialOther(t testing.TB) *peer {
	t.Helper()
	client, server := pair(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		other := &xhttp2.Server{}                      //nolint:staticcheck // as below
		other.ServeConn(server, &xhttp2.ServeConnOpts{ //nolint:staticcheck // its successors serve listeners only
			BaseConfig: &http.Server{ErrorLog: log.New(io.Discard, "", 0), MaxHeaderBytes: 16 << 10}, Handler: http.HandlerFunc(summarizeHTTP),
		})
	}()
	t.Cleanup(func() {
		_ = client.Close()
		<-done
	})
	p := newPeer(t, client)
	p.greet()
	return p
}

// verdict is what becomes of a request that is sent whole: its summary, or "" when it was refused.
func (p *peer) verdict(t testing.TB, fields []hpack.HeaderField) (text string, alive bool) {
	t.Helper()
	r := p.stream(p.open(true, fields))
	for !r.ended && !r.reset {
		if p.read() != nil {
			return "", false
		}
	}
	if r.status != 200 || r.reset && r.code != 0 {
		return "", true
	}
	return string(r.content), true
}

// mutate makes a head another one, which often is no good any more.
func mutate(source *rand.Rand, list []hpack.HeaderField, from [][]hpack.HeaderField) []hpack.HeaderField {
	list = slices.Clone(list)
	bytesOf := "\x00\t\n\r :;,=\x7f\x80\xff\"#%/?@[]\\aZ09-_.~+"
	for range 1 + source.IntN(3) {
		if len(list) == 0 {
			list = append(list, field(":method", "GET"))
		}
		i := source.IntN(len(list))
		switch source.IntN(8) {
		case 0:
			list = slices.Delete(list, i, i+1)
		case 1:
			list = slices.Insert(list, source.IntN(len(list)+1), list[i])
		case 2:
			j := source.IntN(len(list))
			list[i], list[j] = list[j], list[i]
		case 3:
			other := from[source.IntN(len(from))]
			if len(other) > 0 {
				list = append(list, other[source.IntN(len(other))])
			}
		case 4:
			other := from[source.IntN(len(from))]
			if len(other) > 0 {
				list[i] = other[source.IntN(len(other))]
			}
		default:
			text := &list[i].Value
			if source.IntN(4) == 0 {
				text = &list[i].Name
			}
			at, c := source.IntN(len(*text)+1), string(bytesOf[source.IntN(len(bytesOf))])
			if source.IntN(2) == 0 && at < len(*text) {
				*text = (*text)[:at] + c + (*text)[at+1:]
			} else {
				*text = (*text)[:at] + c + (*text)[at:]
			}
		}
	}
	return list
}

// A head that this server takes in, the other one of net/http takes in, too, and as the same. The other way round there are
// differences: this one wants an authority that is one, knows no plain CONNECT and no TRACE, and no white space around values.
func TestHeadsMeanTheSameToBoth(t *testing.T) {
	t.Parallel()
	source := rand.New(rand.NewPCG(4, 4))
	from := slices.Collect(maps.Values(malformed()))
	slices.SortFunc(from, func(a, b []hpack.HeaderField) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	from = append(from,
		head("POST", "/a/b?c=d", field("cookie", "a=1"), field("x-a", "1"), field("cookie", "b=2"), field("host", "localhost")),
		head("OPTIONS", "*", field("te", "trailers"), field("accept", "*/*"), field("content-length", "0")),
		head("GET", "/%zz;x//..", field("user-agent", "me"), field("priority", "u=1"), field("expect", "100-continue")))
	ours := func() *peer {
		return service{handler: summarize, limits: http1.Limits{HeadBytes: 16 << 10, TargetBytes: 8 << 10, Fields: 100}}.dial(t)
	}
	mine, other := ours(), dialOther(t)
	taken := 0
	for range 4000 {
		list := mutate(source, from[source.IntN(len(from))], from)
		if source.IntN(2) == 0 {
			list = mutate(source, from[len(from)-1-source.IntN(3)], from)
		}
		got, alive := mine.verdict(t, list)
		if !alive {
			t.Fatalf("%q ended the connection: %v", list, mine.goAways)
		}
		want, otherAlive := other.verdict(t, list)
		if !otherAlive {
			other = dialOther(t)
		}
		if got == "" {
			continue
		}
		taken++
		if got != want && !deliberate(list) {
			t.Errorf("%q:\nthis one  %s\nthe other %s", list, got, want)
		}
		if len(mine.streams) > 100 { // the rate of resets
			_ = mine.conn.Close()
			mine = ours()
		}
	}
	if taken < 200 {
		t.Errorf("only %d heads were taken in", taken)
	}
}

// deliberate tells whether this server takes in what the other does not, and may.
func deliberate(list []hpack.HeaderField) bool {
	te := 0
	for _, f := range list {
		if f.Name == "te" {
			te++
		}
		switch {
		case te > 1: // the same twice says no more
			return true
		case f.Name == ":path" && strings.Contains(f.Value, "%"): // net/http wants it to be decodable
			return true
		}
	}
	return false
}

// A frame of a head whose bytes were changed means the same to both, or this server refuses it; and both lose their connection
// over compression that is broken.
func TestBlocksMeanTheSameToBoth(t *testing.T) {
	t.Parallel()
	source := rand.New(rand.NewPCG(6, 8))
	mine, other := service{handler: summarize}.dial(t), dialOther(t)
	id, taken := uint32(1), 0
	for range 1500 {
		list := head("GET", fmt.Sprint("/", source.IntN(9)), field("x-a", fmt.Sprint(source.IntN(9))), field("cookie", "a=b"), field("te", "trailers"))
		mine.encoder = hpack.NewEncoder(&mine.block) // each block stands for itself
		payload, flags := mine.encode(list), xhttp2.FlagHeadersEndHeaders|xhttp2.FlagHeadersEndStream
		if source.IntN(4) == 0 {
			payload, flags = append([]byte{0, 0, 0, 0, 7}, payload...), flags|xhttp2.FlagHeadersPriority
		}
		if source.IntN(4) == 0 {
			payload, flags = append(append([]byte{2}, payload...), 0, 0), flags|xhttp2.FlagHeadersPadded
		}
		for range source.IntN(3) {
			switch i := source.IntN(len(payload)); source.IntN(4) {
			case 0:
				payload = slices.Delete(payload, i, i+1)
			case 1:
				payload = slices.Insert(payload, i, byte(source.IntN(256)))
			default:
				payload[i] ^= 1 << source.IntN(8)
			}
		}
		verdict := func(p *peer) (text string, code xhttp2.ErrCode, alive bool) {
			r := p.stream(id)
			p.frame(xhttp2.FrameHeaders, flags, id, payload)
			_ = p.WritePing(false, [8]byte{})
			for pings := len(p.pings); len(p.pings) == pings || !r.ended && !r.reset; {
				if p.read() != nil || p.last() != 0 { // the other one takes a second from then to the end
					return "", p.last(), false
				}
			}
			if r.status != 200 || r.reset && r.code != 0 {
				return "", 0, true
			}
			return string(r.content), 0, true
		}
		got, _, alive := verdict(mine)
		want, otherCode, otherAlive := verdict(other)
		switch {
		case got != "" && got != want && !strings.Contains(got, "%"):
			t.Errorf("%x:\nthis one  %s\nthe other %s", payload, got, want)
		case otherCode == xhttp2.ErrCodeCompression && alive:
			t.Errorf("%x: compression that is broken for the other is not for this one", payload)
		case got != "":
			taken++
		}
		id += 2
		if !alive || !otherAlive || len(mine.streams) > 100 {
			_, _ = mine.conn.Close(), other.conn.Close()
			mine, other, id = service{handler: summarize}.dial(t), dialOther(t), 1
		}
	}
	if taken < 200 {
		t.Errorf("only %d were taken in", taken)
	}
}

// last is the code of the last GOAWAY.
func (p *peer) last() xhttp2.ErrCode {
	if len(p.goAways) == 0 {
		return 0
	}
	return p.goAways[len(p.goAways)-1].code
}

// step is something that a client does with a stream, sent to both servers.
type step func(p *peer)

// behaviour is a sequence of what a client may do: requests with content of any shape, padded, in parts, with trailers.
func behaviour(source *rand.Rand) (steps []step, streams int) {
	var open []uint32
	next := uint32(1)
	for range 40 {
		switch source.IntN(6) {
		case 0, 1:
			id, end := next, source.IntN(3) == 0
			next += 2
			list := head([]string{"GET", "POST", "PUT", "DELETE", "HEAD", "REPORT"}[source.IntN(6)], fmt.Sprintf("/%d?%d", id, source.IntN(9)))
			if !end {
				list = append(list, field("trailer", "x-trailer")) // net/http keeps only those that are announced
			}
			for range source.IntN(6) {
				list = append(list, field(fmt.Sprint("x-", source.IntN(5)), fmt.Sprint(source.IntN(3))))
			}
			for range source.IntN(3) {
				list = append(list, field("cookie", fmt.Sprint("c=", source.IntN(3))))
			}
			steps = append(steps, func(p *peer) { p.headers(id, end, list) })
			if !end {
				open = append(open, id)
			}
		case 2, 3:
			if len(open) > 0 {
				i := source.IntN(len(open))
				id, end, n, padding := open[i], source.IntN(3) == 0, source.IntN(3000), source.IntN(2)*source.IntN(200)
				steps = append(steps, func(p *peer) {
					if padding > 0 {
						_ = p.WriteDataPadded(id, end, []byte(strings.Repeat("d", n)), make([]byte, padding))
					} else {
						p.data(id, end, strings.Repeat("d", n))
					}
				})
				if end {
					open = slices.Delete(open, i, i+1)
				}
			}
		case 4:
			if len(open) > 0 {
				id := open[0]
				open = open[1:]
				steps = append(steps, func(p *peer) { p.headers(id, true, []hpack.HeaderField{field("x-trailer", fmt.Sprint(id))}) })
			}
		case 5:
			size := uint32(source.IntN(70_000))
			steps = append(steps, []step{
				func(p *peer) { _ = p.WritePing(false, [8]byte{1}) },
				func(p *peer) { p.set(window(size)) },
				func(p *peer) { p.widen(0, size+1) },
				func(p *peer) { _ = p.WritePriority(next, xhttp2.PriorityParam{StreamDep: 0}) },
			}[source.IntN(4)])
		}
	}
	for _, id := range open {
		steps = append(steps, func(p *peer) { p.data(id, true, "") })
	}
	return steps, int(next / 2)
}

func TestClientsGetTheSameAnswersFromBoth(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			steps, streams := behaviour(rand.New(rand.NewPCG(5, seed)))
			answers := func(p *peer) (all []string) {
				p.returns = true
				p.corked = seed%2 == 0
				for _, step := range steps {
					step(p)
				}
				p.set(window(1 << 20))
				p.uncork()
				for i := range streams {
					r := p.answer(uint32(2*i + 1))
					all = append(all, fmt.Sprint(r.status, r.field("content-length"), r.ended, string(r.content)))
				}
				return all
			}
			got, want := answers(service{handler: summarize}.dial(t)), answers(dialOther(t))
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("stream %d:\nthis one  %s\nthe other %s", 2*i+1, got[i], want[i])
				}
			}
		})
	}
}
