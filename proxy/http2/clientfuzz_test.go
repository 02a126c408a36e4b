package http2_test

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/portico-web/portico/proxy/http2"
	"github.com/portico-web/portico/proxy/message"
)

// FuzzAnswers lets a server say anything to three requests, of which one has content to come: nothing panics, and everything
// ends with the connection.
func FuzzAnswers(f *testing.F) {
	for _, seed := range answerSeeds() {
		f.Add(seed)
	}
	listener := listenForFuzzing(f)
	client := usualClient()
	client.SignTimeout, client.StallTimeout = time.Second, time.Second
	f.Fuzz(func(t *testing.T, said []byte) {
		dialled, accepted := connect(t, listener)
		_ = dialled.SetLinger(0) // so that its port is free again at once
		l := linkOf(t, client, dialled, accepted, func(conn *net.TCPConn) {
			drained := make(chan struct{})
			go func() {
				defer close(drained)
				_, _ = io.Copy(io.Discard, conn)
			}()
			_ = xhttp2.NewFramer(conn, nil).WriteSettings()
			_, _ = conn.Write(said)
			_ = conn.CloseWrite()
			<-drained
		})
		var streams []*http2.ClientStream
		for i := range 3 {
			st := l.Reserve()
			if st == nil {
				break
			}
			streams = append(streams, st)
			head := asking([]string{"GET", "HEAD", "POST"}[i], "/", 0)
			if i == 2 {
				head.Length = message.Unknown
			}
			if st.Send(head, false, nil, i < 2) == nil && i == 2 {
				_, _ = st.Write(make([]byte, 100))
				_ = st.End(nil)
			}
		}
		for _, st := range streams {
			st.ReadWithin(time.Now(), patience)
			_, err := headsOf(st)
			if err == nil {
				_, err = wholeOf(st)
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("a stream outlives its connection")
			}
			st.Release()
		}
		l.ended()
	})
}

func answerSeeds() [][]byte {
	say := func(say func(o *origin)) []byte {
		o := &origin{}
		var out writer
		o.Framer = xhttp2.NewFramer(&out, nil)
		o.AllowIllegalWrites = true
		o.encoder = hpack.NewEncoder(&o.block)
		say(o)
		return out
	}
	return [][]byte{
		say(func(o *origin) {
			for id := uint32(1); id < 7; id += 2 {
				o.head(id, false, ":status", "103", "link", "</a>")
				o.head(id, false, ":status", "200", "content-length", "7", "server", "x")
				_ = o.WriteDataPadded(id, false, []byte("con"), []byte{0, 0})
				_ = o.WriteData(id, false, []byte("tent"))
				o.head(id, true, "sum", "7")
			}
		}),
		say(func(o *origin) {
			_ = o.WritePing(false, [8]byte{})
			_ = o.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 3}, xhttp2.Setting{ID: xhttp2.SettingHeaderTableSize})
			_ = o.WriteWindowUpdate(5, 100)
			_ = o.WriteGoAway(3, xhttp2.ErrCodeNo, nil)
			o.head(1, true, ":status", "204")
			_ = o.WriteRSTStream(3, xhttp2.ErrCodeRefusedStream)
		}),
		say(func(o *origin) {
			_ = o.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: o.encode(":status", "304", "etag", "x")})
			_ = o.WriteContinuation(1, true, nil)
			_ = o.WriteData(1, true, []byte("x"))
			_ = o.WritePriority(3, xhttp2.PriorityParam{StreamDep: 1})
			_ = o.WritePushPromise(xhttp2.PushPromiseParam{StreamID: 1, PromiseID: 2})
		}),
	}
}

type writer []byte

func (w *writer) Write(b []byte) (int, error) { *w = append(*w, b...); return len(b), nil }
