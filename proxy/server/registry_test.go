package server_test

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/portico-web/portico/proxy/message"
	"github.com/portico-web/portico/proxy/server"
)

func TestAtTheBoundIdleConnectionsMakeRoom(t *testing.T) {
	t.Parallel()
	settings := server.Settings{HTTP: "127.0.0.1:0", HTTPS: "127.0.0.1:0", HTTP3: true, Connections: 2}
	arrived, proceed := make(chan bool, 1), make(chan struct{})
	e := start(t, options{settings: settings, handler: func(stream message.Stream) {
		if stream.Head().Path == "/slow" {
			arrived <- true
			<-proceed
		}
		reply(stream, 200, "ok")
	}})
	active := e.dial(false).send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	within(t, arrived, "the slow request")
	for range 3 {
		idle := e.dial(false)
		idle.send(get).expect(200, "ok")
		next := e.dial(true)
		next.send(get).expect(200, "ok")
		idle.ended() // for the next one's sake
	}
	for version, client := range e.codecs() {
		if _, content := fetch(t, client, newRequest("GET", "/", nil)); content != "ok" {
			t.Errorf("%s: %q", version, content)
		}
	}
	close(proceed)
	active.expect(200, "ok")
}

func TestAtTheBoundOfBusyConnectionsOthersWait(t *testing.T) {
	t.Parallel()
	arrived, proceed := make(chan bool, 1), make(chan struct{})
	e := start(t, options{settings: server.Settings{HTTP: "127.0.0.1:0", Connections: 1}, handler: func(stream message.Stream) {
		arrived <- true
		<-proceed
		reply(stream, 200, "ok")
	}})
	first := e.dial(false).send(get)
	within(t, arrived, "the first request")
	second := e.dial(false).send(get)
	_ = second.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if _, err := second.Read(make([]byte, 1)); !errors.Is(err, errTimeout) {
		t.Errorf("the second request was not kept waiting: %v", err)
	}
	_ = second.SetDeadline(time.Now().Add(soon))
	close(proceed)
	first.expect(200, "ok")
	within(t, arrived, "the second request")
	second.expect(200, "ok")
}

func TestAHeadThatDoesNotComeToItsEndMakesRoom(t *testing.T) {
	t.Parallel()
	settings := server.Settings{HTTP: "127.0.0.1:0", HTTPS: "127.0.0.1:0", Connections: 1, ReadHeaderTimeout: time.Hour}
	e := start(t, options{settings: settings, handler: text("ok")})
	for _, secure := range []bool{false, true} {
		first := e.dial(secure).send("GET / HTTP/1.1\r\n")
		e.dial(secure).send(get).expect(200, "ok")
		first.evicted()
		pipelined := e.dial(secure).send(get + "GET / HTTP/1.1\r\n")
		pipelined.expect(200, "ok")
		e.dial(secure).send(get).expect(200, "ok")
		pipelined.evicted()
	}
}

func TestTheTimeOfAConnectionBeginsWhenThereIsRoomForIt(t *testing.T) {
	t.Parallel()
	const patience = 2 * time.Second
	arrived, proceed := make(chan bool, 1), make(chan struct{})
	settings := server.Settings{HTTP: "127.0.0.1:0", HTTPS: "127.0.0.1:0", Connections: 1, ReadHeaderTimeout: patience}
	e := start(t, options{settings: settings, handler: func(stream message.Stream) {
		if stream.TLS() == nil {
			arrived <- true
			<-proceed
		}
		reply(stream, 200, "ok")
	}})
	first := e.dial(false).send(get)
	within(t, arrived, "the first request")
	time.AfterFunc(patience+patience/4, func() { close(proceed) })
	e.dial(true).send(get).expect(200, "ok")
	first.expect(200, "ok")
}

func TestAConnectionThatWaitsForRoomEndsWithTheServer(t *testing.T) {
	t.Parallel()
	arrived, proceed := make(chan bool, 1), make(chan struct{})
	e := start(t, options{settings: server.Settings{HTTP: "127.0.0.1:0", Connections: 1}, handler: func(stream message.Stream) {
		arrived <- true
		<-proceed
		reply(stream, 200, "ok")
	}})
	first := e.dial(false).send(get)
	within(t, arrived, "the first request")
	second := e.dial(false).send(get)
	e.cancel()
	if _, err := http.ReadResponse(second.reader, nil); err == nil || errors.Is(err, errTimeout) {
		t.Errorf("the connection without room: %v", err)
	}
	close(proceed)
	first.expect(200, "ok")
	e.stop()
}

func TestHTTPSWithoutTLSIsAnError(t *testing.T) {
	t.Parallel()
	listeners, err := server.Listen(server.Settings{HTTPS: "127.0.0.1:0"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if listeners.Serve(context.Background(), server.Handlers{}, nil, slog.New(slog.DiscardHandler)) == nil {
		t.Error("no error")
	}
}

func TestTheProtocolIsNegotiated(t *testing.T) {
	t.Parallel()
	config := serverTLS()
	config.NextProtos = []string{"h2", "http/1.1", "acme-tls/1"}
	e := start(t, options{handler: text("ok"), tls: config})
	for protocol, served := range map[string]bool{"http/1.1": true, "acme-tls/1": false} {
		conn, err := tls.Dial("tcp", e.secure, clientTLS(protocol))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(soon))
		c := &client{Conn: conn, t: t, reader: newReader(conn)}
		if served {
			c.send(get).expect(200, "ok")
		} else {
			c.ended()
		}
	}
	if conn, err := tls.Dial("tcp", e.secure, clientTLS("other")); err == nil {
		_ = conn.Close()
		t.Error("an unknown protocol was agreed upon")
	}
}
