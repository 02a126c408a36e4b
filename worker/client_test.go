package worker_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// answer is what the dashboard answered.
type answer struct {
	status int
	header http.Header
	body   string
}

// decode reads a JSON answer.
func decode[T any](t *testing.T, a answer) T {
	t.Helper()
	var value T
	if !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
		t.Fatalf("answer %d is %s, want JSON: %s", a.status, a.header.Get("Content-Type"), a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &value); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return value
}

// request asks the dashboard as its user; change may alter the request first.
func (r *running) request(t testing.TB, method, path, body string, change ...func(*http.Request)) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, r.base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(user, password)
	for _, c := range change {
		c(request)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(raw)}
}

func (r *running) get(t testing.TB, path string) answer {
	t.Helper()
	return r.request(t, http.MethodGet, path, "")
}

// event is one server-sent event.
type event struct{ name, data string }

// stream opens the event stream; it is closed with the test, and its channel when the server ends it.
func (r *running) stream(t testing.TB) <-chan event {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(user, password)
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK || !strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		t.Fatalf("the event stream is answered %d, %s", response.StatusCode, response.Header.Get("Content-Type"))
	}
	events := make(chan event)
	go func() {
		defer close(events)
		defer response.Body.Close()
		var e event
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "event":
				e.name = value
			case "data":
				e.data = value
			case "":
				if e.name == "" {
					continue
				}
				select {
				case events <- e:
				case <-ctx.Done():
				}
				e = event{}
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		for range events { // until the reader is gone
		}
	})
	return events
}

// await returns when the event stream, or the state before it began, tells that a task is in a state.
func (r *running) await(t testing.TB, id int64, state string) {
	t.Helper()
	number := strconv.FormatInt(id, 10)
	events := r.stream(t)
	known := func() string {
		var task struct{ State string }
		if err := json.Unmarshal([]byte(r.get(t, "/api/task/info/"+number).body), &task); err != nil {
			t.Fatal(err)
		}
		return task.State
	}
	if known() == state {
		return
	}
	for e := range events {
		var change struct {
			More  bool
			Tasks []struct{ UUID, State string }
		}
		if err := json.Unmarshal([]byte(e.data), &change); err != nil {
			t.Fatal(err)
		}
		for _, task := range change.Tasks {
			if task.UUID == number && task.State == state {
				return
			}
		}
		if change.More && known() == state {
			return
		}
	}
	t.Fatalf("the event stream ended before task %d became %s", id, state)
}
