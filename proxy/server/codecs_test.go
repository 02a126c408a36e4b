package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/server"
)

func both() server.Settings {
	return server.Settings{HTTP: "127.0.0.1:0", HTTPS: "127.0.0.1:0", HTTP3: true}
}

// codecs are clients of the versions whose codecs are adapted.
func (e *edge) codecs() map[string]*http.Client {
	clients := map[string]*http.Client{}
	two := &http.Transport{
		DialTLSContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&tls.Dialer{Config: clientTLS("h2")}).DialContext(ctx, network, e.secure)
		},
		Protocols: new(http.Protocols), DisableCompression: true,
	}
	two.Protocols.SetHTTP2(true)
	e.t.Cleanup(two.CloseIdleConnections)
	clients["HTTP/2.0"] = &http.Client{Transport: two, Timeout: 10 * soon}
	if e.http3 {
		three := &http3.Transport{
			Dial: func(ctx context.Context, _ string, _ *tls.Config, config *quic.Config) (*quic.Conn, error) {
				return quic.DialAddrEarly(ctx, e.secure, clientTLS("h3"), config)
			},
			TLSClientConfig: clientTLS("h3"), DisableCompression: true,
		}
		e.t.Cleanup(func() { _ = three.Close() })
		clients["HTTP/3.0"] = &http.Client{Transport: three, Timeout: 10 * soon}
	}
	return clients
}

// onCodecs runs a test with a client of each of these versions.
func onCodecs(t *testing.T, o options, test func(t *testing.T, e *edge, client *http.Client, version string)) {
	if o.settings.HTTPS == "" {
		o.settings = both()
	}
	for _, version := range []string{"HTTP/2.0", "HTTP/3.0"} {
		t.Run(version, func(t *testing.T) { // one after the other: their handlers share channels
			e := start(t, o)
			test(t, e, e.codecs()[version], version)
		})
	}
}

func fetch(t *testing.T, client *http.Client, request *http.Request) (*http.Response, string) {
	t.Helper()
	response, err := client.Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", request.Method, request.URL, err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s %s: reading the content: %v", request.Method, request.URL, err)
	}
	return response, string(content)
}

func newRequest(method, path string, content io.Reader) *http.Request {
	request, err := http.NewRequest(method, "https://edge.test"+path, content)
	if err != nil {
		panic(err)
	}
	return request
}

// describe answers with what the handler was given.
func describe(stream message.Stream) {
	head := stream.Head()
	got, err := content(stream)
	reply(stream, 200, fmt.Sprintf("%v %s %s path=%s query=%s/%v length=%d content=%q err=%v x=%s,%s host=%v trailers=%v tls=%s peer=%v",
		head.Version, head.Method, head.Authority, head.Path, head.Query, head.HasQuery, head.Length, got, err,
		head.Lookup("x-one"), head.Get(message.UserAgent), head.Count(message.Host)+head.Count(message.ContentLength)+head.Count(message.TE),
		head.Trailers, stream.TLS().ServerName, stream.Peer().Addr()))
}

func TestCodecsHandOverRequestsAsTheyWereSent(t *testing.T) {
	t.Parallel()
	onCodecs(t, options{handler: describe}, func(t *testing.T, _ *edge, client *http.Client, version string) {
		for _, test := range []struct{ method, path, content, want string }{
			{"GET", "/", "", "GET edge.test path=/ query=/false length=0 content=\"\""},
			{"GET", "/a%2fb/../c?d=%20e?f", "", "GET edge.test path=/a%2fb/../c query=d=%20e?f/true length=0 content=\"\""},
			{"GET", "/?", "", "GET edge.test path=/ query=/true length=0 content=\"\""},
			{"POST", "/p", "hello", "POST edge.test path=/p query=/false length=5 content=\"hello\""},
			{"DELETE", "/p", "", "DELETE edge.test path=/p query=/false length=0 content=\"\""},
		} {
			request := newRequest(test.method, test.path, strings.NewReader(test.content))
			if test.content == "" {
				request.Body, request.ContentLength = nil, 0
			}
			request.Header.Set("X-One", "1")
			request.Header.Set("User-Agent", "test")
			request.Header.Set("TE", "trailers")
			response, got := fetch(t, client, request)
			want := version + " " + test.want + " err=<nil> x=1,test host=0 trailers=true tls=edge.test peer=127.0.0.1"
			if got != want || response.StatusCode != 200 || response.Proto != version {
				t.Errorf("the handler saw\n%s, want\n%s", got, want)
			}
			if response.ContentLength != int64(len(got)) || response.Header.Get("Date") == "" || response.Header["Content-Type"] != nil {
				t.Errorf("length %d, head %v", response.ContentLength, response.Header)
			}
		}
	})
}

