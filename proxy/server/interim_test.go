package server_test

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strconv"
	"sync"
	"testing"

	"github.com/portico-web/portico/proxy/message"
)

// Clients reset their streams just while interim heads are written; the race detector sees what the codec still holds.
func TestInterimAnswersMayMeetAReset(t *testing.T) {
	t.Parallel()
	onCodecs(t, options{handler: func(stream message.Stream) {
		var head message.Head
		for i := range 50 {
			head.Reset()
			head.Status = 103
			for j := range 20 {
				head.AddNamed("X-"+strconv.Itoa(i)+"-"+strconv.Itoa(j), "hint")
			}
			if stream.Interim(&head) != nil {
				return
			}
		}
	}}, func(_ *testing.T, _ *edge, client *http.Client, _ string) {
		var clients sync.WaitGroup
		for i := range 20 {
			clients.Go(func() {
				for range 5 {
					ctx, cancel := context.WithCancel(t.Context())
					left := i
					ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error {
						if left--; left < 0 {
							cancel()
						}
						return nil
					}})
					if response, err := client.Do(newRequest("GET", "/", nil).WithContext(ctx)); err == nil {
						_ = response.Body.Close()
					}
					cancel()
				}
			})
		}
		clients.Wait()
	})
}
