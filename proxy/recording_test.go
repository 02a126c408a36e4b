package proxy_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// recording is an upstream that keeps every byte that it is sent. It reads as the most careless application would, and
// answers each request that it takes for a complete one, so that nothing smuggled past the edge goes unnoticed.
type recording struct {
	address string
	ended   sync.WaitGroup

	mu          sync.Mutex
	connections []*transcript
}

// transcript is what came in on one connection.
type transcript struct {
	mu    sync.Mutex
	bytes []byte
}

func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes = append(s.bytes, p...)
	return len(p), nil
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.bytes)
}

func record(t *testing.T) *recording {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recording{address: listener.Addr().String()}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			bytes := &transcript{}
			r.mu.Lock()
			r.connections = append(r.connections, bytes)
			r.mu.Unlock()
			r.ended.Go(func() {
				defer connection.Close()
				answerCarelessly(connection, bufio.NewReader(io.TeeReader(connection, bytes)))
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		accepting.Wait()
		r.ended.Wait()
	})
	return r
}

// answerCarelessly answers each request with what it was taken for.
func answerCarelessly(connection net.Conn, in *bufio.Reader) {
	for {
		method, target, err := readCarelessly(in)
		if err != nil {
			_, _ = io.Copy(io.Discard, in)
			return
		}
		body := method + " " + target
		answer := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(body))
		if method != "HEAD" {
			answer += body
		}
		if _, err := io.WriteString(connection, answer); err != nil {
			return
		}
	}
}

// readCarelessly reads one request with every liberty that some application takes.
func readCarelessly(in *bufio.Reader) (method, target string, err error) {
	length, chunked := 0, false
	for first := true; ; first = false {
		line, err := in.ReadString('\n')
		if err != nil {
			return "", "", err
		}
		line = strings.TrimRight(line, "\r\n")
		if first {
			method, target, _ = strings.Cut(line, " ")
			target, _, _ = strings.Cut(target, " ")
			continue
		}
		if line == "" {
			break
		}
		name, value, _ := strings.Cut(line, ":")
		switch strings.ToLower(strings.ReplaceAll(strings.TrimSpace(name), "_", "-")) {
		case "content-length":
			length, _ = strconv.Atoi(strings.Trim(value, " \t+"))
		case "transfer-encoding":
			chunked = strings.Contains(strings.ToLower(value), "chunked")
		}
	}
	if !chunked {
		_, err = io.CopyN(io.Discard, in, int64(length))
		return method, target, err
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return "", "", err
		}
		size, _, _ := strings.Cut(strings.TrimSpace(line), ";")
		if number, _ := strconv.ParseInt(strings.TrimSpace(size), 16, 32); number > 0 {
			if _, err := io.CopyN(io.Discard, in, number); err != nil {
				return "", "", err
			}
			if _, err := in.ReadString('\n'); err != nil {
				return "", "", err
			}
			continue
		}
		for strings.TrimSpace(line) != "" {
			if line, err = in.ReadString('\n'); err != nil {
				return "", "", err
			}
		}
		return method, target, nil
	}
}

// wait returns what came in once every connection has ended, as they do when the edge stops.
func (r *recording) wait(t *testing.T) []string {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		r.ended.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("a connection to the upstream outlives the edge")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, connection := range r.connections {
		all = append(all, connection.String())
	}
	return all
}

// received is a request as the strictest reader understands it.
type received struct {
	method, target, body string
	fields, trailer      []string // "Name: value", in order
}

// values are those of the fields with this name.
func (r received) values(name string) []string { return valuesOf(r.fields, name) }

func valuesOf(fields []string, name string) (values []string) {
	for _, field := range fields {
		if key, value, _ := strings.Cut(field, ":"); strings.EqualFold(key, name) {
			values = append(values, strings.TrimSpace(value))
		}
	}
	return values
}

