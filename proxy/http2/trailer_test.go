package http2_test

import (
	"testing"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/portico-web/portico/proxy/message"
)

// As in HTTP/1.1, what frames or routes a message is refused behind its content, and not just left out.
func TestTrailersThatFrameOrRouteAreMalformed(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{"content-length": "1", "host": "elsewhere", "transfer-encoding": "chunked"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := service{handler: func(stream message.Stream) {
				_, _ = content(stream.Body())
				answer(stream, 200, "")
			}}.dial(t)
			id := p.post("/")
			p.data(id, false, "a")
			p.headers(id, true, []hpack.HeaderField{field(name, value)})
			if r := p.answer(id); !r.reset || r.code != xhttp2.ErrCodeProtocol {
				t.Errorf("%v", r.frames)
			}
			p.alive()
		})
	}
}
