package proxy_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-web/portico/proxy/config"
)

// patience is how long a test waits for what should come at once.
const patience = 10 * time.Second

// lanes runs an edge on which the paths below /000/, /001/ and so on lead to one target each. settings come first in the
// configuration; upstream is added to what is said about each target, as in ", response_timeout: 1s". A plain edge has no TLS.
func lanes(t *testing.T, plain bool, settings, upstream string, targets ...string) *edge {
	t.Helper()
	listen := `listen: {http3: true}`
	if plain {
		listen = `listen: {http: "127.0.0.1:0"}`
	}
	var upstreams, routes strings.Builder
	for i, target := range targets {
		fmt.Fprintf(&upstreams, "  u%d: {targets: [%q]%s}\n", i, target, upstream)
		fmt.Fprintf(&routes, "      - {path: /%03d/, upstream: u%d}\n", i, i)
	}
	data := t.TempDir()
	e := &edge{t: t, data: data, config: filepath.Join(data, "proxy.yaml"), log: &buffer{}}
	write(t, e.config, listen+"\n"+settings+"upstreams:\n"+upstreams.String()+"sites:\n  - hosts: [localhost]\n    routes:\n"+routes.String())
	cfg, err := config.Load(e.config, noVariables)
	if err != nil {
		t.Fatal(err)
	}
	set := options(t, e)
	if plain {
		set.HTTPS = ""
	}
	return launch(t, e, cfg, set)
}

// laneURL is the address of a lane.
func laneURL(lane int) string { return fmt.Sprintf("https://localhost/%03d/", lane) }

// connect opens a connection for HTTP/1.1 to the port that serves.
func (e *edge) connect() net.Conn {
	e.t.Helper()
	var connection net.Conn
	var err error
	if e.Addrs().HTTPS == nil {
		connection, err = net.Dial("tcp", e.Addrs().HTTP.String())
	} else {
		connection, err = e.dialTLS()
	}
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { _ = connection.Close() })
	_ = connection.SetDeadline(time.Now().Add(patience))
	return connection
}

// converse sends all of it at once, on a connection of its own, and returns the answers up to the connection's end. When it
// does not end, or an answer is no answer, the error says so.
func (e *edge) converse(text string) (answers []answer, err error) {
	e.t.Helper()
	return converseOver(e.connect(), text)
}

// converseOver does so over a connection, which it closes.
func converseOver(connection net.Conn, text string) (answers []answer, err error) {
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(connection, text) // fails when the edge has heard enough
	}()
	defer func() {
		_ = connection.Close()
		<-sent
	}()
	in, method := bufio.NewReader(connection), "GET"
	if strings.HasPrefix(text, "HEAD ") {
		method = "HEAD"
	}
	for {
		if _, err := in.Peek(1); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return answers, errors.New("the connection stays open")
			}
			return answers, nil
		}
		response, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return answers, err
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		answers, method = append(answers, answer{response, string(body)}), "GET"
		if err != nil {
			return answers, fmt.Errorf("an answer is cut off: %w", err)
		}
	}
}

// statuses are those of answers, one after the other.
func statuses(answers []answer) string {
	var all []string
	for _, one := range answers {
		all = append(all, fmt.Sprint(one.StatusCode))
	}
	return strings.Join(all, " ")
}

// oneOf tells whether got is among the alternatives of "a|b".
func oneOf(got, alternatives string) bool {
	for want := range strings.SplitSeq(alternatives, "|") {
		if got == want {
			return true
		}
	}
	return false
}

// abreast runs something for each member of a list at the same time, since all of them only wait.
func abreast[T any](list []T, run func(i int, member T)) {
	var running sync.WaitGroup
	for i, member := range list {
		running.Go(func() { run(i, member) })
	}
	running.Wait()
}
