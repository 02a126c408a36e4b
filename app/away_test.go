package app_test

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/portico-web/portico/internal/dbtest"
)

// link is a TCP connection to a server that can be cut, as a server that is killed cuts it.
type link struct {
	t        *testing.T
	address  string
	upstream string
	listener net.Listener
	running  sync.WaitGroup
	mu       sync.Mutex
	conns    []net.Conn
}

func newLink(t *testing.T, upstream string) *link {
	t.Helper()
	l := &link{t: t, address: "127.0.0.1:0", upstream: upstream}
	l.restore()
	t.Cleanup(l.cut)
	return l
}

func (l *link) restore() {
	l.t.Helper()
	var err error
	if l.listener, err = net.Listen("tcp", l.address); err != nil {
		l.t.Fatal(err)
	}
	l.address = l.listener.Addr().String()
	l.running.Go(func() {
		for {
			client, err := l.listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", l.upstream)
			if err != nil {
				_ = client.Close()
				continue
			}
			l.mu.Lock()
			l.conns = append(l.conns, client, server)
			l.mu.Unlock()
			l.carry(client, server)
			l.carry(server, client)
		}
	})
}

func (l *link) carry(to, from net.Conn) {
	l.running.Go(func() {
		_, _ = io.Copy(to, from)
		_, _ = to.Close(), from.Close()
	})
}

func (l *link) cut() {
	_ = l.listener.Close()
	l.mu.Lock()
	for _, conn := range l.conns {
		_ = conn.Close()
	}
	l.conns = nil
	l.mu.Unlock()
	l.running.Wait()
}

func TestRequestsAreAnswered503WhileTheDatabaseIsAwayAndAsEverOnceItIsBack(t *testing.T) {
	t.Parallel()
	database, err := url.Parse(dbtest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	postgres := newLink(t, database.Host)
	database.Host = postgres.address
	base := serveOn(t, database.String())

	get := func(path, accept string) (status int, body string, header http.Header) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Accept", accept)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		content, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(content), response.Header
	}
	paths := map[string]string{
		"/api/v1/boards": `{"detail":"The service is not available right now. Please try again in a moment."}`,
		"/":              "Not available right now",
	}
	for range 3 {
		for path := range paths {
			if status, body, _ := get(path, "*/*"); status != http.StatusOK {
				t.Fatalf("%s with a database: %d %.300s", path, status, body)
			}
		}
		postgres.cut()
		for range 4 { // the first ones find connections that are broken, the others none
			for path, contains := range paths {
				status, body, header := get(path, "*/*")
				if status != http.StatusServiceUnavailable || !strings.Contains(body, contains) || header.Get("Retry-After") == "" {
					t.Errorf("%s without a database: %d, Retry-After %q, %.300s", path, status, header.Get("Retry-After"), body)
				}
			}
		}
		postgres.restore()
	}
}