var (
	strictLine = regexp.MustCompile("^([!#$%&'*+.^_`|~0-9A-Za-z-]+) (/[\\x21-\\x7e]*|\\*) HTTP/1\\.1$")
	strictName = regexp.MustCompile("^[!#$%&'*+.^`|~0-9A-Za-z-]+$")
	strictSize = regexp.MustCompile("^[0-9a-fA-F]{1,16}$")
	digitsOnly = regexp.MustCompile("^[0-9]{1,18}$")
)

// validField tells whether a line is a field that nobody reads in another way: no underscore, white space or controls.
func validField(line string) bool {
	name, value, ok := strings.Cut(line, ":")
	for _, c := range []byte(value) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return ok && strictName.MatchString(name) && strings.Trim(value, " \t") == strings.TrimPrefix(value, " ")
}

// readStrictly takes a connection's bytes apart into requests that every reader must understand alike. whole is false when
// the last of them is cut off; what leaves room for doubt is an error.
func readStrictly(text string) (requests []received, whole bool, err error) {
	for text != "" {
		head, rest, complete := strings.Cut(text, "\r\n\r\n")
		if !complete {
			return requests, false, nil
		}
		lines := strings.Split(head, "\r\n")
		line := strictLine.FindStringSubmatch(lines[0])
		if line == nil {
			return requests, false, fmt.Errorf("a request line %q", lines[0])
		}
		request := received{method: line[1], target: line[2], fields: lines[1:]}
		for _, field := range request.fields {
			if !validField(field) {
				return requests, false, fmt.Errorf("a field line %q", field)
			}
		}
		hosts, lengths, codings := request.values("Host"), request.values("Content-Length"), request.values("Transfer-Encoding")
		switch {
		case len(hosts) != 1 || hosts[0] == "":
			return requests, false, fmt.Errorf("hosts %q", hosts)
		case len(codings) == 1 && codings[0] == "chunked" && len(lengths) == 0:
			request.body, request.trailer, text, err = chunksStrictly(rest)
		case len(codings) > 0 || len(lengths) > 1 || len(lengths) == 1 && !digitsOnly.MatchString(lengths[0]):
			return requests, false, fmt.Errorf("Content-Length %q with Transfer-Encoding %q", lengths, codings)
		default:
			length := 0
			if len(lengths) == 1 {
				length, _ = strconv.Atoi(lengths[0])
			}
			if err = io.ErrUnexpectedEOF; len(rest) >= length {
				request.body, text, err = rest[:length], rest[length:], nil
			}
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return requests, false, nil
		}
		if err != nil {
			return requests, false, err
		}
		requests = append(requests, request)
	}
	return requests, true, nil
}

// chunksStrictly reads chunked content; io.ErrUnexpectedEOF says that it is cut off.
func chunksStrictly(text string) (body string, trailer []string, rest string, err error) {
	for {
		line, after, ok := strings.Cut(text, "\r\n")
		if !ok {
			return "", nil, "", io.ErrUnexpectedEOF
		}
		if !strictSize.MatchString(line) {
			return "", nil, "", fmt.Errorf("a chunk size %q", line)
		}
		size, err := strconv.ParseInt(line, 16, 32)
		if err != nil {
			return "", nil, "", err
		}
		if size == 0 {
			text = after
			break
		}
		if int64(len(after)) < size+2 {
			return "", nil, "", io.ErrUnexpectedEOF
		}
		if after[size:size+2] != "\r\n" {
			return "", nil, "", fmt.Errorf("a chunk that ends in %q", after[size:size+2])
		}
		body, text = body+after[:size], after[size+2:]
	}
	for {
		line, after, ok := strings.Cut(text, "\r\n")
		switch {
		case !ok:
			return "", nil, "", io.ErrUnexpectedEOF
		case line == "":
			return body, trailer, after, nil
		case !validField(line):
			return "", nil, "", fmt.Errorf("a trailer line %q", line)
		}
		name, _, _ := strings.Cut(strings.ToLower(line), ":")
		if slices.Contains([]string{"content-length", "transfer-encoding", "host", "connection"}, name) {
			return "", nil, "", fmt.Errorf("a trailer %q", line)
		}
		trailer, text = append(trailer, line), after
	}
}
