package http2_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/portico-web/portico/proxy/http2"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/socket"
)

func TestARequestKeepsItsFieldsAndTheirOrder(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		head *message.Head
		want string
	}{
		"GET": {
			asking("GET", "/", 0, "Accept", "*/*", "X-B", "1", "X-A", "2", "X-B", "3", "Cookie", "a=b; c=d"),
			":method=GET :scheme=http :authority=example.test :path=/ accept=*/* x-b=1 x-a=2 x-b=3 cookie=a=b; c=d",
		},
		"a query": {
			&message.Head{Method: "PURGE", Authority: "a:1", Path: "/a%2F", Query: "q=1", HasQuery: true, Trailers: true},
			":method=PURGE :scheme=http :authority=a:1 :path=/a%2F?q=1 content-length=0 te=trailers",
		},
		"an empty query": {
			&message.Head{Method: "POST", Path: "/", HasQuery: true, Expect: true, Length: 5},
			":method=POST :scheme=http :path=/? content-length=5 expect=100-continue",
		},
		"unknown length": {
			asking("POST", "*", message.Unknown, "Connection", "x", "Transfer-Encoding", "chunked", "Upgrade", "x", "Host", "y"),
			":method=POST :scheme=http :authority=example.test :path=*",
		},
	} {
		got := make(chan string, 3)
		l := linked(t, usualClient(), func(o *origin) {
			for {
				f := o.request(nil)
				if f == nil {
					return
				}
				var text []string
				for _, field := range f.Fields {
					text = append(text, field.Name+"="+field.Value)
				}
				got <- strings.Join(text, " ")
			}
		})
		for range 3 { // the compression learns
			if err := l.stream().Send(test.head, false, nil, true); err != nil {
				t.Fatal(err)
			}
			if text := <-got; text != test.want {
				t.Errorf("%s: %q", name, text)
			}
		}
	}
}

// Clients share the connection. What one sends may not become shorter because another sent the same (RFC 7541 section 7.1).
func TestSecretsOfClientsAreNotCompressedAgainstEachOther(t *testing.T) {
	t.Parallel()
	blocks := make(chan int, 1)
	l := linked(t, usualClient(), func(o *origin) {
		o.ReadMetaHeaders = nil
		for {
			f := awaitFrame[*xhttp2.HeadersFrame](o, nil)
			if f == nil {
				return
			}
			blocks <- len(f.HeaderBlockFragment())
		}
	})
	size := func(path string, fields ...string) int {
		if err := l.stream().Send(asking("GET", path, 0, fields...), false, nil, true); err != nil {
			t.Fatal(err)
		}
		return <-blocks
	}
	for _, name := range []string{"Cookie", "Authorization", "Proxy-Authorization", "X-Api-Key", "X-CSRF-Token", "X-Request-ID", "Traceparent", "Referer", "X-Real-IP", "X-Forwarded-For", "If-None-Match"} {
		size("/", name, "some-secret-0123456789")
		known := size("/", name, "some-secret-0123456789")
		known = min(known, size("/", name, "some-secret-0123456789"))
		if other := size("/", name, "somX-secret-0123456789"); other != known {
			t.Errorf("%s: %d bytes for a secret that was sent before, %d for another", name, known, other)
		}
	}
	if first, second := size("/secret-1"), size("/secret-1"); first != second {
		t.Errorf("a path: %d, then %d bytes", first, second)
	}
	size("/", "User-Agent", "Mozilla/5.0 (X11; Linux x86_64)")
	first := size("/", "User-Agent", "Mozilla/5.0 (X11; Linux x86_64)")
	if again := size("/", "User-Agent", "Mozilla/5.0 (X11; Linux x86_64)"); again >= first {
		t.Errorf("what all clients have alike takes %d bytes, then %d", first, again)
	}
}

