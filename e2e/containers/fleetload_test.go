//go:build containers

package containers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"
)

// fleetLoad is a few clients of a fleet, each of which does one thing over and over, and remembers what failed when.
type fleetLoad struct {
	*load
	t       *testing.T
	clients []*fleetClient
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu          sync.Mutex
	registered  []string // addresses whose registration was answered 201
	requests    []time.Time
	failures    []failure
	disruptions []disruption
}

// fleetClient is one of the clients.
type fleetClient struct {
	name      string
	successes atomic.Int64
}

// failure is a request that was not answered as on a quiet day.
type failure struct {
	client       string
	status       int // 0: no answer
	err          error
	began, ended time.Time
}

// disruption is a time in which something fails that may.
type disruption struct {
	what     string
	allowed  func(failure) bool
	from, to time.Time
}

// newFleetLoad makes a school, a board and somebody who posts.
func newFleetLoad(t *testing.T, f *fleet) *fleetLoad {
	t.Helper()
	l := &load{address: f.nlb.address(), roots: f.roots}
	l.signUp(t, docker(t, "exec", fleetMember("app-1").container(), "/app", "createadmin", "ops@example.com"))
	return &fleetLoad{load: l, t: t}
}

func (l *fleetLoad) start(ctx context.Context) {
	ctx, l.cancel = context.WithCancel(ctx)
	run := func(count int, name string, http2, fresh bool, once func(context.Context, *http.Client, string) error) {
		for i := range count {
			c := &fleetClient{name: name}
			l.clients = append(l.clients, c)
			client := l.client(http2, fresh)
			client.Timeout = 12 * time.Second // more than an edge waits for an app
			if http2 {                        // which otherwise does not notice that nobody is there any more
				client.Transport.(*http.Transport).HTTP2 = &http.HTTP2Config{SendPingTimeout: time.Second, PingTimeout: 2 * time.Second}
			}
			l.running.Go(func() {
				defer client.CloseIdleConnections()
				for n := 0; pause(ctx, 2*thinking); n++ {
					l.attempt(ctx, c, func() error { return once(ctx, client, fmt.Sprintf("%s-%d-%d", strings.ToLower(name[:1]), i, n)) })
				}
			})
		}
	}
	run(3, "GET, kept alive", false, false, l.read)
	run(1, "GET, HTTP/2", true, false, l.read)
	run(2, "GET, new connections", false, true, l.read)
	run(2, "POST", false, false, l.post)
	run(2, "registrations", false, true, l.register)
}

// stop ends the load.
func (l *fleetLoad) stop() {
	l.cancel()
	l.running.Wait()
}

// statusError is an answer of a wrong status.
type statusError struct {
	status int
	text   string
}

func (e statusError) Error() string { return fmt.Sprintf("%d %s", e.status, e.text) }

func (l *fleetLoad) attempt(ctx context.Context, c *fleetClient, once func() error) {
	began := time.Now()
	err := once()
	if ctx.Err() != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests = append(l.requests, began)
	if err == nil {
		c.successes.Add(1)
		return
	}
	status := 0
	if wrong, ok := errors.AsType[statusError](err); ok {
		status = wrong.status
	}
	l.failures = append(l.failures, failure{client: c.name, status: status, err: err, began: began, ended: time.Now()})
}

// ask sends a request, reads the answer, and wants this status.
func (l *fleetLoad) ask(ctx context.Context, client *http.Client, method, path, token string, body any, want int) ([]byte, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, site+path, content)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the answer %d: %w", response.StatusCode, err)
	}
	if response.StatusCode != want {
		return nil, statusError{response.StatusCode, fmt.Sprintf("%.100s", answer)}
	}
	return answer, nil
}

func (l *fleetLoad) read(ctx context.Context, client *http.Client, _ string) error {
	_, err := l.ask(ctx, client, http.MethodGet, "/board/", "", nil, http.StatusOK)
	return err
}

