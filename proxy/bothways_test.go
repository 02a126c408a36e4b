package proxy_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
)

// switches is an upstream that switches to websocket, says hello in the same write, and then says back what it hears.
func switches(t *testing.T) *stage {
	t.Helper()
	return act(t, func(_ int, a *actor) {
		request := a.head()
		if request == nil || request.Method != "GET" || request.Header.Get("Upgrade") != "websocket" || !strings.EqualFold(request.Header.Get("Connection"), "upgrade") {
			_ = a.say("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
			return
		}
		sum := sha1.Sum([]byte(request.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		_ = a.say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " +
			base64.StdEncoding.EncodeToString(sum[:]) + "\r\nSec-WebSocket-Protocol: chat\r\n\r\nhello ")
		_, _ = io.Copy(a, a.in)
		_ = a.CloseWrite()
	})
}

func TestATunnelCarriesWhatCameAheadAndEndsWell(t *testing.T) {
	t.Parallel()
	e := lanes(t, false, "", "", switches(t).address)
	connection := e.connect().(*tls.Conn)
	_, _ = io.WriteString(connection, "GET /000/ HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nahead ")
	in := bufio.NewReader(connection)
	response, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	header := response.Header
	if response.StatusCode != http.StatusSwitchingProtocols || header.Get("Upgrade") != "websocket" || !strings.EqualFold(header.Get("Connection"), "upgrade") ||
		header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" || header.Get("Sec-WebSocket-Protocol") != "chat" || header.Get("X-Request-Id") == "" {
		t.Errorf("%d %v", response.StatusCode, header)
	}
	large := strings.Repeat("x", 1<<20)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(connection, large)
		_ = connection.CloseWrite() // the upstream sees that nothing more comes, and ends its own side
	}()
	if content, err := io.ReadAll(in); err != nil || string(content) != "hello ahead "+large {
		t.Errorf("%d bytes come back, %v: %.30q", len(content), err, content)
	}
	<-sent
}

func TestAnUpgradeThatIsRefusedIsAnOrdinaryAnswer(t *testing.T) {
	t.Parallel()
	app := act(t, func(_ int, a *actor) {
		for a.request() != nil {
			_ = a.say("HTTP/1.1 403 Forbidden\r\n" + sized("no"))
		}
	})
	e := lanes(t, false, "", "", app.address)
	const upgrade = "GET /000/ HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	answers, err := e.converse(upgrade + "GET /000/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	if err != nil || !oneOf(statuses(answers), "403 403|403") || answers[0].body != "no" { // the client may have begun to speak another protocol
		t.Errorf("%s, %v", statuses(answers), err)
	}
}

func TestAnotherProtocolThanTheOneAskedForIsABadGateway(t *testing.T) {
	t.Parallel()
	app := act(t, func(_ int, a *actor) {
		a.request()
		_ = a.say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\nhello")
		a.gone()
	})
	e := lanes(t, false, "", "", app.address)
	answers, err := e.converse("GET /000/ HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n")
	if err != nil || statuses(answers) != "502" {
		t.Errorf("%s, %v", statuses(answers), err)
	}
}

func TestATunnelPassesByHTTP3(t *testing.T) {
	t.Parallel()
	e := lanes(t, false, "", "", switches(t).address)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	connection, err := quic.DialAddr(ctx, e.Addrs().HTTPS.String(), &tls.Config{RootCAs: e.roots(), ServerName: "localhost", NextProtos: []string{"h3"}}, &quic.Config{EnableDatagrams: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.CloseWithError(0x100, "") }()
	client := e.http3().NewClientConn(connection)
	select {
	case <-client.ReceivedSettings():
	case <-ctx.Done():
		t.Fatal("no settings come")
	}
	if !client.Settings().EnableExtendedConnect {
		t.Fatal("the edge does not offer it")
	}
	stream, err := client.OpenRequestStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodConnect, laneURL(0), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Proto = "websocket"
	request.Header.Set("Sec-WebSocket-Version", "13")
	if err := stream.SendRequestHeader(request); err != nil {
		t.Fatal(err)
	}
	response, err := stream.ReadResponse()
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK || response.Header.Get("Sec-WebSocket-Protocol") != "chat" || response.Header.Get("Upgrade") != "" || response.Header.Get("Connection") != "" {
		t.Errorf("%d %v", response.StatusCode, response.Header)
	}
	if _, err := io.WriteString(stream, "by HTTP/3"); err != nil {
		t.Fatal(err)
	}
	_ = stream.Close()
	if content, err := io.ReadAll(stream); err != nil || string(content) != "hello by HTTP/3" {
		t.Errorf("%q, %v", content, err)
	}
}

func TestEventsComeAtOnceThoughCompressed(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"1.1", "2", "3"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			next := make(chan struct{})
			app := act(t, func(_ int, a *actor) {
				a.request()
				_ = a.say(okLine + "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
				for i := range 3 {
					_ = a.say(chunk(fmt.Sprintf("data: %d\n\n", i)))
					select {
					case <-next: // only once the client has it
					case <-a.ended():
					}
				}
				_ = a.say("0\r\n\r\n")
			})
			e := start(t, site(app.address, "      - {path: /, upstream: app, compress: true}"))
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			request, err := http.NewRequestWithContext(ctx, "GET", "https://localhost/", nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Accept-Encoding", "gzip")
			response, err := e.clients()[version].Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			var events io.Reader = response.Body
			if response.Header.Get("Content-Encoding") == "gzip" {
				if events, err = gzip.NewReader(response.Body); err != nil {
					t.Fatal(err)
				}
			}
			event := make([]byte, 9)
			for i := range 3 {
				if _, err := io.ReadFull(events, event); err != nil || string(event) != fmt.Sprintf("data: %d\n\n", i) {
					t.Fatalf("event %d: %q, %v", i, event, err)
				}
				next <- struct{}{}
			}
			if rest, err := io.ReadAll(events); err != nil || len(rest) > 0 {
				t.Errorf("behind the end %q, %v", rest, err)
			}
		})
	}
}

