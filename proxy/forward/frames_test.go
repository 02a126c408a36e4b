package forward_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/portico-web/portico/proxy/forward"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/upstream"
)

// framer is a target's end of a connection of HTTP/2, frame by frame.
type framer struct {
	*http2.Framer
	*peer
}

// serveFrames runs a target that says what each frame makes it say.
func serveFrames(t testing.TB, serves func(*framer, http2.Frame), settings ...http2.Setting) *target {
	up := serve(t, func(p *peer) {
		if p.bytes(len(http2.ClientPreface)) != http2.ClientPreface {
			return
		}
		f := &framer{http2.NewFramer(p.Conn, p.Reader), p}
		_ = f.WriteSettings(settings...)
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			if headers, begins := frame.(*http2.HeadersFrame); begins {
				p.note(fmt.Sprint("stream ", headers.StreamID))
			}
			if ours, is := frame.(*http2.SettingsFrame); is && !ours.IsAck() {
				_ = f.WriteSettingsAck()
			}
			serves(f, frame)
		}
	})
	up.address = "h2c://" + up.address
	return up
}

// head sends a head or a trailer section, of names and values in turn.
func (f *framer) head(stream uint32, ends bool, fields ...string) {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		_ = encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	first := block.Next(16 << 10)
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first, EndHeaders: block.Len() == 0, EndStream: ends})
	for block.Len() > 0 {
		part := block.Next(16 << 10)
		_ = f.WriteContinuation(stream, block.Len() == 0, part)
	}
}

// The target opens no window for content that is there.
func TestATargetOfHTTP2ThatTakesNoContentIsNotWaitedForForEver(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]func() *client{
		"sent along": func() *client { return ask(t, "POST", "/").with(strings.Repeat("content", 4000)) },
		"streamed": func() *client {
			c := ask(t, "POST", "/").uploading(message.Unknown)
			c.body.send(strings.Repeat("content", 20_000))
			return c
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := serveFrames(t, func(*framer, http2.Frame) {}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			f := forwarder(t, upstream.Settings{Targets: []string{up.address}, ResponseTimeout: 50 * time.Millisecond}, &forward.Streams{})
			if err := within(t, request().start(f), patience); failure(t, err) != forward.TimedOut {
				t.Error(err)
			}
		})
	}
}

// What a stream of an old connection ends with is an answer of sorts, unlike the end of the connection.
func TestAStreamThatIsResetIsNotRepeated(t *testing.T) {
	t.Parallel()
	for name, say := range map[string]func(f *framer, stream uint32){
		"reset":            func(f *framer, stream uint32) { _ = f.WriteRSTStream(stream, http2.ErrCodeInternal) },
		"no status":        func(f *framer, stream uint32) { f.head(stream, true, "x", "y") },
		"a malformed head": func(f *framer, stream uint32) { f.head(stream, true, ":status", "200", "X-Upper", "y") },
		"a control byte":   func(f *framer, stream uint32) { f.head(stream, true, ":status", "200", "x", "a\r\nb: c") },
		"a status of none": func(f *framer, stream uint32) { f.head(stream, true, ":status", "099") },
		"a large status":   func(f *framer, stream uint32) { f.head(stream, true, ":status", "1200") },
		"a switch":         func(f *framer, stream uint32) { f.head(stream, false, ":status", "101") },
	} {
		up := serveFrames(t, func(f *framer, frame http2.Frame) {
			stream := frame.Header().StreamID
			if _, begins := frame.(*http2.HeadersFrame); begins && stream == 1 {
				f.head(stream, true, ":status", "200")
			} else if begins {
				say(f, stream)
			}
		})
		f := to(t, up)
		if err := ask(t, "GET", "/").through(f); err != nil {
			t.Fatal(err)
		}
		c := ask(t, "GET", "/")
		if err := within(t, c.start(f), patience); failure(t, err).Status() != 502 || len(c.saw()) > 0 {
			t.Errorf("%s: %v, %q", name, err, c.saw())
		}
		if seen := up.seen("stream"); len(seen) != 2 {
			t.Errorf("%s: %q", name, seen)
		}
	}
}

func TestAnswersWithoutContentInHTTP2KeepTheirLengths(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		method string
		head   []string
		want   string
	}{
		"304 with a length":         {"GET", []string{":status", "304", "content-length", "9"}, "304 9"},
		"HEAD with a length":        {"HEAD", []string{":status", "200", "content-length", "9"}, "200 9"},
		"204 with a length of none": {"GET", []string{":status", "204", "content-length", "0"}, "204 0"},
		"no length":                 {"GET", []string{":status", "200"}, "200 0"},
	} {
		up := serveFrames(t, func(f *framer, frame http2.Frame) {
			if _, begins := frame.(*http2.HeadersFrame); begins {
				f.head(frame.Header().StreamID, true, test.head...)
			}
		})
		c := ask(t, test.method, "/")
		if err := within(t, c.start(to(t, up)), patience); err != nil || c.saw()[0] != test.want || !c.ended() || c.answered.Lookup("Content-Length") != nil {
			t.Errorf("%s: %v, %q", name, err, c.saw())
		}
	}
}

