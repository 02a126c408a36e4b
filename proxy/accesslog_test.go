package proxy_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// accessLine is what a test reads of a line about a request.
type accessLine struct {
	Msg, Method, Host, Path, Proto, Route, Refused string
	Status, Bytes                                  int
	Aborted                                        bool
}

// accessLines stops the edge and reads its lines about requests.
func (e *edge) accessLines() []accessLine {
	e.t.Helper()
	if err := e.stop(); err != nil {
		e.t.Fatal(err)
	}
	var lines []accessLine
	for text := range strings.Lines(e.log.String()) {
		var line accessLine
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			e.t.Fatalf("%v in %s", err, text)
		}
		if line.Msg == "request" {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestTheLogTellsWhatWasSent(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, filepath.Join(root, "a.txt"), "0123456789")
	config := site(echo(t), `      - {path: /, files: {root: "`+root+`"}}`)
	const failure = len(`{"detail":"The request is malformed."}` + "\n")
	for name, c := range map[string]struct {
		request string
		want    accessLine
	}{
		"a file":                {"GET /a.txt?secret HTTP/1.1\r\nHost: localhost\r\n", accessLine{Method: "GET", Host: "localhost", Path: "/a.txt", Route: "localhost/", Status: 200, Bytes: 10}},
		"HEAD":                  {"HEAD /a.txt HTTP/1.1\r\nHost: localhost\r\n", accessLine{Method: "HEAD", Host: "localhost", Path: "/a.txt", Route: "localhost/", Status: 200}},
		"a failure for HEAD":    {"HEAD /b HTTP/1.1\r\nHost: localhost\r\n", accessLine{Method: "HEAD", Host: "localhost", Path: "/b", Route: "localhost/", Status: 404}},
		"a broken request line": {"GET /a b HTTP/1.1\r\nHost: localhost\r\n", accessLine{Method: "GET", Refused: "a malformed request line", Status: 400, Bytes: failure}},
		"another version":       {"GET /v HTTP/2.0\r\nHost: localhost\r\n", accessLine{Method: "GET", Refused: "a version of HTTP that is not supported", Status: 505, Bytes: failure}},
	} {
		c.want.Msg, c.want.Proto = "request", "HTTP/1.1"
		e := start(t, config)
		e.raw(c.request + "Connection: close\r\n\r\n")
		if lines := e.accessLines(); len(lines) != 1 || lines[0] != c.want {
			t.Errorf("%s:\n%+v, want\n%+v", name, lines, c.want)
		}
	}
}

func TestAFileThatShrinksIsNotPassedOffAsWhole(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	name := filepath.Join(root, "a.bin")
	write(t, name, "")
	if err := os.Truncate(name, 64<<20); err != nil { // more than lies in the buffers of a connection
		t.Fatal(err)
	}
	e := start(t, site(echo(t), `      - {path: /, files: {root: "`+root+`"}}`))
	connection, err := e.dialTLS()
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := io.WriteString(connection, "GET /a.bin HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, 0); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, answer.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%d bytes, then %v", n, err)
	}
	if lines := e.accessLines(); len(lines) != 1 || lines[0].Status != 200 || !lines[0].Aborted {
		t.Errorf("%+v", lines)
	}
}
