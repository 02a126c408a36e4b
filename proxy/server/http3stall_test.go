package server_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/portico-web/portico/proxy/message"
)

// A client of HTTP/3 may leave no room even for the head of an answer, which must not keep its request waiting for ever.
func TestHeadsThatTheClientTakesNoneOfAreGivenUp(t *testing.T) {
	t.Parallel()
	large := func(status int) *message.Head { // more than the codec writes ahead
		head := &message.Head{Status: status}
		head.Add(message.Location, strings.Repeat("x", 16<<10))
		return head
	}
	for name, handler := range map[string]message.Handler{
		"a final head": func(stream message.Stream) {
			if stream.Answer(large(308)) == nil {
				_ = stream.End(nil)
			}
		},
		"an interim head": func(stream message.Stream) { _ = stream.Interim(large(103)) },
		"a tunnel": func(stream message.Stream) {
			if tunnel, err := stream.Tunnel(large(101)); err == nil {
				_ = tunnel.Close()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := both()
			settings.StallTimeout, settings.Streams = 300*time.Millisecond, 1
			e := start(t, options{settings: settings, handler: handler})
			ctx, cancel := context.WithTimeout(context.Background(), soon)
			defer cancel()
			connection, err := quic.DialAddr(ctx, e.secure, clientTLS("h3"), &quic.Config{InitialStreamReceiveWindow: 1, MaxStreamReceiveWindow: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = connection.CloseWithError(0, "") }()
			client := (&http3.Transport{}).NewClientConn(connection)
			for range 2 { // the second when the first has ended
				stream, err := client.OpenRequestStream(ctx)
				if err != nil {
					t.Fatal(err)
				}
				request := newRequest("GET", "/", nil)
				if name == "a tunnel" {
					request.Method, request.Proto = "CONNECT", "websocket"
				}
				if err := stream.SendRequestHeader(request); err != nil {
					t.Fatal(err)
				}
				_ = stream.Close()
			}
		})
	}
}