// What could be read in another way behind the edge is refused (RFC 9113 section 8.1.1), and the target is told so.
func TestMalformedAnswersOfHTTP2AreRefused(t *testing.T) {
	t.Parallel()
	const (
		refused = iota
		aborted
	)
	head := func(fields ...string) func(*framer, uint32) {
		return func(f *framer, stream uint32) {
			f.head(stream, false, append([]string{":status", "200"}, fields...)...)
			_ = f.WriteData(stream, true, []byte("ok"))
		}
	}
	behind := func(say func(*framer, uint32)) func(*framer, uint32) {
		return func(f *framer, stream uint32) {
			f.head(stream, false, ":status", "200")
			_ = f.WriteData(stream, false, []byte("ok"))
			say(f, stream)
		}
	}
	for name, test := range map[string]struct {
		say  func(f *framer, stream uint32)
		want int
	}{
		"connection":                   {head("connection", "x"), refused},
		"keep-alive":                   {head("keep-alive", "1"), refused},
		"proxy-connection":             {head("proxy-connection", "x"), refused},
		"transfer-encoding":            {head("transfer-encoding", "chunked"), refused},
		"upgrade":                      {head("upgrade", "h2c"), refused},
		"several lengths":              {head("content-length", "2", "content-length", "2"), refused},
		"a length that is none":        {head("content-length", "+2"), refused},
		"a negative length":            {head("content-length", "-2"), refused},
		"two statuses":                 {head(":status", "200"), refused},
		"a pseudo-field of a request":  {head(":path", "/"), refused},
		"an unknown pseudo-field":      {head(":x", "y"), refused},
		"a pseudo-field behind others": {head("x", "y", ":status", "200"), refused},
		"upper case":                   {head("X-Y", "z"), refused},
		"an empty name":                {head("", "z"), refused},
		"a blank in a name":            {head("x y", "z"), refused},
		"a colon in a name":            {head("x:y", "z"), refused},
		"a line break":                 {head("x", "a\r\nb: c"), refused},
		"a zero byte":                  {head("x", "a\x00"), refused},
		"white space around a value":   {head("x", " y"), refused},
		"too large a head":             {head("x", strings.Repeat("y", 300<<10)), refused},
		"no status":                    {func(f *framer, stream uint32) { f.head(stream, true, "x", "y") }, refused},
		"a status of two digits":       {func(f *framer, stream uint32) { f.head(stream, true, ":status", "20") }, refused},
		"a status with a sign":         {func(f *framer, stream uint32) { f.head(stream, true, ":status", "+20") }, refused},
		"an interim answer at the end": {func(f *framer, stream uint32) { f.head(stream, true, ":status", "103") }, refused},
		"content without a head":       {func(f *framer, stream uint32) { _ = f.WriteData(stream, true, []byte("ok")) }, refused},
		"content after an interim head": {func(f *framer, stream uint32) {
			f.head(stream, false, ":status", "103")
			_ = f.WriteData(stream, true, []byte("ok"))
		}, refused},
		"interim answers without end": {func(f *framer, stream uint32) {
			for range 100 {
				f.head(stream, false, ":status", "103")
			}
		}, refused},
		"a length, and nothing": {func(f *framer, stream uint32) { f.head(stream, true, ":status", "200", "content-length", "2") }, refused},
		"less than announced":   {head("content-length", "3"), aborted},
		"more than announced":   {head("content-length", "1"), aborted},
		"less than announced, trailers": {func(f *framer, stream uint32) {
			f.head(stream, false, ":status", "200", "content-length", "2")
			f.head(stream, true, "x", "y")
		}, aborted},
		"trailers that are not the end":  {behind(func(f *framer, stream uint32) { f.head(stream, false, "x", "y") }), aborted},
		"a pseudo-field in the trailers": {behind(func(f *framer, stream uint32) { f.head(stream, true, ":status", "200") }), aborted},
		"a connection-specific trailer":  {behind(func(f *framer, stream uint32) { f.head(stream, true, "connection", "x") }), aborted},
		"a window update of 0": {behind(func(f *framer, stream uint32) {
			_ = f.WriteRawFrame(http2.FrameWindowUpdate, 0, stream, make([]byte, 4))
		}), aborted},
		"too large a window": {behind(func(f *framer, stream uint32) { _ = f.WriteWindowUpdate(stream, 1<<31-1) }), aborted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := serveFrames(t, func(f *framer, frame http2.Frame) {
				if headers, begins := frame.(*http2.HeadersFrame); begins {
					f.AllowIllegalWrites = true
					if headers.StreamID > 1 {
						f.head(headers.StreamID, true, ":status", "204")
						return
					}
					test.say(f, headers.StreamID)
				}
				if reset, is := frame.(*http2.RSTStreamFrame); is {
					f.note(fmt.Sprint("reset ", reset.StreamID, " ", reset.ErrCode))
				}
			})
			f := to(t, up)
			c := ask(t, "POST", "/")
			err := within(t, c.start(f), patience)
			if c.ended() || test.want == refused && failure(t, err).Status() != 502 || test.want == aborted && !errors.Is(err, forward.ErrAborted) {
				t.Errorf("%v, %q", err, c.saw())
			}
			if err := within(t, ask(t, "GET", "/").start(f), patience); err != nil || up.connections.Load() != 1 {
				t.Errorf("the next one: %v, over %d connections", err, up.connections.Load())
			}
			if seen := up.seen("reset 1 "); len(seen) != 1 || strings.HasSuffix(seen[0], "CANCEL") && name != "interim answers without end" {
				t.Errorf("%q", seen)
			}
		})
	}
}

