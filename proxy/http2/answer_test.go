package http2_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/portico-web/portico/proxy/message"
)

func TestAnAnswerWithoutContentIsOneFrame(t *testing.T) {
	t.Parallel()
	p := service{handler: func(stream message.Stream) {
		switch stream.Head().Path {
		case "/204":
			answer(stream, 204, "")
		case "/304":
			head := message.Head{Status: 304, Length: 12}
			_ = stream.Answer(&head)
			_, _ = stream.Write([]byte("left out"))
			_ = stream.End(nil)
		case "/205":
			answer(stream, 205, "")
		default:
			answer(stream, 200, "twelve bytes")
		}
	}}.dial(t)
	for _, c := range []struct {
		method, path, length string
		status               int
	}{
		{"GET", "/204", "", 204},
		{"GET", "/304", "", 304},
		{"GET", "/205", "0", 205},
		{"HEAD", "/", "12", 200},
		{"HEAD", "/204", "", 204},
	} {
		r := p.answer(p.open(true, head(c.method, c.path)))
		if r.status != c.status || !slices.Equal(r.frames, []string{"HEADERS END"}) || r.field("content-length") != c.length {
			t.Errorf("%s %s: %d, %v, length %q", c.method, c.path, r.status, r.frames, r.field("content-length"))
		}
	}
}

func TestTheLastFrameOfContentEndsTheStream(t *testing.T) {
	t.Parallel()
	p := service{handler: func(stream message.Stream) {
		switch stream.Head().Path {
		case "/whole":
			answer(stream, 200, "whole")
		case "/flushed": // what has left cannot be marked any more
			_ = stream.Answer(&message.Head{Status: 200, Length: message.Unknown})
			_, _ = stream.Write([]byte("part"))
			_ = stream.Flush()
			_, _ = content(stream.Body())
			_ = stream.End(nil)
		}
	}}.dial(t)
	if r := p.answer(p.get("/whole")); !slices.Equal(r.frames, []string{"HEADERS", "DATA END"}) || string(r.content) != "whole" || r.field("date") == "" {
		t.Errorf("whole: %v %q %v", r.frames, r.content, r.fields)
	}
	id := p.post("/flushed")
	r := p.stream(id)
	p.until("the part", func() bool { return string(r.content) == "part" })
	p.data(id, true, "")
	if p.answer(id); !slices.Equal(r.frames, []string{"HEADERS", "DATA", "DATA END"}) {
		t.Errorf("flushed: %v", r.frames)
	}
}

func TestTrailersEndTheStream(t *testing.T) {
	t.Parallel()
	p := service{handler: func(stream message.Stream) {
		var trailer message.Fields
		trailer.AddNamed("Grpc-Status", "0")
		trailer.AddNamed("Transfer-Encoding", "chunked") // never leaves
		_ = stream.Answer(&message.Head{Status: 200, Length: message.Unknown})
		if stream.Head().Path == "/content" {
			_, _ = stream.Write([]byte("content"))
		}
		_ = stream.End(&trailer)
	}}.dial(t)
	for path, frames := range map[string][]string{
		"/content": {"HEADERS", "DATA", "HEADERS END"},
		"/empty":   {"HEADERS", "HEADERS END"},
	} {
		r := p.answer(p.get(path))
		if !slices.Equal(r.frames, frames) || len(r.trailers) != 1 || r.trailers[0] != field("grpc-status", "0") {
			t.Errorf("%s: %v, trailers %v", path, r.frames, r.trailers)
		}
	}
	if r := p.answer(p.open(true, head("HEAD", "/content"))); !slices.Equal(r.frames, []string{"HEADERS END"}) {
		t.Errorf("HEAD: %v", r.frames)
	}
}

func TestInterimAnswersComeBeforeTheFinalOne(t *testing.T) {
	t.Parallel()
	p := service{handler: func(stream message.Stream) {
		early := message.Head{Status: 103}
		early.AddNamed("Link", "</style.css>; rel=preload")
		_ = stream.Interim(&early)
		_ = stream.Interim(&message.Head{Status: 100})
		_, _ = content(stream.Body())
		_ = stream.Interim(&message.Head{Status: 100}) // too late
		answer(stream, 200, "done")
		if stream.Interim(&early) == nil {
			t.Error("an interim answer was taken behind the final one")
		}
	}}.dial(t)
	id := p.post("/", field("expect", "100-continue"))
	r := p.stream(id)
	p.until("the invitation", func() bool { return len(r.interim) == 2 })
	p.data(id, true, "content")
	if p.answer(id); !slices.Equal(r.interim, []int{103, 100}) || r.status != 200 {
		t.Errorf("to a client that waits: %v, then %d", r.interim, r.status)
	}
	if r := p.answer(p.get("/")); !slices.Equal(r.interim, []int{103}) || r.status != 200 {
		t.Errorf("to one that does not: %v, then %d", r.interim, r.status)
	}
}