func TestHeadsContentAndTrailersOfAnAnswerAreRead(t *testing.T) {
	t.Parallel()
	l := linked(t, usualClient(), func(o *origin) {
		for f := o.request(nil); f != nil; f = o.request(nil) {
			id := f.StreamID
			o.head(id, false, ":status", "100")
			o.head(id, false, ":status", "103", "link", "</a.css>")
			o.head(id, false, ":status", "200", "b", "1", "a", "2")
			_ = o.WriteDataPadded(id, false, []byte("con"), make([]byte, 100))
			_ = o.WriteData(id, false, nil)
			_ = o.WriteData(id, false, []byte("tent"))
			o.head(id, true, "sum", "7")
		}
	})
	for range 3 {
		st := l.get("/")
		if got, err := headsOf(st); err != nil || got != "100 0, 103 0 link=</a.css>, 200 -1 b=1 a=2" {
			t.Errorf("%q, %v", got, err)
		}
		if st.Trailer() != nil {
			t.Error("trailers before the end")
		}
		if got, err := wholeOf(st); err != nil || got != "content" {
			t.Errorf("%q, %v", got, err)
		}
		if trailer := st.Trailer(); trailer == nil || string(trailer.Lookup("sum")) != "7" || !st.Done() {
			t.Errorf("the trailers are %v", trailer)
		}
	}
}

func TestATimeOrAnInterruptEndsARead(t *testing.T) {
	t.Parallel()
	l := linked(t, usualClient(), (*origin).rest)
	st := l.get("/")
	var h message.Head
	st.ReadWithin(time.Now(), time.Millisecond)
	if err := st.ReadHead(&h); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	st.ReadWithin(time.Now(), patience)
	go st.Interrupt()
	for range 2 {
		if err := st.ReadHead(&h); !errors.Is(err, socket.ErrInterrupted) {
			t.Error(err)
		}
	}
}

func TestARefusedStreamIsUntouchedAndAResetOneIsNot(t *testing.T) {
	t.Parallel()
	for code, untouched := range map[xhttp2.ErrCode]bool{xhttp2.ErrCodeRefusedStream: true, xhttp2.ErrCodeCancel: false, xhttp2.ErrCodeNo: false, 99: false} {
		l := linked(t, usualClient(), func(o *origin) {
			f := o.request(nil)
			_ = o.WriteRSTStream(f.StreamID, code)
			o.rest()
		})
		_, err := headsOf(l.get("/"))
		if err == nil || http2.Untouched(err) != untouched || http2.Lost(err) || http2.Malformed(err) {
			t.Errorf("%v: %v", code, err)
		}
		if l.Reserve() == nil {
			t.Errorf("%v: the connection is not used again", code)
		}
	}
}

