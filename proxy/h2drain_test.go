package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A request may fail only because the edge is no longer there, and then no upstream has seen it: clients are told which of
// their requests were the last, and wait for those.
func TestAnEdgeThatStopsUnderLoadByHTTP2LosesNoRequest(t *testing.T) {
	t.Parallel()
	var seen sync.Map // the request, by its content
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		id, _ := io.ReadAll(r.Body)
		if _, twice := seen.Swap(string(id), true); twice {
			t.Errorf("request %s came twice", id)
		}
		_, _ = w.Write(id)
	})
	e := startQuiet(t, site(app, `      - {path: /, upstream: app}`))
	var clients sync.WaitGroup
	var answered atomic.Int64
	begun := make(chan struct{}, 1)
	for i := range 4 {
		client := e.client(true)
		for j := range 16 { // of one connection
			clients.Go(func() {
				for k := 0; ; k++ {
					id := fmt.Sprintf("%d-%d-%d", i, j, k)
					got, err := try(t.Context(), client, http.MethodPost, "https://localhost/", nil, id)
					_, came := seen.Load(id)
					switch {
					case err == nil && (got.StatusCode != http.StatusOK || got.body != id || got.ProtoMajor != 2):
						t.Errorf("request %s: %s %s %q", id, got.Proto, got.Status, got.body)
					case err != nil && (came || !strings.Contains(err.Error(), "connection refused")):
						t.Errorf("request %s, which the upstream has seen: %v: %v", id, came, err)
					}
					if err != nil {
						return
					}
					if answered.Add(1) == 500 {
						begun <- struct{}{}
					}
				}
			})
		}
	}
	select {
	case <-begun:
	case <-time.After(patience):
		t.Error("nothing is answered")
	}
	if err := e.stop(); err != nil {
		t.Error(err)
	}
	clients.Wait()
}
