package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/coder/websocket"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func TestWebSocketsPass(t *testing.T) {
	t.Parallel()
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		connection, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"chat"}})
		if err != nil {
			return
		}
		defer connection.CloseNow()
		for {
			kind, message, err := connection.Read(r.Context())
			if err != nil {
				return
			}
			if err := connection.Write(r.Context(), kind, append([]byte("echo "), message...)); err != nil {
				return
			}
		}
	})
	e := start(t, site(app, `      - {path: /, upstream: app, compress: true}`))
	connection, response, err := websocket.Dial(t.Context(), "wss://localhost/ws", &websocket.DialOptions{
		HTTPClient: e.client(false), Subprotocols: []string{"chat"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer connection.CloseNow()
	if connection.Subprotocol() != "chat" || response.Header.Get("X-Request-Id") == "" {
		t.Errorf("subprotocol %q, header %v", connection.Subprotocol(), response.Header)
	}
	say := func(message string) {
		t.Helper()
		if err := connection.Write(t.Context(), websocket.MessageText, []byte(message)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := connection.Read(t.Context()); err != nil || string(got) != "echo "+message {
			t.Fatalf("%q, %v", got, err)
		}
	}
	say("hello")
	say(strings.Repeat("long ", 4000))
	if err := e.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	say("after a reload")
	if err := e.stop(); err != nil {
		t.Errorf("a WebSocket keeps the edge from stopping: %v", err)
	}
	if _, _, err := connection.Read(t.Context()); err == nil {
		t.Error("the WebSocket outlives the edge")
	}
}

func TestEventsPassOneByOneAndEndWithTheEdge(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprint("http2=", http2), func(t *testing.T) {
			t.Parallel()
			next := make(chan struct{})
			app := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
				w.WriteHeader(http.StatusOK)
				_ = http.NewResponseController(w).Flush()
				for i := 1; ; i++ {
					select {
					case <-r.Context().Done():
						return
					case <-next:
					}
					fmt.Fprintf(w, "data: %d\n\n", i)
					_ = http.NewResponseController(w).Flush()
				}
			})
			e := start(t, site(app, `      - {path: /, upstream: app, compress: true}`))
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://localhost/", nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Accept-Encoding", "gzip, deflate, br, zstd")
			response, err := e.client(http2).Do(request) // comes back: the head is not held up
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			lines := bufio.NewScanner(response.Body)
			for i := 1; i <= 3; i++ {
				next <- struct{}{} // the next event is made only after this one arrived
				if !lines.Scan() || lines.Text() != fmt.Sprint("data: ", i) || !lines.Scan() {
					t.Fatalf("event %d: %q, %v", i, lines.Text(), lines.Err())
				}
			}
			if err := e.stop(); err != nil {
				t.Errorf("a stream keeps the edge from stopping: %v", err)
			}
			if lines.Scan() || lines.Err() != nil {
				t.Errorf("the stream ends with %q, %v", lines.Text(), lines.Err())
			}
		})
	}
}

func TestUncompressedAndCompressedStreamsAreFlushed(t *testing.T) {
	t.Parallel()
	proceed := make(chan struct{})
	app := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"first":1}`)
		_ = http.NewResponseController(w).Flush()
		<-proceed
		_, _ = io.WriteString(w, `{"second":2}`)
	})
	e := start(t, site(app, "      - {path: /, upstream: app}\n      - {path: /zip/, upstream: app, compress: true}"))
	client := e.client(true)
	for path, coding := range map[string]string{"/": "", "/zip/gzip": "gzip", "/zip/br": "br", "/zip/zstd": "zstd"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://localhost"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Accept-Encoding", coding)
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if response.Header.Get("Content-Encoding") != coding {
			t.Errorf("%s: %v", path, response.Header)
		}
		content, first := decoded(t, response), make([]byte, 11)
		if _, err := io.ReadFull(content, first); err != nil || string(first) != `{"first":1}` {
			t.Errorf("%s: %q, %v", path, first, err)
		}
		proceed <- struct{}{}
		if rest, err := io.ReadAll(content); err != nil || string(rest) != `{"second":2}` {
			t.Errorf("%s: %q, %v", path, rest, err)
		}
		_ = response.Body.Close()
	}
}

// decoded is an answer's content without its coding.
func decoded(t *testing.T, response *http.Response) io.Reader {
	t.Helper()
	switch response.Header.Get("Content-Encoding") {
	case "gzip":
		reader, err := gzip.NewReader(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return reader
	case "br":
		return brotli.NewReader(response.Body)
	case "zstd":
		reader, err := zstd.NewReader(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(reader.Close)
		return reader
	default:
		return response.Body
	}
}

func TestEarlyHintsPassAndKeepTheEdgesOwnFields(t *testing.T) {
	t.Parallel()
	app := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusOK)
	})
	e := start(t, site(app, `      - {path: /, upstream: app, compress: true}`))
	answer := e.raw("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	hints, final, _ := strings.Cut(answer, "\r\n\r\n")
	if !strings.HasPrefix(hints, "HTTP/1.1 103") || !strings.Contains(hints, "Link: </a.css>") ||
		!strings.HasPrefix(final, "HTTP/1.1 200") || strings.Count(strings.ToLower(final), "x-request-id:") != 1 || !strings.Contains(final, "Alt-Svc") {
		t.Error(answer)
	}
}

func TestAnAnswerThatBreaksOffIsNotPassedOffAsWhole(t *testing.T) {
	t.Parallel()
	app := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, strings.Repeat("x", 5000))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	e := start(t, site(app, "      - {path: /, upstream: app}\n      - {path: /zip/, upstream: app, compress: true}"))
	for _, http2 := range []bool{false, true} {
		for _, path := range []string{"/", "/zip/"} {
			_, err := try(t.Context(), e.client(http2), http.MethodGet, "https://localhost"+path, http.Header{"Accept-Encoding": {"gzip"}}, "")
			if err == nil {
				t.Errorf("http2 %v, %s: a truncated answer looks whole", http2, path)
			}
		}
	}
}

func TestAClientThatLeavesEndsTheUpstreamsWork(t *testing.T) {
	t.Parallel()
	began, ended := make(chan struct{}), make(chan struct{})
	app := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		close(ended)
	})
	e := start(t, site(app, `      - {path: /, upstream: app}`))
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-began
		leave()
	}()
	if _, err := try(ctx, e.client(true), http.MethodGet, "https://localhost/", nil, ""); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	<-ended
}

func TestTrailersPass(t *testing.T) {
	t.Parallel()
	app := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.WriteString(w, "body")
		w.Header().Set("X-Sum", "7")
		w.Header().Set(http.TrailerPrefix+"X-Late", "8")
	})
	e := start(t, site(app, `      - {path: /, upstream: app}`))
	for _, http2 := range []bool{false, true} {
		got := do(t, e.client(http2), http.MethodGet, "https://localhost/", nil, "")
		if got.body != "body" || got.Trailer.Get("X-Sum") != "7" || got.Trailer.Get("X-Late") != "8" {
			t.Errorf("http2 %v: %q, %v", http2, got.body, got.Trailer)
		}
	}
}
