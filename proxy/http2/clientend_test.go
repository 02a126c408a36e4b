package http2_test

import (
	"runtime"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/portico-web/portico/proxy/http2"
	"github.com/portico-web/portico/proxy/message"
)

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