// What a 204 or a 304 brings along against the rules is no part of the answer.
func TestContentOfABodilessAnswerInHTTP2IsDropped(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"204", "304"} {
		up := serveFrames(t, func(f *framer, frame http2.Frame) {
			if _, begins := frame.(*http2.HeadersFrame); begins {
				f.head(frame.Header().StreamID, false, ":status", status)
				_ = f.WriteData(frame.Header().StreamID, true, []byte("HTTP/1.1 200 OK\r\n\r\n"))
			}
		})
		f := to(t, up)
		for range 3 {
			c := ask(t, "GET", "/")
			if err := within(t, c.start(f), patience); err != nil || c.answer.Len() > 0 || !c.ended() {
				t.Errorf("%s: %v, %q", status, err, c.saw())
			}
		}
	}
}

// A target that says it did not look at a request may be asked again, by any method, if its content is still there.
func TestARequestThatATargetOfHTTP2GivesBackIsSentAgain(t *testing.T) {
	t.Parallel()
	along := func() *client { return ask(t, "POST", "/").with("pay") }
	streamed := func() *client {
		c := ask(t, "POST", "/").uploading(message.Unknown)
		c.body.send("pay")
		return c
	}
	refuse := func(f *framer, stream uint32) { _ = f.WriteRSTStream(stream, http2.ErrCodeRefusedStream) }
	for name, test := range map[string]struct {
		make func() *client
		say  func(f *framer, stream uint32) // instead of an answer, once content comes, to the second request
		seen int                            // with the first one, which is answered
	}{
		"refused":                   {along, refuse, 3},
		"refused when it is gone":   {streamed, refuse, 2},
		"reset":                     {along, func(f *framer, stream uint32) { _ = f.WriteRSTStream(stream, http2.ErrCodeCancel) }, 2},
		"not among those taken":     {along, func(f *framer, _ uint32) { _ = f.WriteGoAway(1, http2.ErrCodeNo, nil) }, 3},
		"not among, and gone":       {streamed, func(f *framer, _ uint32) { _ = f.WriteGoAway(1, http2.ErrCodeNo, nil) }, 2},
		"among those taken, closed": {along, func(f *framer, stream uint32) { _ = f.WriteGoAway(stream, http2.ErrCodeNo, nil); _ = f.raw.Close() }, 2},
		"closed":                    {along, func(f *framer, _ uint32) { _ = f.raw.Close() }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := serveFrames(t, func(f *framer, frame http2.Frame) {
				stream := frame.Header().StreamID
				data, isData := frame.(*http2.DataFrame)
				switch {
				case f.number == 1 && stream == 3 && isData && len(data.Data()) > 0:
					test.say(f, stream)
				case f.number == 1 && stream == 3:
				case frame.Header().Flags.Has(http2.FlagDataEndStream) && (isData || frame.Header().Type == http2.FrameHeaders):
					f.head(stream, true, ":status", "200")
				}
			})
			f := to(t, up)
			if err := ask(t, "GET", "/").through(f); err != nil {
				t.Fatal(err)
			}
			c := test.make()
			err := within(t, c.start(f), patience)
			if seen := up.seen("stream"); len(seen) != test.seen {
				t.Errorf("%q", seen)
			}
			if test.seen == 2 && failure(t, err) != forward.Unreachable || test.seen == 3 && (err != nil || !c.ended()) {
				t.Errorf("%v, %q", err, c.saw())
			}
		})
	}
}

