package forward

import (
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6455 wants it, and no secret depends on it
	"encoding/base64"
	"errors"
	"io"
	"net/http"

	"github.com/portico-web/portico/proxy/message"
)

// askToSwitch makes an upgrade of HTTP/1.1 out of the client's wish to switch protocols, in whatever version it came.
func (x *exchange) askToSwitch() {
	x.head.Length, x.head.Expect = 0, false // what the client sends from now on is the other protocol
	if x.head.Method == http.MethodConnect {
		x.head.Method = http.MethodGet
	}
	if !message.EqualFold(x.head.Protocol, "websocket") || x.head.Get(message.SecWebSocketKey) != nil {
		return
	}
	// HTTP/2 and HTTP/3 do without the key (RFC 8441 section 5).
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // it never fails
	key := base64.StdEncoding.EncodeToString(nonce[:])
	x.head.Set(message.SecWebSocketKey, key)
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // as above
	x.accept = base64.StdEncoding.EncodeToString(sum[:])
}

// switchProtocols answers 101 and hands bytes on, both ways, until the end.
func (x *exchange) switchProtocols() error {
	if x.accept != "" {
		if string(x.answer.Get(message.SecWebSocketAccept)) != x.accept {
			return &Failure{BadAnswer, errors.New("the target's Sec-WebSocket-Accept does not fit the key")}
		}
		x.answer.Del(message.SecWebSocketAccept)
	}
	cleanAnswer(&x.answer)
	x.assign()
	client, err := x.stream.Tunnel(&x.answer)
	if err != nil {
		return clientLost(err)
	}
	conn := x.call1.conn
	end := func() {
		_ = client.Close()
		conn.Close()
	}
	stream := x.forwarder.streams.add(x.forwarder, end)
	defer x.forwarder.streams.remove(stream)
	defer end()
	conn.ReadForever()
	ahead := conn.Reader.Detach()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		pump(conn, client, nil, end)
	}()
	pump(client, conn, ahead, end)
	<-sent
	return nil
}

// direction is one end of a tunnel, as what is written to it.
type direction interface {
	io.Writer
	CloseWrite() error
}

// pump hands on what comes from one end of a tunnel to the other, what came ahead first, and its end. If that fails, it ends
// the tunnel.
func pump(to direction, from io.Reader, ahead []byte, end func()) {
	if len(ahead) > 0 {
		if _, err := to.Write(ahead); err != nil {
			end()
			return
		}
	}
	if err := copyAll(to, from); err != nil {
		end()
		return
	}
	if err := to.CloseWrite(); err != nil {
		end()
	}
}

// smallBuffer is enough for a tunnel on which little happens, as on most, most of the time.
const smallBuffer = 2 << 10

// copyAll copies to the end, through a larger buffer only while much comes.
func copyAll(to io.Writer, from io.Reader) error {
	small := make([]byte, smallBuffer)
	var large *buffer
	defer func() {
		if large != nil {
			large.free()
		}
	}()
	for {
		into := small
		if large != nil {
			into = large.bytes[:cap(large.bytes)]
		}
		n, err := from.Read(into)
		if n > 0 {
			if _, err := to.Write(into[:n]); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case large == nil && n == len(small):
			large, _ = buffers.Get().(*buffer)
		case large != nil && n < len(small):
			large.free()
			large = nil
		}
	}
}
