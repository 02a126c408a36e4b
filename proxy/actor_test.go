package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// stage is an upstream whose connections play parts.
type stage struct {
	address     string
	connections atomic.Int64
	heard       atomic.Int64 // how many requests came, by their heads
}

// actor is an upstream's end of one connection, which plays a part.
type actor struct {
	*net.TCPConn
	in    *bufio.Reader
	stage *stage
	over  chan struct{}
	body  string // the content of the last request
}

// act is an upstream that plays a part on each of its connections, which it counts from 0. A connection ends with its part;
// all of them end with the test.
func act(t *testing.T, part func(number int, a *actor)) *stage {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{address: listener.Addr().String()}
	var parts sync.WaitGroup
	var mu sync.Mutex
	var open []*actor
	over := make(chan struct{})
	parts.Go(func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			a := &actor{TCPConn: connection.(*net.TCPConn), in: bufio.NewReader(connection), stage: s, over: over}
			mu.Lock()
			number := len(open)
			open = append(open, a)
			mu.Unlock()
			s.connections.Add(1)
			parts.Go(func() {
				defer a.Close()
				part(number, a)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		close(over)
		mu.Lock()
		for _, a := range open {
			_ = a.Close()
		}
		mu.Unlock()
		parts.Wait()
	})
	return s
}

// head reads a request's head; nil when none comes any more.
func (a *actor) head() *http.Request {
	request, err := http.ReadRequest(a.in)
	if err != nil {
		return nil
	}
	a.stage.heard.Add(1)
	return request
}

// request reads a request and its content; nil when no whole one comes any more.
func (a *actor) request() *http.Request {
	request := a.head()
	if request == nil {
		return nil
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil
	}
	a.body = string(body)
	return request
}

// say sends text.
func (a *actor) say(text string) error {
	_, err := io.WriteString(a, text)
	return err
}

// flood sends text until the other end has enough of it.
func (a *actor) flood(text string) {
	for a.say(text) == nil {
	}
}

// gone waits until the other end has left, whatever it may still send.
func (a *actor) gone() { _, _ = io.Copy(io.Discard, a.in) }

// good serves whatever comes, as an upstream without faults does.
func (a *actor) good() {
	for a.request() != nil {
		if a.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood") != nil {
			return
		}
	}
}

// ended is closed when the test ends. Who waits for it, instead of reading, takes nothing in.
func (a *actor) ended() <-chan struct{} { return a.over }

// reset ends the connection so that the other end sees it broken.
func (a *actor) reset() {
	_ = a.SetLinger(0)
	_ = a.Close()
}

// clients are one for each version of HTTP, on connections of their own.
func (e *edge) clients() map[string]*http.Client {
	return map[string]*http.Client{"1.1": e.client(false), "2": e.client(true), "3": {Transport: e.http3()}}
}

// outcome is what a client makes of an exchange: the status and the content of its answer, or "broken".
func outcome(ctx context.Context, client *http.Client, method, url, body string) string {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	got, err := try(ctx, client, method, url, nil, body)
	if err != nil {
		return "broken"
	}
	if got.StatusCode >= 400 {
		return fmt.Sprint(got.StatusCode)
	}
	return fmt.Sprint(got.StatusCode, " ", got.body)
}
