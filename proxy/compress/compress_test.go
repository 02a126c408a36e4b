package compress_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/portico-web/portico/proxy/compress"
	"github.com/portico-web/portico/proxy/message"
)

// answered is what reached the client.
type answered struct {
	statuses []int
	head     message.Head
	content  bytes.Buffer
	ended    bool
}

func (a *answered) Interim(head *message.Head) error {
	a.statuses = append(a.statuses, head.Status)
	return nil
}

func (a *answered) Answer(head *message.Head) error {
	a.statuses = append(a.statuses, head.Status)
	a.head.Fields.CopyFrom(&head.Fields)
	a.head.Length = head.Length
	return nil
}

func (a *answered) Write(p []byte) (int, error) { return a.content.Write(p) }
func (a *answered) Flush() error                { return nil }
func (a *answered) End(*message.Fields) error   { a.ended = true; return nil }
func (a *answered) get(id message.Name) string  { return string(a.head.Get(id)) }

// asking is a GET with these fields.
func asking(fields ...string) *message.Head {
	head := &message.Head{Method: "GET"}
	for i := 0; i < len(fields); i += 2 {
		head.AddNamed(fields[i], fields[i+1])
	}
	return head
}

// answer is an answer's head with these fields.
func answer(status int, length int64, fields ...string) *message.Head {
	head := asking(fields...)
	head.Status, head.Length = status, length
	return head
}

func unzip(t *testing.T, content io.Reader) string {
	t.Helper()
	reader, err := gzip.NewReader(content)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

func TestOnlyWhatPaysAndMayIsCompressed(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 4096)
	compressor := compress.New()
	for name, c := range map[string]struct {
		accept     string
		head       *message.Head
		body       string
		compressed bool
	}{
		"text":              {"gzip", answer(200, message.Unknown, "Content-Type", "text/html; charset=utf-8"), long, true},
		"any coding":        {"br;q=0, zstd;q=0, *;q=0.1", answer(200, message.Unknown, "Content-Type", "text/html"), long, true},
		"JSON":              {"gzip", answer(200, message.Unknown, "content-type", "application/problem+json"), long, true},
		"known length":      {"gzip", answer(200, 4096, "Content-Type", "text/css"), long, true},
		"not accepted":      {"deflate", answer(200, message.Unknown, "Content-Type", "text/html"), long, false},
		"refused":           {"gzip;q=0", answer(200, message.Unknown, "Content-Type", "text/html"), long, false},
		"no field":          {"", answer(200, message.Unknown, "Content-Type", "text/html"), long, false},
		"image":             {"gzip", answer(200, message.Unknown, "Content-Type", "image/png"), long, false},
		"no type":           {"gzip", answer(200, message.Unknown), long, false},
		"events":            {"gzip", answer(200, message.Unknown, "Content-Type", "text/event-stream"), long, false},
		"coded already":     {"gzip", answer(200, message.Unknown, "Content-Type", "text/html", "Content-Encoding", "br"), long, false},
		"not to be changed": {"gzip", answer(200, message.Unknown, "Content-Type", "text/html", "Cache-Control", "private", "Cache-Control", "No-Transform"), long, false},
		"short":             {"gzip", answer(200, 3, "Content-Type", "text/html"), "abc", false},
		"partial":           {"gzip", answer(206, message.Unknown, "Content-Type", "text/html"), long, false},
		"not found":         {"gzip", answer(404, message.Unknown, "Content-Type", "text/html"), long, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := asking()
			if c.accept != "" {
				request.AddNamed("accept-encoding", c.accept)
			}
			got := &answered{}
			out := compressor.Wrap(got, request, compress.Standard)
			defer out.Release()
			c.head.Add(message.ETag, `"tag"`)
			length := c.head.Length
			if err := out.Answer(c.head); err != nil {
				t.Fatal(err)
			}
			for chunk := range strings.SplitAfterSeq(c.body, "xxxxxxxx") {
				if _, err := out.Write([]byte(chunk)); err != nil {
					t.Fatal(err)
				}
			}
			if err := out.End(nil); err != nil || !got.ended {
				t.Fatal(err, got.ended)
			}
			if (got.get(message.ContentEncoding) == "gzip") != c.compressed {
				t.Fatalf("Content-Encoding %q", got.get(message.ContentEncoding))
			}
			body, tag := got.content.String(), `"tag"`
			if c.compressed {
				tag, length = `W/"tag"`, message.Unknown
				if len(body) > len(c.body)/4 {
					t.Errorf("%d bytes", len(body))
				}
				body = unzip(t, &got.content)
			}
			if got.get(message.ETag) != tag || got.head.Length != length || body != c.body || got.statuses[0] != c.head.Status {
				t.Errorf("ETag %s, length %d, status %v, %d bytes", got.get(message.ETag), got.head.Length, got.statuses, len(body))
			}
		})
	}
}

