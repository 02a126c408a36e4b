package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// refusing is an address on which nobody listens.
func refusing(t *testing.T) string {
	t.Helper()
	// Bound and never listening: nobody else gets the port meanwhile.
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	syscall.CloseOnExec(socket)
	t.Cleanup(func() { _ = syscall.Close(socket) })
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	address, err := syscall.Getsockname(socket)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", address.(*syscall.SockaddrInet4).Port)
}

func TestATargetThatRefusesIsPassedOverForAnyMethod(t *testing.T) {
	t.Parallel()
	for _, balance := range []string{"round_robin", "least_conn"} {
		e := start(t, fmt.Sprintf("upstreams: {app: {targets: [%q, %q, %q], balance: %s}}\nsites: [{hosts: [localhost], routes: [{path: /, upstream: app}]}]",
			refusing(t), refusing(t), echo(t), balance))
		for _, method := range []string{"GET", "POST", "DELETE"} {
			for range 4 {
				body := strings.Repeat("a body that is sent once ", 1000)
				if sent := do(t, e.client(true), method, "https://localhost/", nil, body).seen(t); sent.Method != method || sent.Body != body {
					t.Errorf("%s %s: %d bytes arrive", balance, method, len(sent.Body))
				}
			}
		}
	}
}

func TestOneLineTellsOfAllTargetsThatRefuseARequest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		others []string
		status int
	}{{nil, http.StatusBadGateway}, {[]string{echo(t)}, http.StatusOK}} {
		var targets []string
		for range 20 {
			targets = append(targets, refusing(t))
		}
		e := start(t, several("", append(targets, c.others...)...))
		if got := e.get("https://localhost/"); got.StatusCode != c.status {
			t.Errorf("%d, want %d", got.StatusCode, c.status)
		}
		log := e.log.String()
		if strings.Count(log, "upstream target takes no connection") != 1 || !strings.Contains(log, `"targets":20`) || !strings.Contains(log, `connection refused`) {
			t.Errorf("with %d others:\n%s", len(c.others), log)
		}
	}
}

func TestARequestThatReachedATargetIsNotRepeated(t *testing.T) {
	t.Parallel()
	var times atomic.Int64
	count := func(w http.ResponseWriter, r *http.Request) {
		times.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	}
	e := start(t, fmt.Sprintf("upstreams: {app: {targets: [%q, %q]}}\nsites: [{hosts: [localhost], routes: [{path: /, upstream: app}]}]", serve(t, count), serve(t, count)))
	got := do(t, e.client(true), http.MethodPost, "https://localhost/", nil, "pay")
	if got.StatusCode != http.StatusBadGateway || times.Load() != 1 {
		t.Errorf("%d, sent %d times", got.StatusCode, times.Load())
	}
}

func TestRequestsGoInTurn(t *testing.T) {
	t.Parallel()
	var targets []string
	for i := range 3 {
		targets = append(targets, fmt.Sprintf("%q", serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, i) })))
	}
	e := start(t, "upstreams: {app: {targets: ["+strings.Join(targets, ", ")+"]}}\nsites: [{hosts: [localhost], routes: [{path: /, upstream: app}]}]")
	client, order := e.client(true), ""
	for range 6 {
		order += do(t, client, http.MethodGet, "https://localhost/", nil, "").body
	}
	if order != "012012" {
		t.Error(order)
	}
}

func TestTheTargetWithLeastWorkIsChosen(t *testing.T) {
	t.Parallel()
	busy, release := make(chan struct{}, 1), make(chan struct{})
	handler := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				busy <- struct{}{}
				<-release
			}
			_, _ = io.WriteString(w, name)
		}
	}
	e := start(t, fmt.Sprintf("upstreams: {app: {targets: [%q, %q], balance: least_conn}}\nsites: [{hosts: [localhost], routes: [{path: /, upstream: app}]}]",
		serve(t, handler("a")), serve(t, handler("b"))))
	client := e.client(true)
	slow := make(chan string)
	go func() {
		got, _ := try(t.Context(), client, http.MethodGet, "https://localhost/slow", nil, "")
		slow <- got.body
	}()
	<-busy
	names := map[string]int{}
	for range 5 {
		names[do(t, client, http.MethodGet, "https://localhost/", nil, "").body]++
	}
	close(release)
	if chosen := <-slow; names[chosen] != 0 || len(names) != 1 {
		t.Errorf("%s was busy, answers came from %v", chosen, names)
	}
}

func TestProbesTakeATargetOutAndBackIn(t *testing.T) {
	t.Parallel()
	var ill atomic.Bool
	probes := make(chan struct{})
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			return
		}
		if ill.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		select {
		case probes <- struct{}{}:
		case <-r.Context().Done():
		}
	}))
	defer app.Close()
	host, port, _ := net.SplitHostPort(strings.TrimPrefix(app.URL, "http://"))
	e := start(t, fmt.Sprintf("upstreams: {app: {targets: [%q], health: {path: /readyz, port: %s, interval: 50ms, timeout: 60s}}}\nsites: [{hosts: [localhost], routes: [{path: /, upstream: app}]}]",
		net.JoinHostPort(host, port), port))
	client := e.client(true)
	// Each probe waits for its receiver. Of a probe taken after a change, the answer shows the change; once the next one
	// is taken, the edge has drawn its conclusion.
	ask := func() answer {
		for range 3 {
			<-probes
		}
		return do(t, client, http.MethodGet, "https://localhost/", nil, "")
	}
	if got := ask(); got.StatusCode != http.StatusOK {
		t.Fatalf("healthy: %d", got.StatusCode)
	}
	ill.Store(true)
	if got := ask(); got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
		t.Errorf("ill: %d %v", got.StatusCode, got.Header)
	}
	if !strings.Contains(e.metrics(), `portico_edge_upstream_healthy{target="`+app.URL+`",upstream="app"} 0`) {
		t.Error("the metrics call it healthy")
	}
	ill.Store(false)
	if got := ask(); got.StatusCode != http.StatusOK {
		t.Errorf("healthy again: %d", got.StatusCode)
	}
}