func TestCodecsCarryContentOfUnknownLengthAndTrailersBothWays(t *testing.T) {
	t.Parallel()
	onCodecs(t, options{handler: func(stream message.Stream) {
		length := stream.Head().Length
		got, err := content(stream)
		var trailer message.Fields
		trailer.AddNamed("X-Sum", "42")
		sum := ""
		if came := stream.Body().Trailer(); came != nil {
			sum = string(came.Lookup("x-sum"))
		}
		_ = respond(stream, 200, message.Unknown, &trailer, got, fmt.Sprintf(" %d %v %s", length, err, sum))
	}}, func(t *testing.T, _ *edge, client *http.Client, _ string) {
		whole := strings.Repeat("content ", 100_000)
		request := newRequest("POST", "/", io.MultiReader(strings.NewReader(whole)))
		request.Trailer = http.Header{"X-Sum": {"41"}}
		response, got := fetch(t, client, request)
		if got != whole+" -1 <nil> 41" {
			t.Errorf("%d bytes came back, at last %q", len(got), got[max(0, len(got)-20):])
		}
		if response.Trailer.Get("X-Sum") != "42" {
			t.Errorf("the trailer is %v", response.Trailer)
		}
	})
}

func TestCodecsSendNoContentWhereThereIsNone(t *testing.T) {
	t.Parallel()
	onCodecs(t, options{handler: func(stream message.Stream) {
		status, length := 200, int64(7)
		switch stream.Head().Path {
		case "/204":
			status = 204
		case "/304":
			status = 304
		case "/unknown":
			length = message.Unknown
		}
		if err := respond(stream, status, length, nil, "content"); err != nil {
			t.Error(err)
		}
	}}, func(t *testing.T, _ *edge, client *http.Client, _ string) {
		for path, length := range map[string]int64{"/": 7, "/unknown": -1} {
			response, content := fetch(t, client, newRequest("HEAD", path, nil))
			if content != "" || response.ContentLength != length {
				t.Errorf("HEAD %s: %v, content %q", path, response.Header, content)
			}
		}
		for _, path := range []string{"/204", "/304"} {
			if response, content := fetch(t, client, newRequest("GET", path, nil)); content != "" || "/"+response.Status[:3] != path {
				t.Errorf("GET %s: %v, content %q", path, response, content)
			}
		}
	})
}

func TestCodecsFlushAndSendInterimAnswers(t *testing.T) {
	t.Parallel()
	proceed := make(chan struct{}, 1)
	onCodecs(t, options{handler: func(stream message.Stream) {
		var head message.Head
		head.Status = 103
		head.AddNamed("Link", "</style.css>")
		if err := stream.Interim(&head); err != nil {
			t.Errorf("103: %v", err)
		}
		head.Reset()
		head.Status, head.Length = 200, message.Unknown
		head.Add(message.SetCookie, "a=1")
		head.Add(message.SetCookie, "b=2")
		head.AddNamed("connection", "close")
		_ = stream.Answer(&head)
		_, _ = stream.Write([]byte("one"))
		_ = stream.Flush()
		<-proceed
		_, _ = stream.Write([]byte("two"))
		_ = stream.End(nil)
	}}, func(t *testing.T, _ *edge, client *http.Client, _ string) {
		response, err := client.Do(newRequest("GET", "/", nil))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if len(response.Header["Set-Cookie"]) != 2 || response.Header["Link"] != nil || response.Header["Connection"] != nil {
			t.Errorf("the final head is %v", response.Header)
		}
		first := make([]byte, 3)
		if _, err := io.ReadFull(response.Body, first); err != nil || string(first) != "one" {
			t.Errorf("first came %q, %v", first, err)
		}
		proceed <- struct{}{}
		if rest, err := io.ReadAll(response.Body); err != nil || string(rest) != "two" {
			t.Errorf("then came %q, %v", rest, err)
		}
	})
}

