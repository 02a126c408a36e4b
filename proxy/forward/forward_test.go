package forward_test

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/portico-web/portico/proxy/forward"
	"github.com/portico-web/portico/proxy/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAnExchangeAfterTheEndLeavesNoConnection(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			close(closed)
		}
	}
	server.Start()
	defer server.Close()
	pool, err := upstream.New(upstream.Settings{Name: "app", Targets: []string{strings.TrimPrefix(server.URL, "http://")}}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	f := forward.New(pool, &forward.Streams{}, func(w http.ResponseWriter, _ *http.Request, _ forward.Failure) { w.WriteHeader(http.StatusBadGateway) }, slog.New(slog.DiscardHandler))
	f.Close()
	recorder := httptest.NewRecorder()
	f.Forward(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), forward.Exchange{Path: "/"})
	if recorder.Body.String() != "ok" {
		t.Errorf("%d %s", recorder.Code, recorder.Body)
	}
	<-closed
}
