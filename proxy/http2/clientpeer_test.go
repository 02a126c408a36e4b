package http2_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/http2"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/socket"
)

// origin is a server's end of a connection, frame by frame.
type origin struct {
	*xhttp2.Framer
	conn    *net.TCPConn
	block   bytes.Buffer
	encoder *hpack.Encoder
}

func (o *origin) head(id uint32, end bool, fields ...string) {
	_ = o.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: o.encode(fields...), EndHeaders: true, EndStream: end})
}

func (o *origin) encode(fields ...string) []byte {
	o.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = o.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return o.block.Bytes()
}

// request waits for the next request's head, and says what else comes to meanwhile.
func (o *origin) request(meanwhile func(xhttp2.Frame)) *xhttp2.MetaHeadersFrame {
	for {
		frame, err := o.ReadFrame()
		if err != nil {
			return nil
		}
		switch f := frame.(type) {
		case *xhttp2.MetaHeadersFrame:
			return f
		case *xhttp2.SettingsFrame:
			if !f.IsAck() {
				_ = o.WriteSettingsAck()
			}
		}
		if meanwhile != nil {
			meanwhile(frame)
		}
	}
}

// awaitFrame reads until a frame of this kind that fits; nil at the end.
func awaitFrame[F xhttp2.Frame](o *origin, fits func(F) bool) (none F) {
	for {
		frame, err := o.ReadFrame()
		if err != nil {
			return none
		}
		if settings, is := frame.(*xhttp2.SettingsFrame); is && !settings.IsAck() {
			_ = o.WriteSettingsAck()
		}
		if f, is := frame.(F); is && (fits == nil || fits(f)) {
			return f
		}
	}
}

// rest reads until the connection ends.
func (o *origin) rest() {
	for {
		if _, err := o.ReadFrame(); err != nil {
			return
		}
	}
}

// link is a client's connection to an origin.
type link struct {
	*http2.ClientConn
	t      testing.TB
	over   chan struct{} // closed when the connection has ended
	origin chan struct{} // closed when the origin has
}

func usualClient() *http2.Client {
	return &http2.Client{
		Bounds: http2.Bounds{StreamWindow: 128 << 10, ConnectionWindow: 128 * 128 << 10}.WithDefaults(),
		Limits: http1.Limits{HeadBytes: 64 << 10, Fields: 200}, IdleTimeout: patience, SilenceTimeout: patience, SignTimeout: patience,
		StallTimeout: patience,
	}
}

// linked has an origin serve a connection after the prefaces.
func linked(t testing.TB, client *http2.Client, serves func(*origin), settings ...xhttp2.Setting) *link {
	t.Helper()
	return linkOver(t, client, func(accepted *net.TCPConn) {
		o := &origin{Framer: xhttp2.NewFramer(accepted, accepted), conn: accepted}
		o.AllowIllegalWrites = true
		o.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		o.encoder = hpack.NewEncoder(&o.block)
		preface := make([]byte, len(xhttp2.ClientPreface))
		if _, err := io.ReadFull(accepted, preface); err != nil || string(preface) != xhttp2.ClientPreface {
			t.Errorf("the preface is %q, %v", preface, err)
			return
		}
		_ = o.WriteSettings(settings...)
		serves(o)
	})
}

// linkTo is a connection to a server of x/net.
func linkTo(t testing.TB, handler http.HandlerFunc) *link {
	t.Helper()
	return linkOver(t, usualClient(), func(accepted *net.TCPConn) {
		var server xhttp2.Server                          //nolint:staticcheck // net/http's takes no single connection
		server.ServeConn(accepted, &xhttp2.ServeConnOpts{ //nolint:staticcheck // as above
			Handler: handler, BaseConfig: &http.Server{ErrorLog: log.New(io.Discard, "", 0)},
		})
	})
}

func linkOver(t testing.TB, client *http2.Client, serves func(*net.TCPConn)) *link {
	t.Helper()
	dialled, accepted := pair(t)
	return linkOf(t, client, dialled, accepted, serves)
}

func linkOf(t testing.TB, client *http2.Client, dialled, accepted *net.TCPConn, serves func(*net.TCPConn)) *link {
	t.Helper()
	own, err := socket.New(dialled)
	if err != nil {
		t.Fatal(err)
	}
	own.WriteWithin(patience)
	l := &link{t: t, over: make(chan struct{}), origin: make(chan struct{})}
	go func() {
		defer close(l.origin)
		defer accepted.Close()
		serves(accepted)
	}()
	l.ClientConn = client.NewClientConn(http2.ClientConnection{Socket: own, Wire: own, Ended: func(*http2.ClientConn) { close(l.over) }})
	t.Cleanup(func() {
		_ = accepted.Close()
		l.Retire()
		l.ended()
		<-l.origin
	})
	select {
	case <-l.Ready():
	case <-time.After(patience):
		t.Fatal("the connection does not become ready")
	}
	return l
}

func (l *link) ended() {
	l.t.Helper()
	select {
	case <-l.over:
	case <-time.After(patience):
		l.t.Error("the connection does not end")
	}
}

// stream reserves a place, which is freed at the test's end.
func (l *link) stream() *http2.ClientStream {
	l.t.Helper()
	st := l.Reserve()
	if st == nil {
		l.t.Fatal("the connection takes no stream")
	}
	st.ReadWithin(time.Now(), patience)
	var once sync.Once
	l.t.Cleanup(func() { once.Do(st.Release) })
	return st
}

func asking(method, target string, length int64, fields ...string) *message.Head {
	h := &message.Head{Method: method, Authority: "example.test", Path: target, Length: length}
	for i := 0; i < len(fields); i += 2 {
		h.AddNamed(fields[i], fields[i+1])
	}
	return h
}

// get sends a request without content.
func (l *link) get(path string) *http2.ClientStream {
	l.t.Helper()
	st := l.stream()
	if err := st.Send(asking("GET", path, 0), false, nil, true); err != nil {
		l.t.Fatal(err)
	}
	return st
}

// headsOf reads heads up to the final one, as text.
func headsOf(st *http2.ClientStream) (text string, err error) {
	for {
		var h message.Head
		if err := st.ReadHead(&h); err != nil {
			return text, err
		}
		text += fmt.Sprint(h.Status, " ", h.Length)
		for _, f := range h.All() {
			text += fmt.Sprintf(" %s=%s", f.Name, f.Value)
		}
		if h.Status >= 200 {
			return text, nil
		}
		text += ", "
	}
}

// wholeOf reads content to its end.
func wholeOf(st *http2.ClientStream) (string, error) {
	var all bytes.Buffer
	for {
		piece, err := st.Next()
		if errors.Is(err, io.EOF) {
			return all.String(), nil
		}
		if err != nil {
			return all.String(), err
		}
		all.Write(piece)
	}
}