func TestABodyBeyondTheLimitIsRefused(t *testing.T) {
	t.Parallel()
	e := start(t, "limits: {body_bytes: 10}\n"+site(echo(t), `      - {path: /, upstream: app}`))
	client := e.client(true)
	if sent := do(t, client, http.MethodPost, "https://localhost/", nil, "0123456789").seen(t); sent.Body != "0123456789" {
		t.Errorf("%q arrives", sent.Body)
	}
	if got := do(t, client, http.MethodPost, "https://localhost/", nil, "0123456789x"); got.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("announced: %d", got.StatusCode)
	}
	unannounced := e.raw("POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n0123456789x\r\n0\r\n\r\n")
	if !strings.HasPrefix(unannounced, "HTTP/1.1 413") {
		t.Errorf("unannounced: %s", unannounced)
	}
}

func TestExpectContinueAsksTheUpstreamFirst(t *testing.T) {
	t.Parallel()
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			w.WriteHeader(http.StatusForbidden) // without reading, so without 100 Continue
			return
		}
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	})
	e := start(t, site(app, `      - {path: /, upstream: app}`))
	connect := func(path string) (net.Conn, *bufio.Reader) {
		connection, err := e.dialTLS()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(connection, "POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", path)
		return connection, bufio.NewReader(connection)
	}
	connection, answers := connect("/yes")
	defer connection.Close()
	if line, err := answers.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") {
		t.Fatalf("%q, %v", line, err)
	}
	_, _ = io.WriteString(connection, "hello")
	if rest, err := io.ReadAll(answers); err != nil || !strings.Contains(string(rest), "HTTP/1.1 200") || !strings.HasSuffix(string(rest), "hello") {
		t.Errorf("%s, %v", rest, err)
	}
	refused, answers := connect("/no")
	defer refused.Close()
	if line, err := answers.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 403") {
		t.Errorf("%q, %v", line, err)
	}
}

// answering is an upstream that reads a request's head and answers these bytes to it; the connection stays open.
func answering(t *testing.T, text string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = connection.Close() })
			if _, err := http.ReadRequest(bufio.NewReader(connection)); err == nil {
				_, _ = io.WriteString(connection, text)
			}
		}
	}()
	return listener.Addr().String()
}

func TestAStatusThatIsNoneIsABadGateway(t *testing.T) {
	t.Parallel()
	e := start(t, site(answering(t, "HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\nhi"), `      - {path: /, upstream: app}`))
	got := e.get("https://localhost/")
	if got.StatusCode != http.StatusBadGateway || !strings.Contains(got.body, "did not answer") {
		t.Errorf("%d %q", got.StatusCode, got.body)
	}
}

func TestAClientThatStallsIsNotWaitedForForEver(t *testing.T) {
	t.Parallel()
	const stalled = "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nabc"
	for name, c := range map[string]struct{ app, path, want string }{
		"in a body":                {echo(t), "/", "HTTP/1.1 408"},
		"in a body nobody reads":   {echo(t), "/files", "HTTP/1.1 405"},
		"in a body answered early": {answering(t, "HTTP/1.1 413 Big\r\nContent-Length: 3\r\n\r\nbig"), "/", "HTTP/1.1 413"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t, "limits: {stall_timeout: 100ms}\n"+site(c.app, "      - {path: /, upstream: app}\n      - {path: /files, files: {root: \""+t.TempDir()+"\"}}"))
			if answer := e.raw(fmt.Sprintf(stalled, c.path)); !strings.HasPrefix(answer, c.want) {
				t.Errorf("%s", answer)
			}
		})
	}
}

func TestAClientThatTakesNothingInIsNotWaitedForForEver(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var err error
		for piece := make([]byte, 64<<10); err == nil; {
			_, err = w.Write(piece)
		}
		ended <- err
	})
	e := start(t, "limits: {stall_timeout: 100ms}\n"+site(app, `      - {path: /, upstream: app}`))
	connection, err := e.dialTLS()
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_, _ = io.WriteString(connection, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if err := <-ended; err == nil {
		t.Error("the upstream wrote without end")
	}
}

func TestAStreamMayBeSilentForLongerThanAClientMayStall(t *testing.T) {
	t.Parallel()
	more := make(chan struct{})
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "one ")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-more:
			_, _ = io.WriteString(w, "two")
		case <-r.Context().Done():
		}
	})
	e := start(t, "limits: {stall_timeout: 50ms}\n"+site(app, `      - {path: /, upstream: app}`))
	for name, client := range map[string]*http.Client{"1.1": e.client(false), "2": e.client(true), "3": {Transport: e.http3()}} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://localhost/", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		// Silence cannot be waited for by a signal: four times as long as a client may stall.
		<-time.After(200 * time.Millisecond)
		more <- struct{}{}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || string(body) != "one two" {
			t.Errorf("HTTP/%s: %q, %v", name, body, err)
		}
	}
}

func TestATargetThatHangsUpIsABadGateway(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		connection, err := listener.Accept()
		if err == nil {
			_ = connection.Close() // taken, and broken before an answer
		}
	}()
	e := start(t, site(listener.Addr().String(), `      - {path: /, upstream: app}`))
	got := do(t, e.client(true), http.MethodPost, "https://localhost/", nil, "x")
	if got.StatusCode != http.StatusBadGateway {
		t.Error(got.StatusCode)
	}
}