func TestAGoodbyeGivesBackWhatCameTooLateAndLeavesTheRest(t *testing.T) {
	t.Parallel()
	for name, announces := range map[string]bool{"at once": false, "in two steps": true} {
		l := linked(t, usualClient(), func(o *origin) {
			first := o.request(nil).StreamID
			o.request(nil) // before the first step, which would keep it from being sent
			if announces {
				_ = o.WriteGoAway(1<<31-1, xhttp2.ErrCodeNo, nil)
			}
			_ = o.WriteGoAway(first, xhttp2.ErrCodeNo, []byte("bye"))
			o.head(first, false, ":status", "200")
			_ = o.WriteData(first, true, []byte("content"))
			if end := awaitFrame[*xhttp2.GoAwayFrame](o, nil); end == nil {
				t.Errorf("%s: the connection ends without a word", name)
			}
		})
		first, second, third := l.Reserve(), l.Reserve(), l.Reserve()
		for _, st := range []*http2.ClientStream{first, second} {
			st.ReadWithin(time.Now(), patience)
			if err := st.Send(asking("GET", "/", 0), false, nil, true); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := headsOf(second); !http2.Untouched(err) {
			t.Errorf("%s: %v", name, err)
		}
		if err := third.Send(asking("GET", "/", 0), false, nil, true); !http2.Untouched(err) {
			t.Errorf("%s: %v", name, err)
		}
		if st := l.Reserve(); st != nil {
			t.Errorf("%s: the connection takes another stream", name)
		}
		_, err := headsOf(first)
		if got, err2 := wholeOf(first); err != nil || err2 != nil || got != "content" {
			t.Errorf("%s: %q, %v, %v", name, got, err, err2)
		}
		for _, st := range []*http2.ClientStream{third, second, first} {
			st.Release()
		}
		l.ended()
		<-l.origin
	}
}

func TestAnAnswerThatBreaksOffInHTTP2HasNoEnd(t *testing.T) {
	t.Parallel()
	for name, breaks := range map[string]func(*origin, uint32){
		"reset": func(o *origin, id uint32) { _ = o.WriteRSTStream(id, xhttp2.ErrCodeNo); o.rest() },
		"end":   func(*origin, uint32) {},
		"half a frame": func(o *origin, _ uint32) {
			_, _ = o.conn.Write([]byte{0, 0, 9, 0, 1})
		},
		"goodbye": func(o *origin, id uint32) { _ = o.WriteGoAway(id, xhttp2.ErrCodeNo, nil) },
	} {
		l := linked(t, usualClient(), func(o *origin) {
			id := o.request(nil).StreamID
			o.head(id, false, ":status", "200")
			_ = o.WriteData(id, false, []byte("part"))
			breaks(o, id)
		})
		st := l.get("/")
		if _, err := headsOf(st); err != nil {
			t.Fatal(err)
		}
		got, err := wholeOf(st)
		if got != "part" || err == nil || http2.Untouched(err) || http2.Lost(err) != (name != "reset") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// RFC 9113 section 8.1: the server wants no more of the request, and its answer is whole.
func TestAnEarlyAnswerIsWholeWhenTheServerStopsTheContent(t *testing.T) {
	t.Parallel()
	for _, code := range []xhttp2.ErrCode{xhttp2.ErrCodeNo, xhttp2.ErrCodeCancel} {
		l := linked(t, usualClient(), func(o *origin) {
			id := o.request(nil).StreamID
			o.head(id, false, ":status", "413")
			_ = o.WriteData(id, true, []byte("big"))
			_ = o.WriteRSTStream(id, code)
			o.rest()
		})
		st := l.stream()
		if err := st.Send(asking("POST", "/", message.Unknown), false, nil, false); err != nil {
			t.Fatal(err)
		}
		for _, err := st.Write([]byte("x")); err == nil; {
			_, err = st.Write([]byte("x"))
			runtime.Gosched()
		}
		_, err := headsOf(st)
		if got, err2 := wholeOf(st); err != nil || err2 != nil || got != "big" {
			t.Errorf("%v: %q, %v, %v", code, got, err, err2)
		}
	}
}

func TestGivingAStreamUpTellsTheServer(t *testing.T) {
	t.Parallel()
	reset := make(chan *xhttp2.RSTStreamFrame, 1)
	l := linked(t, usualClient(), func(o *origin) {
		id := o.request(nil).StreamID
		o.head(id, false, ":status", "200")
		_ = o.WriteData(id, false, []byte("part"))
		reset <- awaitFrame[*xhttp2.RSTStreamFrame](o, nil)
		for range 100 { // what was on its way
			_ = o.WriteData(id, false, make([]byte, 1000))
		}
		o.head(id, true, "late", "trailer")
		next := o.request(nil)
		o.head(next.StreamID, true, ":status", "204")
		o.rest()
	})
	st := l.Reserve()
	if err := st.Send(asking("GET", "/", 0), false, nil, true); err != nil {
		t.Fatal(err)
	}
	st.ReadWithin(time.Now(), patience)
	if _, err := headsOf(st); err != nil {
		t.Fatal(err)
	}
	st.Release()
	if f := <-reset; f == nil || f.StreamID != 1 || f.ErrCode != xhttp2.ErrCodeCancel {
		t.Errorf("%v", f)
	}
	if got, err := headsOf(l.get("/")); err != nil || got != "204 0" {
		t.Errorf("the next stream: %q, %v", got, err)
	}
}

func TestContentWaitsForWindows(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("0123456789", 10_000)
	for name, sends := range map[string]func(st *http2.ClientStream) error{
		"along": func(st *http2.ClientStream) error {
			return st.Send(asking("POST", "/", int64(len(text))), false, []byte(text), true)
		},
		"in pieces": func(st *http2.ClientStream) error {
			if err := st.Send(asking("POST", "/", message.Unknown), false, nil, false); err != nil {
				return err
			}
			for rest := text; rest != ""; {
				n := min(len(rest), 7777)
				if _, err := st.Write([]byte(rest[:n])); err != nil {
					return err
				}
				rest = rest[n:]
			}
			return st.End(nil)
		},
	} {
		for _, small := range []uint32{0, 1000} {
			l := linked(t, usualClient(), func(o *origin) {
				id := o.request(nil).StreamID
				window, whole := int(small), 65535
				var got bytes.Buffer
				for ended := false; !ended; {
					if window == 0 {
						window = 999
						_ = o.WriteWindowUpdate(id, 999)
					}
					if whole < 20_000 {
						whole += 30_000
						_ = o.WriteWindowUpdate(0, 30_000)
					}
					f := awaitFrame[*xhttp2.DataFrame](o, nil)
					if f == nil {
						break
					}
					if window, whole = window-int(f.Length), whole-int(f.Length); window < 0 || whole < 0 {
						t.Errorf("%s: beyond the window", name)
					}
					got.Write(f.Data())
					ended = f.StreamEnded()
				}
				if got.String() != text {
					t.Errorf("%s: %d bytes arrive", name, got.Len())
				}
				o.head(id, true, ":status", "200")
				o.rest()
			}, xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: small})
			st := l.stream()
			if err := sends(st); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got, err := headsOf(st); err != nil || got != "200 0" {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
	}
}

func TestTrailersOfARequestFollowItsContent(t *testing.T) {
	t.Parallel()
	l := linked(t, usualClient(), func(o *origin) {
		id := o.request(nil).StreamID
		trailers := o.request(nil)
		if trailers == nil || trailers.StreamID != id || !trailers.StreamEnded() || len(trailers.Fields) != 1 || trailers.Fields[0].Value != "7" {
			t.Errorf("%v", trailers)
		}
		o.head(id, true, ":status", "200")
		o.rest()
	})
	st := l.stream()
	if err := st.Send(asking("POST", "/", message.Unknown), false, nil, false); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Write([]byte("content")); err != nil {
		t.Fatal(err)
	}
	var trailer message.Fields
	trailer.AddNamed("X-Sum", "7")
	if err := st.End(&trailer); err != nil {
		t.Fatal(err)
	}
	if _, err := headsOf(st); err != nil {
		t.Error(err)
	}
}

func TestAServerThatTakesNoContentIsGivenUp(t *testing.T) {
	t.Parallel()
	client := usualClient()
	client.StallTimeout = 20 * time.Millisecond
	l := linked(t, client, (*origin).rest, xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 3})
	st := l.stream()
	if err := st.Send(asking("POST", "/", message.Unknown), false, nil, false); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Write([]byte("content")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

// As many answers as the connection may have, but one, are not taken by anybody, and the server fills all their windows.
func TestAnswersThatNobodyTakesDoNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	client := usualClient()
	part := make([]byte, 16<<10-100)
	const total = 8 << 20
	most := client.Bounds.StreamWindow
	l := linked(t, client, func(o *origin) {
		windows, whole, sent, full := map[uint32]int{}, 65535, 0, 0
		var fast uint32
		for {
			frame, err := o.ReadFrame()
			if err != nil {
				return
			}
			switch f := frame.(type) {
			case *xhttp2.SettingsFrame:
				if !f.IsAck() {
					_ = o.WriteSettingsAck()
				}
			case *xhttp2.WindowUpdateFrame:
				if f.StreamID == 0 {
					whole += int(f.Increment)
				} else {
					windows[f.StreamID] += int(f.Increment)
				}
			case *xhttp2.MetaHeadersFrame:
				o.head(f.StreamID, false, ":status", "200")
				windows[f.StreamID] = 65535
				if f.PseudoValue("path") == "/fast" {
					fast = f.StreamID
				}
			}
			for id := range windows {
				for windows[id] > 0 && whole > 0 && (id != fast || sent < total) {
					n := min(len(part), windows[id], whole)
					if id == fast {
						n = min(n, total-sent)
						sent += n
					} else if full += n; full > client.Bounds.Streams*most {
						t.Error("windows without end")
						return
					}
					windows[id], whole = windows[id]-n, whole-n
					_ = o.WriteData(id, id == fast && sent == total, part[:n])
				}
			}
		}
	})
	for range client.Bounds.Streams - 1 {
		st := l.get("/slow")
		if _, err := headsOf(st); err != nil {
			t.Fatal(err)
		}
	}
	fast := l.get("/fast")
	if _, err := headsOf(fast); err != nil {
		t.Fatal(err)
	}
	if got, err := wholeOf(fast); err != nil || len(got) != total {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if l.Reserve() != nil {
		t.Error("the connection takes more streams than it may")
	}
}

func TestTheServersBoundOfStreamsIsKept(t *testing.T) {
	t.Parallel()
	l := linked(t, usualClient(), (*origin).rest, xhttp2.Setting{ID: xhttp2.SettingMaxConcurrentStreams, Val: 2})
	first := l.Reserve()
	l.stream()
	if l.Reserve() != nil {
		t.Error("a third stream")
	}
	first.Release()
	l.stream()
}

func TestASilentServerIsAskedOnceForASignOfLife(t *testing.T) {
	t.Parallel()
	client := usualClient()
	client.SilenceTimeout = 20 * time.Millisecond
	l := linked(t, client, func(o *origin) {
		id := o.request(nil).StreamID
		ping := awaitFrame[*xhttp2.PingFrame](o, nil)
		_ = o.WritePing(true, ping.Data)
		_ = o.conn.SetReadDeadline(time.Now().Add(10 * client.SilenceTimeout))
		if awaitFrame[*xhttp2.PingFrame](o, nil) != nil {
			t.Error("asked twice in one silence")
		}
		_ = o.conn.SetReadDeadline(time.Time{})
		o.head(id, false, ":status", "103")
		if awaitFrame[*xhttp2.PingFrame](o, nil) == nil {
			t.Error("not asked in the next silence")
		}
		o.head(id, true, ":status", "200")
		o.rest()
	})
	if _, err := headsOf(l.get("/")); err != nil {
		t.Error(err)
	}
}

func TestAServerWithoutASignOfLifeIsGivenUp(t *testing.T) {
	t.Parallel()
	client := usualClient()
	client.SilenceTimeout, client.SignTimeout = 20*time.Millisecond, time.Second
	asked := make(chan struct{})
	l := linked(t, client, func(o *origin) {
		awaitFrame[*xhttp2.PingFrame](o, nil)
		close(asked)
		o.rest()
	})
	st := l.get("/")
	<-asked
	if l.Reserve() != nil {
		t.Error("the connection takes another stream meanwhile")
	}
	if _, err := headsOf(st); !http2.Lost(err) {
		t.Error(err)
	}
	l.ended()
}

func TestAnIdleConnectionEnds(t *testing.T) {
	t.Parallel()
	client := usualClient()
	client.IdleTimeout = 20 * time.Millisecond
	bye := make(chan bool, 1)
	var l *link
	var st *http2.ClientStream
	for st == nil { // on a slow machine a connection may have been idle for too long before its stream is reserved
		l = linked(t, client, func(o *origin) {
			request := o.request(nil)
			if request == nil {
				return
			}
			o.head(request.StreamID, true, ":status", "200")
			bye <- awaitFrame[*xhttp2.GoAwayFrame](o, nil) != nil
		})
		st = l.Reserve()
	}
	if err := st.Send(asking("GET", "/", 0), false, nil, true); err != nil {
		t.Fatal(err)
	}
	st.ReadWithin(time.Now(), patience)
	if _, err := headsOf(st); err != nil {
		t.Error(err)
	}
	st.Release()
	l.ended()
	if !<-bye {
		t.Error("it ends without a word")
	}
}

func TestARetiredConnectionEndsWithItsLastStream(t *testing.T) {
	t.Parallel()
	word := make(chan struct{})
	l := linked(t, usualClient(), func(o *origin) {
		id := o.request(nil).StreamID
		<-word
		o.head(id, true, ":status", "200")
		o.rest()
	})
	st := l.Reserve()
	if err := st.Send(asking("GET", "/", 0), false, nil, true); err != nil {
		t.Fatal(err)
	}
	l.Retire()
	if l.Reserve() != nil {
		t.Error("it takes another stream")
	}
	close(word)
	st.ReadWithin(time.Now(), patience)
	if _, err := headsOf(st); err != nil {
		t.Error(err)
	}
	st.Release()
	l.ended()
}

func TestAHostileServerIsHungUpOn(t *testing.T) {
	t.Parallel()
	each := func(n int, say func(o *origin, id uint32)) func(*origin, uint32) {
		return func(o *origin, id uint32) {
			for range n {
				say(o, id)
			}
		}
	}
	const many = 50_000
	for name, test := range map[string]struct {
		say  func(o *origin, id uint32)
		want xhttp2.ErrCode
	}{
		"PING":     {each(many, func(o *origin, _ uint32) { _ = o.WritePing(false, [8]byte{}) }), xhttp2.ErrCodeEnhanceYourCalm},
		"SETTINGS": {each(many, func(o *origin, _ uint32) { _ = o.WriteSettings() }), xhttp2.ErrCodeEnhanceYourCalm},
		"empty DATA": {func(o *origin, id uint32) {
			o.head(id, false, ":status", "200")
			each(many, func(o *origin, id uint32) { _ = o.WriteData(id, false, nil) })(o, id)
		}, xhttp2.ErrCodeEnhanceYourCalm},
		"WINDOW_UPDATE":  {each(many, func(o *origin, _ uint32) { _ = o.WriteWindowUpdate(0, 1) }), xhttp2.ErrCodeEnhanceYourCalm},
		"PRIORITY":       {each(many, func(o *origin, id uint32) { _ = o.WritePriority(id, xhttp2.PriorityParam{}) }), xhttp2.ErrCodeEnhanceYourCalm},
		"unknown frames": {each(many, func(o *origin, _ uint32) { _ = o.WriteRawFrame(0xbe, 0, 0, nil) }), xhttp2.ErrCodeEnhanceYourCalm},
		"RST_STREAM":     {each(many, func(o *origin, id uint32) { _ = o.WriteRSTStream(id, xhttp2.ErrCodeCancel) }), xhttp2.ErrCodeEnhanceYourCalm},
		"heads of a stream that is over": {func(o *origin, id uint32) {
			each(many, func(o *origin, id uint32) { o.head(id, true, ":status", "200") })(o, id)
		}, xhttp2.ErrCodeEnhanceYourCalm},
		"CONTINUATION without end": {func(o *origin, id uint32) {
			_ = o.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: o.encode(":status", "200")})
			each(many, func(o *origin, id uint32) { _ = o.WriteContinuation(id, false, nil) })(o, id)
		}, xhttp2.ErrCodeEnhanceYourCalm},
		"a block without end": {func(o *origin, id uint32) {
			_ = o.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: o.encode(":status", "200")})
			each(1000, func(o *origin, id uint32) { _ = o.WriteContinuation(id, false, make([]byte, 16<<10)) })(o, id)
		}, xhttp2.ErrCodeEnhanceYourCalm},
		"a bomb": {func(o *origin, id uint32) {
			block := append(bytes.Clone(o.encode(":status", "200", "x", strings.Repeat("y", 4000))), bytes.Repeat([]byte{0x80 | 62}, 16<<10-5000)...)
			for range 2 {
				_ = o.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true})
			}
			o.rest()
		}, xhttp2.ErrCodeEnhanceYourCalm},
		"more than the window": {func(o *origin, id uint32) {
			o.head(id, false, ":status", "200")
			each(2000, func(o *origin, id uint32) { _ = o.WriteData(id, false, make([]byte, 16<<10)) })(o, id)
		}, xhttp2.ErrCodeNo}, // the stream is reset
		"a push": {func(o *origin, id uint32) {
			_ = o.WritePushPromise(xhttp2.PushPromiseParam{StreamID: id, PromiseID: 2, BlockFragment: o.encode(":method", "GET"), EndHeaders: true})
		}, xhttp2.ErrCodeProtocol},
		"a stream of its own":       {func(o *origin, _ uint32) { o.head(2, true, ":status", "200") }, xhttp2.ErrCodeProtocol},
		"a stream that is to come":  {func(o *origin, id uint32) { o.head(id+2, true, ":status", "200") }, xhttp2.ErrCodeProtocol},
		"content of one":            {func(o *origin, id uint32) { _ = o.WriteData(id+2, true, []byte("x")) }, xhttp2.ErrCodeProtocol},
		"a frame that is too large": {func(o *origin, id uint32) { _ = o.WriteRawFrame(xhttp2.FrameData, 0, id, make([]byte, 16<<10+1)) }, xhttp2.ErrCodeFrameSize},
		"broken compression": {func(o *origin, id uint32) {
			_ = o.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0xff, 0xff, 0xff}, EndHeaders: true})
		}, xhttp2.ErrCodeCompression},
		"too large a window for all": {func(o *origin, _ uint32) { _ = o.WriteWindowUpdate(0, 1<<31-1) }, xhttp2.ErrCodeFlowControl},
		"push enabled":               {func(o *origin, _ uint32) { _ = o.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingEnablePush, Val: 1}) }, xhttp2.ErrCodeProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			said := make(chan xhttp2.ErrCode, 1)
			l := linked(t, usualClient(), func(o *origin) {
				id := o.request(nil).StreamID
				var writing sync.WaitGroup
				writing.Go(func() { test.say(o, id) })
				for {
					frame, err := o.ReadFrame()
					if err != nil {
						break
					}
					switch f := frame.(type) {
					case *xhttp2.GoAwayFrame:
						said <- f.ErrCode
					case *xhttp2.RSTStreamFrame:
						if test.want == xhttp2.ErrCodeNo {
							said <- test.want
						}
					}
				}
				_ = o.conn.Close()
				writing.Wait()
			})
			st := l.get("/")
			for {
				if _, err := headsOf(st); err != nil {
					break
				}
				if _, err := wholeOf(st); err != nil {
					break
				}
				_ = l.Err()
				if st.Done() {
					break
				}
			}
			select {
			case code := <-said:
				if code != test.want {
					t.Errorf("hung up on with %v", code)
				}
			case <-l.over: // it did not read the last words
				fault, told := errors.AsType[*http2.ConnectionError](l.Err())
				if !told || fault.Remote || xhttp2.ErrCode(fault.Code) != test.want {
					t.Errorf("it ends with %v", l.Err())
				}
			case <-time.After(patience):
				t.Error("the connection goes on")
			}
		})
	}
}

