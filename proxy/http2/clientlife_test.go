package http2_test

import (
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/portico-web/portico/proxy/http2"
)

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