func TestAnEarlyAnswerStopsTheContentWithoutAnError(t *testing.T) {
	t.Parallel()
	p := service{handler: func(stream message.Stream) { answer(stream, 413, "too large") }}.dial(t)
	id := p.post("/", field("content-length", "1000000"))
	r := p.stream(id)
	p.until("the reset", func() bool { return r.reset })
	if r.code != 0 || !slices.Equal(r.frames, []string{"HEADERS", "DATA END", "RST_STREAM"}) || string(r.content) != "too large" {
		t.Fatalf("%v (%v), %q", r.frames, r.code, r.content)
	}
	// What was on its way is no fault of the client's, and its room in the connection's window comes back.
	for range 100 {
		p.data(id, false, strings.Repeat("x", 10_000))
	}
	p.headers(id, true, nil)
	p.alive()
	p.until("the window", func() bool { return p.credit >= 700_000 })
	if len(r.frames) != 3 {
		t.Errorf("the stream goes on: %v", r.frames)
	}
}

func TestAnAnswerThatIsGivenUpLooksBroken(t *testing.T) {
	t.Parallel()
	p := service{handler: func(stream message.Stream) {
		unknown := &message.Head{Status: 200, Length: message.Unknown}
		switch stream.Head().Path {
		case "/nothing":
		case "/head":
			_ = stream.Answer(unknown)
		case "/abort":
			_ = stream.Answer(unknown)
			_, _ = stream.Write([]byte("part"))
			stream.Abort()
			if stream.End(nil) == nil {
				t.Error("an answer that was given up could be ended")
			}
		case "/short":
			_ = stream.Answer(&message.Head{Status: 200, Length: 10})
			_, _ = stream.Write([]byte("part"))
			_ = stream.End(nil)
		case "/long":
			_ = stream.Answer(&message.Head{Status: 200, Length: 3})
			_, _ = stream.Write([]byte("part"))
			_ = stream.End(nil)
		default:
			answer(stream, 200, "")
		}
	}}.dial(t)
	for _, path := range []string{"/nothing", "/head", "/abort", "/short", "/long"} {
		r := p.answer(p.get(path))
		if r.ended || !r.reset || r.code != 2 {
			t.Errorf("%s: %v, %v", path, r.frames, r.code)
		}
		if began := r.status != 0; began != (path != "/nothing") {
			t.Errorf("%s: an answer that began is seen: %v", path, began)
		}
	}
	p.alive()
}

func TestALargeHeadIsContinued(t *testing.T) {
	t.Parallel()
	value := strings.Repeat("v", 3000)
	p := service{handler: func(stream message.Stream) {
		head := message.Head{Status: 200, Length: 0}
		for range 20 {
			head.AddNamed("x-long", value)
		}
		_ = stream.Answer(&head)
		_ = stream.End(nil)
	}}.dial(t)
	r := p.answer(p.get("/"))
	if len(r.fields) != 22 || !slices.Equal(r.frames, []string{"HEADERS END"}) {
		t.Errorf("%d fields, %v", len(r.fields), r.frames)
	}
}

func TestWhatIsAboutAnHTTP1ConnectionIsNotSent(t *testing.T) {
	t.Parallel()
	p := service{handler: func(stream message.Stream) {
		answer(stream, 200, "", "Connection", "close", "Keep-Alive", "timeout=5", "Proxy-Connection", "close", "Transfer-Encoding", "chunked",
			"Upgrade", "h2c", "X-Kept", "yes", "Date", "now")
	}}.dial(t)
	r := p.answer(p.get("/"))
	var names []string
	for _, f := range r.fields {
		names = append(names, f.Name)
	}
	if !slices.Equal(names, []string{"x-kept", "date", "content-length"}) {
		t.Errorf("%v", names)
	}
}
