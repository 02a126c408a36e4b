package compress_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

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
		"any coding":        {"br, *;q=0.1", answer(200, message.Unknown, "Content-Type", "text/html"), long, true},
		"JSON":              {"gzip", answer(200, message.Unknown, "content-type", "application/problem+json"), long, true},
		"known length":      {"gzip", answer(200, 4096, "Content-Type", "text/css"), long, true},
		"not accepted":      {"br", answer(200, message.Unknown, "Content-Type", "text/html"), long, false},
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
			out := compressor.Wrap(got, request)
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
	out := compress.New().Wrap(got, asking())
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
	out := compress.New().Wrap(got, asking("Accept-Encoding", "gzip"))
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
		out := compress.New().Wrap(got, asking("Accept-Encoding", "gzip", "If-None-Match", held))
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
	out := compress.New().Wrap(got, asking("Accept-Encoding", "gzip"))
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