func (l *fleetLoad) post(ctx context.Context, client *http.Client, name string) error {
	answer, err := l.ask(ctx, client, http.MethodPost, "/api/v1/posts", l.token, map[string]any{"title": name, "content": "Written while hosts went.", "board_id": l.board}, http.StatusCreated)
	var post struct{ ID int }
	if err == nil {
		err = json.Unmarshal(answer, &post)
	}
	if err == nil {
		l.load.mu.Lock()
		l.posted = append(l.posted, post.ID)
		l.load.mu.Unlock()
	}
	return err
}

func (l *fleetLoad) register(ctx context.Context, client *http.Client, name string) error {
	email := "member-" + name + "@example.com"
	_, err := l.ask(ctx, client, http.MethodPost, "/accounts/registration/", "", map[string]any{"email": email, "password1": "long enough 77", "password2": "long enough 77"}, http.StatusCreated)
	if err == nil {
		l.mu.Lock()
		l.registered = append(l.registered, email)
		l.mu.Unlock()
	}
	return err
}

// awaitSuccesses waits until each client was answered well three times more.
func (l *fleetLoad) awaitSuccesses() {
	l.t.Helper()
	before := make([]int64, len(l.clients))
	for i, c := range l.clients {
		before[i] = c.successes.Load()
	}
	eventually(l.t, "an answer for each client", func() bool {
		for i, c := range l.clients {
			if c.successes.Load() < before[i]+3 {
				return false
			}
		}
		return true
	})
}

// disrupt does something in whose time allowed failures may happen.
func (l *fleetLoad) disrupt(what string, allowed func(failure) bool, do func()) {
	l.t.Helper()
	d := disruption{what: what, allowed: allowed, from: time.Now()}
	do()
	d.to = time.Now()
	l.mu.Lock()
	l.disruptions = append(l.disruptions, d)
	l.mu.Unlock()
}

// restore lets each client be answered well, without what is missing; then it comes back. Nothing may fail.
func (l *fleetLoad) restore(back func()) {
	l.t.Helper()
	l.awaitSuccesses()
	back()
	l.awaitSuccesses()
}

// of tells in which disruption a failure happened, or -1.
func (l *fleetLoad) of(failed failure) int {
	return slices.IndexFunc(l.disruptions, func(d disruption) bool { return failed.began.Before(d.to) && failed.ended.After(d.from) })
}

// judge wants nothing to have failed but what may, and nothing that was acknowledged to be lost.
func (l *fleetLoad) judge() {
	l.t.Helper()
	for _, failed := range l.failures {
		if i := l.of(failed); i < 0 {
			l.t.Errorf("%s failed from %s to %s, when nothing was disrupted: %v", failed.client, clock(failed.began), clock(failed.ended), failed.err)
		} else if d := l.disruptions[i]; !d.allowed(failed) {
			l.t.Errorf("%s: %s failed from %s to %s: %v", d.what, failed.client, clock(failed.began), clock(failed.ended), failed.err)
		}
	}
	if lost := l.lost(l.t); len(lost) > 0 {
		l.t.Errorf("of %d posts that were acknowledged %d are lost: %v", len(l.posted), len(lost), lost)
	}
	if len(l.requests) < 1000 || len(l.posted) < 100 || len(l.registered) < 100 {
		l.t.Errorf("%d requests, %d posts and %d registrations are too few to tell", len(l.requests), len(l.posted), len(l.registered))
	}
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }

// report prints what failed in which disruption.
func (l *fleetLoad) report() {
	l.stop()
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\nseconds\trequests\tfailed\t  what is away\t  failures\t")
	for i, d := range l.disruptions {
		requests, failed, kinds := 0, 0, map[string]int{}
		for _, began := range l.requests {
			if began.After(d.from) && began.Before(d.to) {
				requests++
			}
		}
		for _, f := range l.failures {
			if l.of(f) == i {
				failed++
				kinds[fmt.Sprintf("%s: %d", f.client, f.status)]++
			}
		}
		fmt.Fprintf(table, "%.1f\t%d\t%d\t  %s\t  %v\t\n", d.to.Sub(d.from).Seconds(), requests, failed, d.what, kinds)
	}
	_ = table.Flush()
	fmt.Printf("%d requests in all, %d failed; %d posts acknowledged\n", len(l.requests), len(l.failures), len(l.posted))
}
