//go:build containers

package containers

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/coder/websocket"
)

// load is 32 clients of a site, each of which does one thing over and over. A request counts as failed when its connection is
// refused or breaks, or when the answer is not the one that the application gives on a quiet day.
type load struct {
	address string // where the site is
	roots   *x509.CertPool
	token   string // of who posts
	board   int
	flower  string // user:password of the dashboard

	cancel  context.CancelFunc
	clients sync.WaitGroup
	kinds   []*kind

	mu     sync.Mutex
	posted []int // posts that were answered 201
}

// kind is one way of using the site.
type kind struct {
	name     string
	clients  int
	run      func(ctx context.Context, k *kind)
	requests atomic.Int64

	mu       sync.Mutex
	failures []string
}

const site = "https://" + siteName

// failed notes a failure, unless the load was over meanwhile.
func (k *kind) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.failures = append(k.failures, time.Now().Format("15:04:05.000 ")+err.Error())
}

// start lets all clients begin.
func (l *load) start(ctx context.Context) {
	ctx, l.cancel = context.WithCancel(ctx)
	l.kinds = []*kind{
		{name: "GET, HTTP/1.1 kept alive", clients: 6, run: l.get("/board/", false, false)},
		{name: "GET, HTTP/2", clients: 4, run: l.get("/board/", true, false)},
		{name: "GET, new connections", clients: 6, run: l.get("/api/openapi.json", false, true)},
		{name: "POST", clients: 6, run: l.posts(0, 0)},
		{name: "requests of 3 s", clients: 4, run: l.posts(3*time.Second, 0)},
		{name: "uploads of 900 KB", clients: 2, run: l.posts(500*time.Millisecond, 900_000)},
		{name: "WebSocket", clients: 2, run: l.echo},
		{name: "event stream", clients: 2, run: l.events},
	}
	for _, k := range l.kinds {
		for range k.clients {
			l.clients.Go(func() { k.run(ctx, k) })
		}
	}
}

// stop ends the load, and returns the requests and what failed.
func (l *load) stop() (requests int64, failures []string) {
	l.cancel()
	l.clients.Wait()
	return l.sum()
}

func (l *load) sum() (requests int64, failures []string) {
	for _, k := range l.kinds {
		requests += k.requests.Load()
		k.mu.Lock()
		for _, text := range k.failures {
			failures = append(failures, k.name+": "+text)
		}
		k.mu.Unlock()
	}
	return requests, failures
}

// table shows what each kind did.
func (l *load) table() string {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "clients\trequests\tfailed\t  what\t")
	for _, k := range l.kinds {
		k.mu.Lock()
		fmt.Fprintf(table, "%d\t%d\t%d\t  %s\t\n", k.clients, k.requests.Load(), len(k.failures), k.name)
		k.mu.Unlock()
	}
	_ = table.Flush()
	return text.String()
}

// client is one that trusts the site's authority and finds the site whatever its name resolves to.
func (l *load) client(http2, fresh bool) *http.Client {
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: l.roots, ServerName: siteName}, DisableKeepAlives: fresh,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, network, l.address)
		},
	}
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetHTTP2(http2)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// pause lets a client think, so that 32 of them leave a small machine room for what is under test.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

const thinking = 20 * time.Millisecond

func (l *load) get(path string, http2, fresh bool) func(context.Context, *kind) {
	return func(ctx context.Context, k *kind) {
		client := l.client(http2, fresh)
		defer client.CloseIdleConnections()
		for pause(ctx, thinking) {
			k.requests.Add(1)
			if _, err := do(ctx, client, http.MethodGet, path, http.Header{}, nil, http.StatusOK); err != nil {
				k.failed(ctx, err)
			}
		}
	}
}

// do sends a request, reads the answer, and wants this status.
func do(ctx context.Context, client *http.Client, method, path string, header http.Header, body io.Reader, want int) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, site+path, body)
	if err != nil {
		return nil, err
	}
	request.Header = header
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: reading the answer %d: %w", method, path, response.StatusCode, err)
	}
	if response.StatusCode != want {
		return nil, fmt.Errorf("%s %s: %d %.100s", method, path, response.StatusCode, content)
	}
	return content, nil
}