func TestCodecsAbortWhatIsGivenUp(t *testing.T) {
	t.Parallel()
	onCodecs(t, options{handler: faulty}, func(t *testing.T, e *edge, client *http.Client, _ string) {
		for _, path := range []string{"/nothing", "/return/chunked", "/return/sized", "/flushed/chunked", "/abort/chunked", "/abort/sized", "/panic/chunked", "/quiet-panic/chunked", "/short/sized", "/long/sized"} {
			response, err := client.Do(newRequest("GET", path, nil))
			if path == "/nothing" {
				if err == nil {
					t.Errorf("%s: %v", path, response)
				}
				continue
			}
			if err != nil {
				// A reset of HTTP/3 overtakes what was sent before.
				if !strings.Contains(err.Error(), "H3") {
					t.Errorf("%s: nothing shows that an answer began: %v", path, err)
				}
				continue
			}
			if got, err := io.ReadAll(response.Body); err == nil {
				t.Errorf("%s: %q looks whole", path, got)
			}
			_ = response.Body.Close()
		}
		if strings.Count(e.log.String(), "panicked") != 1 {
			t.Errorf("one panic was to be logged: %s", e.log)
		}
	})
}

func TestCodecsKnowThatAClientLeft(t *testing.T) {
	t.Parallel()
	arrived, result := make(chan bool, 1), make(chan bool, 1)
	onCodecs(t, options{handler: func(stream message.Stream) {
		if stream.Gone() {
			t.Error("a client that waits passes for gone")
		}
		arrived <- true
		<-stream.Context().Done()
		result <- stream.Gone()
	}}, func(t *testing.T, _ *edge, client *http.Client, _ string) {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			if response, err := client.Do(newRequest("GET", "/", nil).WithContext(ctx)); err == nil {
				_ = response.Body.Close()
			}
		}()
		within(t, arrived, "the request")
		cancel()
		if !within(t, result, "the handler") {
			t.Error("nobody noticed")
		}
		<-done
	})
}

func TestCodecsGiveUpSlowContentAndInterruptIt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change    func(*server.Settings)
		interrupt bool
		want      error
	}{
		"a stall":      {func(s *server.Settings) { s.StallTimeout = 200 * time.Millisecond }, false, message.ErrTooSlow},
		"a slow rate":  {func(s *server.Settings) { s.BodyRate, s.BodyGrace = 10_000, 200*time.Millisecond }, false, message.ErrTooSlow},
		"an interrupt": {func(s *server.Settings) { s.StallTimeout = 10 * soon }, true, message.ErrInterrupted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failed := make(chan error, 1)
			settings := both()
			test.change(&settings)
			onCodecs(t, options{settings: settings, handler: func(stream message.Stream) {
				reading, begun := make(chan error, 1), make(chan struct{})
				go func() {
					_, _ = stream.Body().Next()
					close(begun)
					for {
						if _, err := stream.Body().Next(); err != nil {
							reading <- err
							return
						}
					}
				}()
				<-begun
				if test.interrupt {
					stream.Body().Interrupt()
				}
				failed <- <-reading
				reply(stream, 408, "too slow")
			}}, func(t *testing.T, _ *edge, client *http.Client, _ string) {
				out, in := io.Pipe()
				defer in.Close()
				go func() {
					_, err := in.Write([]byte("x"))
					for err == nil && name == "a slow rate" {
						time.Sleep(10 * time.Millisecond)
						_, err = in.Write([]byte("x"))
					}
				}()
				request := newRequest("POST", "/", out)
				done := make(chan *http.Response, 1)
				go func() {
					response, err := client.Do(request)
					if err != nil {
						t.Errorf("the early answer: %v", err)
					} else {
						_ = response.Body.Close()
					}
					done <- response
				}()
				if err := within(t, failed, "the body's error"); !errors.Is(err, test.want) {
					t.Errorf("%v, want %v", err, test.want)
				}
				_ = in.Close()
				if response := within(t, done, "the answer"); response != nil && response.StatusCode != 408 {
					t.Errorf("%v", response)
				}
			})
		})
	}
}