func TestFieldsOfTheUpstreamsConnectionStayThere(t *testing.T) {
	t.Parallel()
	app := act(t, func(_ int, a *actor) {
		for a.request() != nil {
			_ = a.say(okLine + "Connection: X-Mine, Upgrade\r\nX-Mine: private\r\nKeep-Alive: timeout=private\r\nProxy-Connection: private\r\nUpgrade: h2,h2c\r\nTE: private\r\nAlt-Svc: private\r\n" +
				"X-Request-ID: private\r\nX-Public: 1\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nX_Own: 2\r\n" + sized("ok"))
		}
	})
	e := lanes(t, false, "", "", app.address)
	for version, client := range e.clients() {
		got := do(t, client, "GET", laneURL(0), nil, "")
		if got.StatusCode != http.StatusOK || got.body != "ok" || got.Header.Get("X-Public") != "1" || fmt.Sprint(got.Header["Set-Cookie"]) != "[a=b c=d]" || got.Header.Get("Date") == "" ||
			strings.Contains(fmt.Sprint(got.Header), "private") || got.Header.Get("Upgrade") != "" || got.Header.Get("Connection") != "" {
			t.Errorf("HTTP/%s: %d %q %v", version, got.StatusCode, got.body, got.Header)
		}
	}
}

func TestTrailersPassBothWays(t *testing.T) {
	t.Parallel()
	app := act(t, func(_ int, a *actor) {
		for request := a.request(); request != nil; request = a.request() {
			announced := ""
			if request.URL.Query().Has("announced") {
				announced = "Trailer: X-Sum, X-Other\r\n"
			}
			_ = a.say(okLine + announced + "X-Announced: " + fmt.Sprint(len(request.Header.Values("Trailer"))) + "\r\nTransfer-Encoding: chunked\r\n\r\n" +
				chunk(a.body) + "0\r\nX-Sum: " + request.Trailer.Get("X-Sum") + "\r\nX-Other: a, b\r\n\r\n")
		}
	})
	e := lanes(t, false, "", "", app.address)
	for _, version := range []string{"1.1", "2", "3"} {
		for _, query := range []string{"", "?announced"} {
			request, err := http.NewRequestWithContext(t.Context(), "POST", laneURL(0)+query, io.MultiReader(strings.NewReader("hello")))
			if err != nil {
				t.Fatal(err)
			}
			request.Trailer = http.Header{"X-Sum": {"5d41402a"}}
			response, err := e.clients()[version].Do(request)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if err != nil || string(body) != "hello" || response.Trailer.Get("X-Sum") != "5d41402a" || response.Trailer.Get("X-Other") != "a, b" {
				t.Errorf("HTTP/%s%s: %q, %v, trailers %v", version, query, body, err, response.Trailer)
			}
		}
	}
	// Not announced in HTTP/1.1, whose bytes tell what comes.
	answer := e.raw("POST /000/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n")
	if !strings.Contains(answer, "\r\n0\r\nX-Sum: 1\r\nX-Other: a, b\r\n\r\n") {
		t.Errorf("unannounced: %q", answer)
	}
	// HTTP/1.0 has no place for them.
	if answer := e.raw("POST /000/ HTTP/1.0\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello"); !strings.HasSuffix(answer, "\r\n\r\nhello") {
		t.Errorf("HTTP/1.0: %q", answer)
	}
}

