package http1_test

import (
	"io"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/message"
)

// random gives raw in pieces of random sizes, with timeouts in between.
func random(raw string, seed uint64) io.Reader {
	source := rand.New(rand.NewPCG(seed, 0))
	largest := 1 + source.IntN(64)
	var p pieces
	for len(raw) > 0 {
		n := min(1+source.IntN(largest), len(raw))
		p = append(p, []byte(raw[:n]))
		raw = raw[n:]
	}
	if seed%2 == 0 {
		return &p
	}
	return &hesitant{source: &p}
}

// bounded fails the test when more is asked for at once than a buffer may hold.
type bounded struct {
	io.Reader
	t     *testing.T
	bound int
}

func (b bounded) Read(p []byte) (int, error) {
	if len(p) > b.bound {
		b.t.Fatalf("%d bytes are asked for, with a bound of %d", len(p), b.bound)
	}
	return b.Reader.Read(p)
}

// A message with several faults may be refused for any of them: which is seen first depends on how bytes arrive.
var refusal = regexp.MustCompile(`(?m)^[45]\d\d [a-zA-Z][^\n]*\n\z`)

// fuzz checks that what is read does not depend on how the bytes arrive, nor on the buffer's size.
func (s side) fuzz(t *testing.T, raw string, seed uint64) {
	outcome := func(source io.Reader, size int) string {
		source = bounded{source, t, max(size, limits.HeadBytes)}
		return refusal.ReplaceAllString(s.transcript(source, size, limits), "refused\n")
	}
	want := outcome(whole(raw), 32<<10)
	size := 64 + int(seed>>32%512)
	for i, source := range []io.Reader{whole(raw), every(raw, 1), random(raw, seed), &eager{raw}} {
		if got := outcome(source, size); got != want {
			t.Fatalf("%q, way %d, seed %d, buffer %d:\n%swant\n%s", raw, i, seed, size, got, want)
		}
	}
}

func FuzzRequestHead(f *testing.F) {
	for i, c := range requests {
		f.Add(c.raw, uint64(i))
	}
	f.Fuzz(func(t *testing.T, raw string, seed uint64) {
		side{}.fuzz(t, raw, seed)
		roundTripRequest(t, raw)
	})
}

func FuzzResponseHead(f *testing.F) {
	for i, c := range responses {
		f.Add(c.raw, c.method == "HEAD", uint64(i))
	}
	f.Fuzz(func(t *testing.T, raw string, toHead bool, seed uint64) {
		method := methodFor(toHead)
		side{method}.fuzz(t, raw, seed)
		roundTripResponse(t, method, raw)
	})
}

func methodFor(toHead bool) string {
	if toHead {
		return "HEAD"
	}
	return "GET"
}

func FuzzChunkedBody(f *testing.F) {
	for i, c := range chunked {
		f.Add(c.raw, uint64(i))
	}
	f.Fuzz(func(t *testing.T, raw string, seed uint64) {
		side{}.fuzz(t, chunkedRequest+raw, seed)
		var head message.Head
		var body http1.Body
		source := strings.NewReader(chunkedRequest + raw)
		r := http1.NewReader(source, 256)
		framing, err := r.ReadRequest(&head, limits)
		if err != nil {
			t.Fatal(err)
		}
		body.Reset(r, framing, limits)
		var content []byte
		for err == nil {
			var next []byte
			next, err = body.Next()
			content = append(content, next...)
		}
		if !body.Done() {
			return
		}
		rest := raw[len(raw)-r.Buffered()-source.Len():]
		if wantContent, wantRest, ok := unchunk(raw); !ok || string(content) != wantContent || rest != wantRest {
			t.Fatalf("%q: content %q, rest %q; want %q, %q, %v", raw, content, rest, wantContent, wantRest, ok)
		}
	})
}

var (
	chunkLine = regexp.MustCompile(`\A([0-9A-Fa-f]{1,16})(;[^\x00-\x1f\x7f]*)?\r\n`)
	lastLines = regexp.MustCompile(`\A(\r\n|[^\r\n](?s:.*?)\r\n\r\n)`)
)

// unchunk is chunked content after the letter of the standard, all of it at once.
func unchunk(raw string) (content, rest string, ok bool) {
	var out strings.Builder
	for {
		line := chunkLine.FindStringSubmatch(raw)
		if line == nil {
			return "", "", false
		}
		raw = raw[len(line[0]):]
		size, err := strconv.ParseUint(line[1], 16, 63)
		if err != nil {
			return "", "", false
		}
		if size == 0 {
			end := lastLines.FindString(raw)
			return out.String(), raw[len(end):], end != ""
		}
		if uint64(len(raw)) < size+2 || raw[size:size+2] != "\r\n" {
			return "", "", false
		}
		out.WriteString(raw[:size])
		raw = raw[size+2:]
	}
}