func TestCodecsCutOffAReaderThatStalls(t *testing.T) {
	t.Parallel()
	settings := both()
	settings.StallTimeout = 300 * time.Millisecond
	failed := make(chan error, 1)
	onCodecs(t, options{settings: settings, handler: func(stream message.Stream) {
		var head message.Head
		head.Status, head.Length = 200, message.Unknown
		_ = stream.Answer(&head)
		piece := make([]byte, 64<<10)
		for {
			if _, err := stream.Write(piece); err != nil {
				failed <- err
				return
			}
		}
	}}, func(t *testing.T, _ *edge, client *http.Client, _ string) {
		response, err := client.Do(newRequest("GET", "/", nil))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if err := within(t, failed, "the write to fail"); err == nil {
			t.Error("no error")
		}
	})
}

func TestCodecsDrain(t *testing.T) {
	t.Parallel()
	arrived, proceed := make(chan bool, 1), make(chan struct{}, 1)
	onCodecs(t, options{handler: func(stream message.Stream) {
		if stream.Head().Path == "/slow" {
			arrived <- true
			<-proceed
		}
		reply(stream, 200, "done")
	}}, func(t *testing.T, e *edge, client *http.Client, _ string) {
		fetch(t, client, newRequest("GET", "/", nil))
		done := make(chan string, 1)
		go func() {
			_, content := fetch(t, client, newRequest("GET", "/slow", nil))
			done <- content
		}()
		within(t, arrived, "the slow request")
		e.cancel()
		select {
		case err := <-e.stopped:
			t.Fatalf("Serve returned with a request in flight: %v", err)
		case <-time.After(100 * time.Millisecond):
		}
		proceed <- struct{}{}
		if got := within(t, done, "the answer"); got != "done" {
			t.Errorf("%q", got)
		}
		e.stop()
		if strings.Contains(e.log.String(), "cut off") {
			t.Errorf("something was cut off: %s", e.log)
		}
	})
}

func TestTheDrainDeadlineCutsCodecsOff(t *testing.T) {
	t.Parallel()
	arrived := make(chan bool, 1)
	onCodecs(t, options{settings: both(), drain: 100 * time.Millisecond, handler: func(stream message.Stream) {
		arrived <- true
		<-stream.Context().Done()
	}}, func(t *testing.T, e *edge, client *http.Client, _ string) {
		done := make(chan error, 1)
		go func() {
			response, err := client.Do(newRequest("GET", "/", nil))
			if err == nil {
				_ = response.Body.Close()
			}
			done <- err
		}()
		within(t, arrived, "the request")
		e.stop()
		if err := within(t, done, "the client"); err == nil {
			t.Error("a request that was cut off looks answered")
		}
		if !strings.Contains(e.log.String(), "requests still in flight were cut off") {
			t.Errorf("the log does not tell: %s", e.log)
		}
	})
}

func TestDrainingClosesIdleConnectionsOfHTTP3(t *testing.T) {
	t.Parallel()
	e := start(t, options{settings: both(), handler: text("ok")})
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	connection, err := quic.DialAddr(ctx, e.secure, clientTLS("h3"), nil) // which knows nothing of GOAWAY
	if err != nil {
		t.Fatal(err)
	}
	e.stop()
	within(t, connection.Context().Done(), "the connection to be closed")
	if strings.Contains(e.log.String(), "cut off") {
		t.Errorf("something was cut off: %s", e.log)
	}
}

// frames is a client of HTTP/2 that sends what it is told.
type frames struct {
	*http2.Framer
	t     *testing.T
	conn  net.Conn
	text  bytes.Buffer
	hpack *hpack.Encoder
}

func (e *edge) frames(t *testing.T) *frames {
	conn, err := tls.Dial("tcp", e.secure, clientTLS("h2"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(soon))
	_, _ = io.WriteString(conn, http2.ClientPreface)
	f := &frames{Framer: http2.NewFramer(conn, conn), t: t, conn: conn}
	f.hpack = hpack.NewEncoder(&f.text)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = f.WriteSettings()
	return f
}

// status sends a head, and returns the status it is answered with, or the code of the reset.
func (f *frames) status(id uint32, fields ...string) string {
	f.t.Helper()
	f.text.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = f.hpack.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: f.text.Bytes(), EndStream: true, EndHeaders: true})
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return err.Error()
		}
		if frame.Header().StreamID != id {
			continue
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			return frame.PseudoValue("status")
		case *http2.RSTStreamFrame:
			return frame.ErrCode.String()
		}
	}
}