func TestExpectationsOfContinue(t *testing.T) {
	t.Parallel()
	const head = "POST /000/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n"
	answersBody := func(a *actor, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		_ = a.say(okLine + sized(string(body)))
	}
	for name, c := range map[string]struct {
		sends string // at once
		later string // after 100
		part  func(t *testing.T, a *actor, request *http.Request)
		wants string
	}{
		"the upstream wants it": {head + "\r\n", "hello", func(t *testing.T, a *actor, request *http.Request) {
			if request.Header.Get("Expect") == "" || a.in.Buffered() > 0 {
				t.Error("the upstream is not asked")
			}
			_ = a.say("HTTP/1.1 100 Continue\r\n\r\n")
			answersBody(a, request)
		}, "100 200"},
		"the upstream refuses it": {head + "\r\n", "", func(t *testing.T, a *actor, _ *http.Request) {
			_ = a.say("HTTP/1.1 403 Forbidden\r\n" + sized("no"))
			if rest, _ := io.ReadAll(a.in); len(rest) > 0 {
				t.Errorf("content comes to an upstream that refused it: %q", rest)
			}
		}, "403"},
		"the upstream expects nothing either": {head + "\r\n", "", func(_ *testing.T, a *actor, _ *http.Request) {
			_ = a.say("HTTP/1.1 417 Expectation Failed\r\n" + sized("no"))
		}, "417"},
		"the upstream redirects": {head + "\r\n", "", func(_ *testing.T, a *actor, _ *http.Request) {
			_ = a.say("HTTP/1.1 307 Temporary Redirect\r\nLocation: /x\r\n" + sized(""))
		}, "307"},
		"the upstream waits for it silently": {head + "\r\n", "hello", func(_ *testing.T, a *actor, request *http.Request) { answersBody(a, request) }, "100 200"},
		"the upstream wants it, then refuses": {head + "\r\n", "hello", func(_ *testing.T, a *actor, request *http.Request) {
			_ = a.say("HTTP/1.1 100 Continue\r\n\r\n")
			_, _ = io.ReadAll(request.Body)
			_ = a.say("HTTP/1.1 403 Forbidden\r\n" + sized("no"))
		}, "100 403"},
		"the client does not wait": {head + "\r\nhello", "", func(_ *testing.T, a *actor, request *http.Request) { answersBody(a, request) }, "200|100 200"},
		"the client does not wait, the upstream says so all the same": {head + "\r\nhello", "", func(_ *testing.T, a *actor, request *http.Request) {
			_ = a.say("HTTP/1.1 100 Continue\r\n\r\n")
			answersBody(a, request)
		}, "200|100 200"},
		"there is no content": {"POST /000/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n", "", func(_ *testing.T, a *actor, request *http.Request) {
			answersBody(a, request)
		}, "200"},
		"it is a GET": {"GET /000/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\n\r\n", "", func(_ *testing.T, a *actor, request *http.Request) { answersBody(a, request) }, "200"},
		"in chunks": {"POST /000/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", func(_ *testing.T, a *actor, request *http.Request) {
			_ = a.say("HTTP/1.1 100 Continue\r\n\r\n")
			answersBody(a, request)
		}, "100 200"},
		"nobody asked for 100": {"POST /000/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", "", func(_ *testing.T, a *actor, request *http.Request) {
			_ = a.say("HTTP/1.1 100 Continue\r\n\r\n")
			answersBody(a, request)
		}, "200"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := act(t, func(_ int, a *actor) {
				if request := a.head(); request != nil {
					c.part(t, a, request)
				}
			})
			e := lanes(t, false, "", "", app.address)
			connection := e.connect()
			_, _ = io.WriteString(connection, c.sends)
			in, got := bufio.NewReader(connection), ""
			for {
				response, err := http.ReadResponse(in, nil)
				if err != nil {
					break
				}
				body, err := io.ReadAll(response.Body)
				if err != nil {
					t.Error(err)
				}
				got = strings.TrimSpace(fmt.Sprint(got, " ", response.StatusCode))
				if response.StatusCode == http.StatusContinue {
					_, _ = io.WriteString(connection, c.later)
				}
				if wants := map[bool]string{true: "hello"}[strings.Contains(c.sends+c.later, "hello")]; response.StatusCode == http.StatusOK && string(body) != wants {
					t.Errorf("the upstream got %q", body)
				}
			}
			if !oneOf(got, c.wants) {
				t.Errorf("the client sees %q, want %q", got, c.wants)
			}
		})
	}
}

func TestExpectationsOfContinueByHTTP2AndHTTP3(t *testing.T) {
	t.Parallel()
	app := act(t, func(_ int, a *actor) {
		for request := a.head(); request != nil; request = a.head() {
			if request.URL.Query().Has("no") {
				_ = a.say("HTTP/1.1 403 Forbidden\r\nConnection: close\r\n" + sized("no"))
				return
			}
			_ = a.say("HTTP/1.1 100 Continue\r\n\r\n")
			body, err := io.ReadAll(request.Body)
			if err != nil {
				return
			}
			_ = a.say(okLine + sized(string(body)))
		}
	})
	e := lanes(t, false, "", "", app.address)
	for version, client := range e.clients() {
		if transport, ok := client.Transport.(*http.Transport); ok {
			transport.ExpectContinueTimeout = time.Hour // it sends nothing before it is told to
		}
		for query, wants := range map[string]int{"?yes": http.StatusOK, "?no": http.StatusForbidden} {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			got, err := try(ctx, client, "POST", laneURL(0)+query, http.Header{"Expect": {"100-continue"}}, "hello")
			cancel()
			if err != nil || got.StatusCode != wants || wants == http.StatusOK && got.body != "hello" {
				t.Errorf("HTTP/%s%s: %d %q, %v", version, query, got.StatusCode, got.body, err)
			}
		}
	}
}