// posts writes posts, the body of each over a while and with padding: what was answered 201 must never be lost.
func (l *load) posts(over time.Duration, padding int) func(context.Context, *kind) {
	return func(ctx context.Context, k *kind) {
		client := l.client(false, false)
		defer client.CloseIdleConnections()
		header := http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + l.token}}
		for pause(ctx, 5*thinking) {
			text, err := json.Marshal(map[string]any{"title": k.name, "content": "Written while a release came.", "board_id": l.board})
			if err != nil {
				k.failed(ctx, err)
				return
			}
			text = append(text[:len(text)-1], append(bytes.Repeat([]byte(" "), padding), '}')...)
			k.requests.Add(1)
			content, err := do(ctx, client, http.MethodPost, "/api/v1/posts", header.Clone(), drip(ctx, text, over), http.StatusCreated)
			var post struct{ ID int }
			if err == nil {
				err = json.Unmarshal(content, &post)
			}
			if err != nil {
				k.failed(ctx, err)
				continue
			}
			l.mu.Lock()
			l.posted = append(l.posted, post.ID)
			l.mu.Unlock()
		}
	}
}

// drip hands out a body in ten pieces over a while.
func drip(ctx context.Context, text []byte, over time.Duration) io.Reader {
	if over == 0 {
		return bytes.NewReader(text)
	}
	reader, writer := io.Pipe()
	go func() {
		for piece := range slices.Chunk(text, len(text)/10+1) {
			if _, err := writer.Write(piece); err != nil {
				return
			}
			if !pause(ctx, over/10) {
				writer.CloseWithError(ctx.Err())
				return
			}
		}
		_ = writer.Close()
	}()
	return reader
}

// echo keeps a WebSocket open and has each message answered. One that is closed in an orderly way is opened again, at once.
func (l *load) echo(ctx context.Context, k *kind) {
	client := l.client(false, false)
	for pause(ctx, thinking) {
		if err := l.converse(ctx, client, k); err != nil {
			k.failed(ctx, err)
		}
	}
}

func (l *load) converse(ctx context.Context, client *http.Client, k *kind) error {
	k.requests.Add(1)
	conn, _, err := websocket.Dial(ctx, "wss://"+siteName+"/echo", &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	for pause(ctx, 5*thinking) {
		k.requests.Add(1)
		if err := conn.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
			return ended(err)
		}
		if _, message, err := conn.Read(ctx); err != nil {
			return ended(err)
		} else if string(message) != "hello" {
			return fmt.Errorf("hello came back as %q", message)
		}
	}
	return nil
}

// ended is nil for a WebSocket whose end was announced by a close frame.
func ended(err error) error {
	if status := websocket.CloseStatus(err); status == websocket.StatusGoingAway || status == websocket.StatusServiceRestart {
		return nil
	}
	return err
}

// events listens to the dashboard's events as a browser's EventSource does: a stream that ends is opened again.
func (l *load) events(ctx context.Context, k *kind) {
	client := l.client(true, false)
	defer client.CloseIdleConnections()
	user, password, _ := strings.Cut(l.flower, ":")
	for pause(ctx, thinking) {
		k.requests.Add(1)
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, site+"/flower/events", nil)
		if err != nil {
			k.failed(ctx, err)
			return
		}
		request.SetBasicAuth(user, password)
		response, err := client.Do(request)
		if err != nil {
			k.failed(ctx, err)
			continue
		}
		if response.StatusCode != http.StatusOK {
			k.failed(ctx, errors.New(response.Status))
		} else if line, err := bufio.NewReader(response.Body).ReadString('\n'); err != nil || line != "retry: 2000\n" {
			k.failed(ctx, fmt.Errorf("the stream began with %q: %w", line, cmp.Or(err, errors.New("unexpected"))))
		} else {
			_, _ = io.Copy(io.Discard, response.Body) // until it ends
		}
		_ = response.Body.Close()
	}
}

// lost returns the posts that were acknowledged and are not there any more.
func (l *load) lost(t *testing.T) (lost []int) {
	t.Helper()
	client := l.client(true, false)
	defer client.CloseIdleConnections()
	there := map[int]bool{}
	for page := 1; ; page++ {
		content, err := do(t.Context(), client, http.MethodGet, fmt.Sprintf("/api/v1/posts?page_size=100&ordering=id&page=%d", page), http.Header{}, nil, http.StatusOK)
		if err != nil {
			t.Fatal(err)
		}
		var list struct {
			Next    *string
			Results []struct{ ID int }
		}
		if err := json.Unmarshal(content, &list); err != nil {
			t.Fatal(err)
		}
		for _, post := range list.Results {
			there[post.ID] = true
		}
		if list.Next == nil {
			break
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range l.posted {
		if !there[id] {
			lost = append(lost, id)
		}
	}
	return lost
}