func TestHTTP2RequestsThatCannotBeCarriedOnAreRefused(t *testing.T) {
	t.Parallel()
	settings := both()
	settings.TargetBytes, settings.Fields = 100, 10
	e := start(t, options{settings: settings, handler: text("taken"), refused: func(stream message.Stream, refusal *http1.Error) {
		reply(stream, refusal.Status, refusal.Reason)
	}})
	f := e.frames(t)
	sound := []string{":method", "GET", ":scheme", "https", ":authority", "edge.test", ":path", "/"}
	with := func(changes ...string) []string {
		fields := append([]string(nil), sound...)
		for i := 0; i < len(changes); i += 2 {
			found := false
			for j := 0; j < len(fields); j += 2 {
				if fields[j] == changes[i] {
					fields[j+1], found = changes[i+1], true
				}
			}
			if !found {
				fields = append(fields, changes[i:i+2]...)
			}
		}
		return fields
	}
	many := []string{}
	for i := range 11 {
		many = append(many, fmt.Sprintf("x-%d", i), "x")
	}
	id := uint32(1)
	for _, test := range []struct {
		name   string
		fields []string
		want   string
	}{
		{"a sound one", sound, "200"},
		{"TRACE", with(":method", "TRACE"), "501"},
		{"a method that is no token", with(":method", "GET /x"), "PROTOCOL_ERROR"},
		{"no authority", append(append([]string{}, sound[:4]...), sound[6:]...), "400"},
		{"an authority with a path", with(":authority", "edge.test/x"), "400"},
		{"a port that is none", with(":authority", "edge.test:99999"), "400"},
		{"an empty port", with(":authority", "edge.test:"), "400"},
		{"white space in the path", with(":path", "/a b"), "400"},
		{"a fragment", with(":path", "/a#b"), "400"},
		{"an asterisk", with(":path", "*"), "400"},
		{"a long target", with(":path", "/"+strings.Repeat("x", 100)), "414"},
		{"many fields", with(many...), "431"},
		{"white space around a value", with("x", " y"), "PROTOCOL_ERROR"},
		{"a length without content", with("content-length", "5"), "PROTOCOL_ERROR"},
		{"a length that is none", with("content-length", "+0"), "PROTOCOL_ERROR"},
		{"another Host", with("host", "other.test"), "PROTOCOL_ERROR"},
		{"userinfo", with(":authority", "me@edge.test"), "400"},
		{"CONNECT", []string{":method", "CONNECT", ":authority", "edge.test:1"}, "501"},
		{"an extended CONNECT", append([]string{":protocol", "websocket"}, with(":method", "CONNECT")...), "PROTOCOL_ERROR"},
		{"a sound one after all", sound, "200"},
	} {
		if got := f.status(id, test.fields...); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
		id += 2
	}
}

func TestWebSocketsOverHTTP3(t *testing.T) {
	t.Parallel()
	e := start(t, options{settings: both(), handler: tunnelled(t, func(tunnel message.Tunnel) {
		if _, err := io.Copy(tunnel, tunnel); err != nil {
			t.Errorf("echoing: %v", err)
		}
		_ = tunnel.CloseWrite()
	})})
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	connection, err := quic.DialAddr(ctx, e.secure, clientTLS("h3"), nil)
	if err != nil {
		t.Fatal(err)
	}
	three := (&http3.Transport{}).NewClientConn(connection)
	defer func() { _ = connection.CloseWithError(0, "") }()
	stream, err := three.OpenRequestStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	request := newRequest("CONNECT", "/chat", nil)
	request.Proto = "websocket"
	if err := stream.SendRequestHeader(request); err != nil {
		t.Fatal(err)
	}
	response, err := stream.ReadResponse()
	if err != nil || response.StatusCode != 200 || response.Header.Get("X-Made-By") != "test" {
		t.Fatalf("%v, %v", response, err)
	}
	for _, piece := range []string{"one", "another"} {
		if _, err := io.WriteString(stream, piece); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(piece))
		if _, err := io.ReadFull(stream, got); err != nil || string(got) != piece {
			t.Errorf("%q, %v came back for %q", got, err, piece)
		}
	}
	_ = stream.Close()
	if rest, err := io.ReadAll(stream); err != nil || len(rest) > 0 {
		t.Errorf("at last %q, %v", rest, err)
	}
}