func TestWhatWouldBeCompressedForOthersVaries(t *testing.T) {
	t.Parallel()
	got := &answered{}
	out := compress.New().Wrap(got, asking(), compress.Standard)
	defer out.Release()
	if err := out.Answer(answer(200, 4096, "Content-Type", "text/html")); err != nil {
		t.Fatal(err)
	}
	if got.get(message.Vary) != "Accept-Encoding" || got.head.Length != 4096 {
		t.Error(got.get(message.Vary), got.head.Length)
	}
}

func TestAFlushSendsWhatWasWritten(t *testing.T) {
	t.Parallel()
	got := &answered{}
	out := compress.New().Wrap(got, asking("Accept-Encoding", "gzip"), compress.Standard)
	defer out.Release()
	if err := out.Answer(answer(200, message.Unknown, "Content-Type", "text/plain")); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Write([]byte("first")); err != nil {
		t.Fatal(err)
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	reader, err := gzip.NewReader(&got.content)
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 5)
	if _, err := io.ReadFull(reader, first); err != nil || string(first) != "first" {
		t.Errorf("%q, %v", first, err)
	}
}

func TestWhoHoldsACompressedAnswerIsToldThatItIsFresh(t *testing.T) {
	t.Parallel()
	for held, want := range map[string]string{`W/"v"`: `W/"v"`, `"v"`: `"v"`, `W/"x", W/"v"`: `W/"v"`} {
		got := &answered{}
		out := compress.New().Wrap(got, asking("Accept-Encoding", "gzip", "If-None-Match", held), compress.Standard)
		if err := out.Answer(answer(304, message.Unknown, "ETag", `"v"`)); err != nil {
			t.Fatal(err)
		}
		out.Release()
		if got.get(message.ETag) != want {
			t.Errorf("%s is held: %s, want %s", held, got.get(message.ETag), want)
		}
	}
}

func TestEarlyHintsPassBeforeTheDecision(t *testing.T) {
	t.Parallel()
	got := &answered{}
	out := compress.New().Wrap(got, asking("Accept-Encoding", "gzip"), compress.Standard)
	defer out.Release()
	if err := out.Interim(answer(103, message.Unknown)); err != nil {
		t.Fatal(err)
	}
	if err := out.Answer(answer(200, message.Unknown, "Content-Type", "text/html")); err != nil {
		t.Fatal(err)
	}
	if len(got.statuses) != 2 || got.statuses[0] != 103 || got.get(message.ContentEncoding) != "gzip" {
		t.Error(got.statuses, got.get(message.ContentEncoding))
	}
}

func TestTheClientAndTheListChooseTheCoding(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		accept  string
		offered []compress.Coding
		want    string
	}{
		{"gzip, deflate, br, zstd", compress.Standard, "zstd"},
		{"gzip, deflate, br", compress.Standard, "gzip"},
		{"br", compress.Standard, "br"},
		{"gzip, deflate, br, zstd", []compress.Coding{compress.Brotli, compress.Gzip}, "br"},
		{"gzip;q=0.5, br;q=0.8, zstd;q=0.799", compress.Standard, "br"},
		{"GZIP ; q=1.000 , br ;Q=0.9", compress.Standard, "gzip"},
		{"x-gzip", compress.Standard, "gzip"},
		{"*", compress.Standard, "zstd"},
		{"*;q=0.3, zstd;q=0", compress.Standard, "gzip"},
		{"*;q=0", compress.Standard, ""},
		{"*;q=0, br", compress.Standard, "br"},
		{"identity, *;q=0", compress.Standard, ""},
		{"gzip;q=0.000", compress.Standard, ""},
		{"gzip;q=2, br;q=x, zstd;q=-1", compress.Standard, ""},
		{"gzip;q=0.1234, br;level=1, zstd;q", compress.Standard, ""},
		{"gzip;q=1.5", compress.Standard, "gzip"}, // it says that it likes it, if too loudly
		{"deflate, compress, , ;;, ,", compress.Standard, ""},
		{"", compress.Standard, ""},
		{"gzip", nil, ""},
	} {
		got := &answered{}
		out := compress.New().Wrap(got, asking("Accept-Encoding", c.accept), c.offered)
		if err := out.Answer(answer(200, message.Unknown, "Content-Type", "text/html")); err != nil {
			t.Fatal(err)
		}
		out.Release()
		if coding := got.get(message.ContentEncoding); coding != c.want {
			t.Errorf("%q of %v: %q, want %q", c.accept, c.offered, coding, c.want)
		}
	}
}

// decode undoes a coding.
func decode(t *testing.T, coding string, content io.Reader) io.Reader {
	t.Helper()
	switch coding {
	case "zstd":
		reader, err := zstd.NewReader(content, zstd.WithDecoderMaxWindow(8<<20)) // what browsers take (RFC 9659)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(reader.Close)
		return reader
	case "br":
		return brotli.NewReader(content)
	default:
		reader, err := gzip.NewReader(content)
		if err != nil {
			t.Fatal(err)
		}
		return reader
	}
}