func TestWhatASlowHeadLeavesIsNotWaitedForForEver(t *testing.T) {
	t.Parallel()
	client := usualClient()
	client.SignTimeout = 50 * time.Millisecond
	l := linked(t, client, func(o *origin) {
		id := o.request(nil).StreamID
		_ = o.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: o.encode(":status", "200")})
		o.rest()
	})
	if _, err := headsOf(l.get("/")); err == nil {
		t.Error("an answer")
	}
	l.ended()
}

// Content both ways on many streams at once, against a server that others wrote.
func TestManyStreamsCarryContentBothWays(t *testing.T) {
	t.Parallel()
	served := linkTo(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		n, _ := io.Copy(w, r.Body)
		w.Header().Set("X-Sum", fmt.Sprint(n))
	})
	var wait sync.WaitGroup
	for i := range 40 {
		wait.Go(func() {
			size := rand.IntN(1 << 20)
			text := bytes.Repeat([]byte{byte(i)}, size)
			st := served.stream()
			if err := st.Send(asking("POST", "/", message.Unknown), false, nil, false); err != nil {
				t.Error(err)
				return
			}
			var sending sync.WaitGroup
			defer sending.Wait()
			sending.Go(func() {
				for rest := text; len(rest) > 0; {
					n := min(len(rest), 1+rand.IntN(40_000))
					if _, err := st.Write(rest[:n]); err != nil {
						t.Error(err)
						return
					}
					rest = rest[n:]
				}
				if err := st.End(nil); err != nil {
					t.Error(err)
				}
			})
			_, err := headsOf(st)
			got, err2 := wholeOf(st)
			if err != nil || err2 != nil || got != string(text) {
				t.Errorf("%d bytes of %d, %v, %v", len(got), size, err, err2)
				return
			}
			if trailer := st.Trailer(); trailer == nil || string(trailer.Lookup("X-Sum")) != fmt.Sprint(size) {
				t.Errorf("trailers %v", trailer)
			}
		})
	}
	wait.Wait()
}
