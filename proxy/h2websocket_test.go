package proxy_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"golang.org/x/net/http2"
)

// chatLeft is the status with which chat leaves.
const chatLeft websocket.StatusCode = 4001

// chat answers each message of a WebSocket, and does what some ask for. It returns why the WebSocket ended.
func chat(w http.ResponseWriter, r *http.Request) error {
	connection, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"chat"}})
	if err != nil {
		return err
	}
	defer connection.CloseNow()
	connection.SetReadLimit(-1)
	for {
		kind, message, err := connection.Read(r.Context())
		if err != nil {
			return err
		}
		switch string(message) {
		case "leave":
			return connection.Close(chatLeft, "as you wish")
		case "break":
			return connection.CloseNow()
		case "flood":
			message = noise(4 << 20)
		}
		if err := connection.Write(r.Context(), kind, append([]byte("echo "), message...)); err != nil {
			return err
		}
	}
}

// chatRoom is an edge with chat behind it.
type chatRoom struct {
	*edge
	ended chan error // why a WebSocket ended, from the upstream's view
}

func newChatRoom(t *testing.T, limits string) *chatRoom {
	t.Helper()
	room := &chatRoom{ended: make(chan error, 8)}
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ws":
			room.ended <- chat(w, r)
		case "/refuse":
			http.Error(w, "not you", http.StatusForbidden)
		default:
			_, _ = io.WriteString(w, "served")
		}
	})
	room.edge = start(t, limits+site(app, `      - {path: /, upstream: app, compress: true}`))
	return room
}

// talk is a WebSocket, and the stream of HTTP/2 that it runs over.
type talk struct {
	*websocket.Conn
	t    *testing.T
	flow *h2flow
}

// noting is an h2wire that notes the last stream.
type noting struct {
	*h2wire
	flow *h2flow
}

func (n *noting) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := n.h2wire.RoundTrip(r)
	if err == nil {
		n.flow, _ = answer.Body.(*h2flow)
	}
	return answer, err
}

// enter opens a WebSocket over the connection.
func enter(t *testing.T, wire *h2wire) talk {
	t.Helper()
	over := &noting{h2wire: wire}
	connection, response, err := websocket.Dial(t.Context(), "wss://localhost/ws", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: over}, Subprotocols: []string{"chat"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.CloseNow() })
	connection.SetReadLimit(-1)
	if connection.Subprotocol() != "chat" || response.Header.Get("X-Request-Id") == "" {
		t.Errorf("subprotocol %q, header %v", connection.Subprotocol(), response.Header)
	}
	return talk{connection, t, over.flow}
}

func (s talk) say(message string) {
	s.t.Helper()
	s.send(message)
	s.hear("echo " + message)
}

func (s talk) send(message string) {
	s.t.Helper()
	if err := s.Write(s.t.Context(), websocket.MessageText, []byte(message)); err != nil {
		s.t.Fatal(err)
	}
}

func (s talk) hear(want string) {
	s.t.Helper()
	if _, got, err := s.Read(s.t.Context()); err != nil || string(got) != want {
		s.t.Fatalf("%d bytes, %.100q, %v", len(got), got, err)
	}
}

// ends waits for the stream's end, which has to be a sound one.
func (s talk) ends() {
	s.t.Helper()
	if rest, err := io.ReadAll(s.flow); err != nil || len(rest) > 0 {
		s.t.Errorf("the stream ends with %q, %v", rest, err)
	}
}