func TestEveryCodingCarriesTheContentAndWhatIsFlushed(t *testing.T) {
	t.Parallel()
	compressor := compress.New()
	for range 3 { // encoders are used again
		for _, coding := range compress.Standard {
			var parts [3]string
			for i := range parts {
				parts[i] = strings.Repeat(coding.String()+string(rune('0'+i)), 50_000)
			}
			got := &answered{}
			out := compressor.Wrap(got, asking("Accept-Encoding", coding.String()), compress.Standard)
			if err := out.Answer(answer(200, message.Unknown, "Content-Type", "text/html")); err != nil {
				t.Fatal(err)
			}
			so := ""
			for _, part := range parts {
				so += part
				if _, err := out.Write([]byte(part)); err != nil {
					t.Fatal(err)
				}
				if err := out.Flush(); err != nil {
					t.Fatal(err)
				}
				flushed := make([]byte, len(so))
				if _, err := io.ReadFull(decode(t, coding.String(), bytes.NewReader(got.content.Bytes())), flushed); err != nil || string(flushed) != so {
					t.Fatalf("%s: what was flushed cannot be read: %v", coding, err)
				}
			}
			if err := out.End(nil); err != nil {
				t.Fatal(err)
			}
			out.Release()
			if content, err := io.ReadAll(decode(t, coding.String(), &got.content)); err != nil || string(content) != so {
				t.Errorf("%s: %d bytes, %v", coding, len(content), err)
			}
		}
	}
}

func TestAnswersThatAnotherSiteMayWatchPassAsTheyAre(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fields     []string
		compressed bool
	}{
		{[]string{"Cookie", "session=1"}, true},
		{[]string{"Cookie", "session=1", "Sec-Fetch-Site", "same-origin"}, true},
		{[]string{"Cookie", "session=1", "Sec-Fetch-Site", "none"}, true},
		{[]string{"Cookie", "session=1", "sec-fetch-site", "cross-site", "Sec-Fetch-Mode", "no-cors"}, false},
		{[]string{"Cookie", "session=1", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, false},
		{[]string{"Cookie", "session=1", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-User", "?1"}, true}, // a link was followed
		{[]string{"Sec-Fetch-Site", "cross-site"}, true},                                                // there is no secret
	} {
		got := &answered{}
		out := compress.New().Wrap(got, asking(append(c.fields, "Accept-Encoding", "gzip")...), compress.Standard)
		if err := out.Answer(answer(200, message.Unknown, "Content-Type", "text/html")); err != nil {
			t.Fatal(err)
		}
		out.Release()
		if (got.get(message.ContentEncoding) != "") != c.compressed || got.get(message.Vary) != "Accept-Encoding" {
			t.Errorf("%v: %q, Vary %q", c.fields, got.get(message.ContentEncoding), got.get(message.Vary))
		}
	}
}

func TestWhatVariesAlreadyIsNotToldTwice(t *testing.T) {
	t.Parallel()
	for vary, want := range map[string]int{"": 1, "Accept-Encoding": 1, "Cookie, accept-encoding": 1, "*": 1, "Cookie": 2} {
		got := &answered{}
		out := compress.New().Wrap(got, asking("Accept-Encoding", "gzip"), compress.Standard)
		head := answer(200, message.Unknown, "Content-Type", "text/html")
		if vary != "" {
			head.Add(message.Vary, vary)
		}
		if err := out.Answer(head); err != nil {
			t.Fatal(err)
		}
		out.Release()
		if n := got.head.Count(message.Vary); n != want {
			t.Errorf("%q: %d times", vary, n)
		}
	}
}

func TestOnlySoManyAnswersAreCompressedAtATime(t *testing.T) {
	t.Parallel()
	compressor := compress.New()
	begin := func() (*compress.Responder, bool) {
		got := &answered{}
		out := compressor.Wrap(got, asking("Accept-Encoding", "gzip"), compress.Standard)
		if err := out.Answer(answer(200, message.Unknown, "Content-Type", "text/html")); err != nil {
			t.Fatal(err)
		}
		return &out, got.get(message.ContentEncoding) != ""
	}
	var busy []*compress.Responder
	for len(busy) < 1000 {
		out, compressed := begin()
		if !compressed {
			break
		}
		busy = append(busy, out)
	}
	if len(busy) != 200 {
		t.Errorf("%d at a time", len(busy))
	}
	for _, out := range busy {
		out.Release()
		out.Release() // twice does no harm
	}
	if out, compressed := begin(); !compressed {
		t.Error("no encoder came back")
	} else {
		out.Release()
	}
}

func TestWhatIsSentIsNotReadAsSomethingElse(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Content-Digest", "repr-digest", "Digest", "Content-MD5"} {
		got := &answered{}
		out := compress.New().Wrap(got, asking("Accept-Encoding", "gzip"), compress.Standard)
		if err := out.Answer(answer(200, message.Unknown, "Content-Type", "text/html", name, "x")); err != nil {
			t.Fatal(err)
		}
		out.Release()
		if got.get(message.ContentEncoding) != "" {
			t.Errorf("an answer with %s is compressed", name)
		}
	}
}