// Of two answers over one connection, one is not taken by its client. The other is larger than any window.
func TestASlowClientDoesNotHoldUpOthersOfTheSameConnection(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	up := serveHTTP2(t, false, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, size))
	})
	f := to(t, up)
	slow := make([]*client, 10)
	done := make([]<-chan error, len(slow))
	for i := range slow {
		slow[i] = ask(t, "GET", "/")
		slow[i].hold = make(chan struct{})
		done[i] = slow[i].start(f)
		slow[i].await("200 -1")
	}
	fast := ask(t, "GET", "/")
	if err := within(t, fast.start(f), patience); err != nil || fast.answer.Len() != size || up.connections.Load() != 1 {
		t.Errorf("%v, %d bytes, %d connections", err, fast.answer.Len(), up.connections.Load())
	}
	for i, c := range slow {
		close(c.hold)
		if err := within(t, done[i], patience); err != nil || c.answer.Len() != size {
			t.Errorf("%v, %d bytes", err, c.answer.Len())
		}
	}
}

// Nobody declared them.
func TestTrailersOfARequestPassInHTTP2(t *testing.T) {
	t.Parallel()
	for _, length := range []int64{message.Unknown, 1} {
		trailers := make(chan string, 1)
		up := serveFrames(t, func(f *framer, frame http2.Frame) {
			headers, is := frame.(*http2.HeadersFrame)
			if !is || !headers.StreamEnded() {
				return
			}
			fields, _ := hpack.NewDecoder(4096, nil).DecodeFull(headers.HeaderBlockFragment())
			var text string
			for _, field := range fields {
				text += field.Name + "=" + field.Value + ";"
			}
			trailers <- text
			f.head(headers.StreamID, true, ":status", "204")
		})
		c := ask(t, "POST", "/").uploading(length)
		c.body.hidden = true
		c.body.send("x")
		c.body.trailer = &message.Fields{}
		for _, name := range []string{"X-Sum", "Content-Length", "Transfer-Encoding", "X-Forwarded-For", "X_Forwarded_For", "Authorization", "X-Other"} {
			c.body.trailer.AddNamed(name, "1")
		}
		c.body.finish()
		if err := within(t, c.start(to(t, up)), patience); err != nil {
			t.Error(err)
		}
		if got := <-trailers; got != "x-sum=1;x-other=1;" {
			t.Errorf("%q", got)
		}
	}
}

// The content waits for a window that never comes.
func TestAnEarlyAnswerOvertakesContentThatCameAlong(t *testing.T) {
	t.Parallel()
	up := serveFrames(t, func(f *framer, frame http2.Frame) {
		if _, begins := frame.(*http2.HeadersFrame); begins {
			f.head(frame.Header().StreamID, true, ":status", "413")
		}
	}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	f := to(t, up)
	for range 3 {
		c := ask(t, "POST", "/").with("content")
		if err := within(t, c.start(f), patience); err != nil || c.answered.Status != 413 {
			t.Errorf("%v, %q", err, c.saw())
		}
	}
	if n := up.connections.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// A client that opens and cancels requests costs the others nothing.
func TestManyCancelledRequestsLeaveTheConnectionToOthers(t *testing.T) {
	t.Parallel()
	up := serveFrames(t, func(f *framer, frame http2.Frame) {
		if _, begins := frame.(*http2.HeadersFrame); begins {
			id := frame.Header().StreamID
			f.head(id, false, ":status", "200")
			if id == 1 {
				return
			}
			for range 500 { // most of it comes when nobody wants it any more
				_ = f.WriteData(id, false, make([]byte, 100))
			}
			_ = f.WriteData(1, false, []byte("x"))
		}
	})
	f := to(t, up)
	other := ask(t, "GET", "/")
	done := other.start(f)
	other.await("200 -1")
	for range 300 {
		c := ask(t, "GET", "/")
		c.refuse.Store(true) // the client has left when the answer comes
		if err := within(t, c.start(f), patience); !errors.Is(err, forward.ErrAborted) {
			t.Fatal(err)
		}
	}
	other.until("content for each", func(events []string) bool { return strings.Count(strings.Join(events, ""), "x") == 300 })
	if n := up.connections.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	other.left.Store(true)
	if err := within(t, done, patience); !errors.Is(err, message.ErrGone) {
		t.Error(err)
	}
}