// served tells whether the connection serves other requests.
func served(t *testing.T, wire *h2wire) {
	t.Helper()
	if got := do(t, &http.Client{Transport: wire}, http.MethodGet, "https://localhost/", nil, ""); got.StatusCode != http.StatusOK || got.body != "served" {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
}

func TestWebSocketsPassOverHTTP2(t *testing.T) {
	t.Parallel()
	room := newChatRoom(t, "")
	wire := room.wire()
	if wire.setting(http2.SettingEnableConnectProtocol) != 1 {
		t.Fatal("the edge does not say that it knows extended CONNECT")
	}
	first, second := enter(t, wire), enter(t, wire)
	first.say("hello")
	first.say(strings.Repeat("long ", 200_000)) // many windows
	second.say("as well")
	served(t, wire)
	if err := room.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	first.say("after a reload")

	if err := first.Close(4002, "going"); err != nil {
		t.Error(err)
	}
	if got := <-room.ended; websocket.CloseStatus(got) != 4002 {
		t.Errorf("the upstream sees the client leave with %v", got)
	}
	first.ends()

	second.send("leave")
	if _, _, err := second.Read(t.Context()); websocket.CloseStatus(err) != chatLeft {
		t.Errorf("the client sees the upstream leave with %v", err)
	}
	if got := <-room.ended; got != nil {
		t.Error(got)
	}
	second.ends()
	served(t, wire)
}

func TestAWebSocketOverHTTP2ThatNobodyReadsHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	room := newChatRoom(t, "")
	wire := room.wire()
	idle, busy := enter(t, wire), enter(t, wire)
	idle.send("flood")
	busy.say(strings.Repeat("long ", 200_000))
	served(t, wire)
	idle.hear("echo " + string(noise(4<<20)))
	idle.say("after all")
}

func TestAWebSocketOverHTTP2EndsWithWhatCarriesIt(t *testing.T) {
	t.Parallel()
	room := newChatRoom(t, "")
	wire, other := room.wire(), room.wire()

	reset := enter(t, wire)
	reset.say("hello")
	if err := reset.flow.reset(); err != nil {
		t.Fatal(err)
	}
	if got := <-room.ended; got == nil {
		t.Error("the upstream does not learn that the client reset the stream")
	}

	broken := enter(t, wire)
	broken.send("break")
	if _, _, err := broken.Read(t.Context()); err == nil {
		t.Error("the client does not learn that the upstream broke off")
	}
	if got := <-room.ended; got != nil {
		t.Error(got)
	}
	served(t, wire)

	lost := enter(t, other)
	lost.say("hello")
	other.close()
	if got := <-room.ended; got == nil {
		t.Error("the upstream does not learn that the client's connection broke")
	}
}

func TestAWebSocketOverHTTP2MayBeRefused(t *testing.T) {
	t.Parallel()
	wire := newChatRoom(t, "").wire()
	_, response, err := websocket.Dial(t.Context(), "wss://localhost/refuse", &websocket.DialOptions{HTTPClient: &http.Client{Transport: wire}})
	if err == nil || response == nil {
		t.Fatalf("%v, %v", response, err)
	}
	if content, err := io.ReadAll(response.Body); response.StatusCode != http.StatusForbidden || string(content) != "not you\n" || err != nil {
		t.Errorf("%d %q, %v", response.StatusCode, content, err)
	}
	served(t, wire)
}

func TestAWebSocketOverHTTP2MayBeSilent(t *testing.T) {
	t.Parallel()
	room := newChatRoom(t, "limits: {read_header_timeout: 500ms, stall_timeout: 500ms, body_rate_grace: 500ms, idle_timeout: 1s}\n")
	silent := enter(t, room.wire())
	silent.say("hello")
	idle := room.wire() // opened later, and so idle for a shorter time
	served(t, idle)
	<-idle.ended
	silent.say("still here")
}

func TestAWebSocketOverHTTP2EndsWithTheEdge(t *testing.T) {
	t.Parallel()
	room := newChatRoom(t, "")
	wire := room.wire()
	s := enter(t, wire)
	s.say("hello")
	stopped := make(chan error, 1)
	go func() { stopped <- room.stop() }()
	if !wire.leaving() {
		t.Error("the edge leaves without a GOAWAY")
	}
	if _, _, err := s.Read(t.Context()); err == nil {
		t.Error("the WebSocket outlives the edge")
	}
	if got := <-room.ended; got == nil {
		t.Error("the upstream does not learn of the end")
	}
	if err := <-stopped; err != nil {
		t.Errorf("a WebSocket keeps the edge from stopping: %v", err)
	}
}
