package http1_test

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/message"
)

// scripted gives one step after another, and keeps how much was asked for at each.
type scripted struct {
	steps []any // string or error
	asked []int
}

func (s *scripted) Read(b []byte) (int, error) {
	s.asked = append(s.asked, len(b))
	if len(s.steps) == 0 {
		return 0, io.EOF
	}
	step := s.steps[0]
	s.steps = s.steps[1:]
	switch step := step.(type) {
	case string:
		n := copy(b, step)
		if n < len(step) {
			s.steps = append([]any{step[n:]}, s.steps...)
		}
		return n, nil
	case error:
		return 0, step
	}
	return 0, nil
}

func TestWaitingGoesOnInASingleByteAfterATimeout(t *testing.T) {
	t.Parallel()
	source := &scripted{steps: []any{os.ErrDeadlineExceeded, os.ErrDeadlineExceeded, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"}}
	r := http1.NewReader(source, 512)
	for range 2 {
		if err := r.Wait(); err != os.ErrDeadlineExceeded { //nolint:errorlint // errors of the source are promised as they are
			t.Fatal(err)
		}
	}
	if err := r.Wait(); err != nil || r.Buffered() != 1 {
		t.Fatalf("%d buffered, %v", r.Buffered(), err)
	}
	var head message.Head
	if _, err := r.ReadRequest(&head, limits); err != nil || head.Path != "/" {
		t.Fatalf("%q, %v", head.Path, err)
	}
	if want := []int{512, 1, 1, 511}; len(source.asked) != 4 || source.asked[0] != want[0] || source.asked[1] != 1 || source.asked[2] != 1 || source.asked[3] != want[3] {
		t.Errorf("asked for %v bytes, want %v", source.asked, want)
	}
	if err := r.Wait(); err != io.EOF { //nolint:errorlint // as above
		t.Errorf("at the end: %v", err)
	}
}

func TestATimeoutWithinAHeadLosesNothing(t *testing.T) {
	t.Parallel()
	var steps []any
	for _, c := range "\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab" {
		steps = append(steps, os.ErrDeadlineExceeded, string(c))
	}
	want := "POST a / sized 2\ncontent \"ab\"\n" + end
	if got := (side{}).transcript(&scripted{steps: steps}, 64, limits); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestErrorsOfTheSourceComeAsTheyAre(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, sent := range []string{"", "GET", chunkedRequest + "5\r\n", chunkedRequest + "0\r\nA"} {
		var head message.Head
		var body http1.Body
		r := http1.NewReader(&scripted{steps: []any{sent, broken}}, 64)
		framing, err := r.ReadRequest(&head, limits)
		if err == nil {
			body.Reset(r, framing, limits)
			_, err = body.Next()
		}
		if err != broken { //nolint:errorlint // as it is
			t.Errorf("%q: %v", sent, err)
		}
	}
	stuck := &scripted{steps: make([]any, 1000)}
	if err := http1.NewReader(stuck, 64).Wait(); err != io.ErrNoProgress { //nolint:errorlint // as it is
		t.Errorf("a source that gives nothing: %v", err)
	}
}

func TestARefusalDoesNotWaitForTheRest(t *testing.T) {
	t.Parallel()
	blocked := errors.New("waits")
	for sent, status := range map[string]int{
		"GET / HTTP/1.1\n":          400,
		"GET / HTTP/1.1\r\nA: b\n":  400,
		"GET / HTTP/1.1\rX":         400,
		"GET / HTTP/1.1\r\n\rX":     400,
		"\n":                        400,
		"\x16\x03\x01":              400,
		"GET / HTTP/1.1\r\nA: \x00": 400,
		"GET /" + strings.Repeat("x", limits.TargetBytes): 414,
		strings.Repeat("x", limits.HeadBytes):             431,
		"\r\n\r\n":                                        400,
	} {
		var head message.Head
		var refusal *http1.Error
		_, err := http1.NewReader(&scripted{steps: []any{sent, blocked}}, 64).ReadRequest(&head, limits)
		if !errors.As(err, &refusal) || refusal.Status != status {
			t.Errorf("%.40q: %v, want %d", sent, err, status)
		}
	}
	for _, sent := range []string{"3\n", "3 ", "x", "3;\n", "0\r\n\n", "0\r\nA: b\n", "0\r\nA: " + strings.Repeat("b", limits.HeadBytes)} {
		var head message.Head
		var body http1.Body
		var refusal *http1.Error
		r := http1.NewReader(&scripted{steps: []any{chunkedRequest + sent, blocked}}, 64)
		framing, err := r.ReadRequest(&head, limits)
		if err != nil {
			t.Fatal(err)
		}
		body.Reset(r, framing, limits)
		for range 2 {
			if _, err = body.Next(); !errors.As(err, &refusal) || refusal.Status != 400 {
				t.Errorf("%.40q: %v, want 400", sent, err)
			}
		}
		if body.Done() || body.Trailer() != nil {
			t.Errorf("%.40q is done", sent)
		}
	}
}

func TestTheContentThatIsBufferedIsKnown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		raw  string
		want int
	}{
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc", 3},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nabc", 2},
		{chunkedRequest + "3\r\nabc\r\n2\r\ndefg", 5},
		{chunkedRequest + "3\r", 0},
		{chunkedRequest + "0\r\n\r\nGET", 0},
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET", 0},
	} {
		var head message.Head
		var body http1.Body
		r := http1.NewReader(whole(c.raw), 512)
		framing, err := r.ReadRequest(&head, limits)
		if err != nil {
			t.Fatal(err)
		}
		body.Reset(r, framing, limits)
		if got := body.Buffered(); got != c.want {
			t.Errorf("%q: %d, want %d", c.raw, got, c.want)
		}
		if c.want == 0 {
			continue
		}
		if next, err := body.Next(); len(next) != c.want || err != nil {
			t.Errorf("%q: %q, %v", c.raw, next, err)
		}
	}
}

// The bytes of one Next stay as they are while Buffered looks for what comes next.
func TestContentStaysValidUntilTheNextCall(t *testing.T) {
	t.Parallel()
	var head message.Head
	var body http1.Body
	source := &scripted{steps: []any{chunkedRequest + "3\r\nabc\r\n", "2\r\nde\r\n0\r\n\r\n"}}
	r := http1.NewReader(source, 512)
	framing, err := r.ReadRequest(&head, limits)
	if err != nil {
		t.Fatal(err)
	}
	body.Reset(r, framing, limits)
	first, err := body.Next()
	if err != nil || body.Buffered() != 0 || body.Done() || string(first) != "abc" {
		t.Fatalf("%q, %v", first, err)
	}
	second, err := body.Next()
	if err != nil || string(second) != "de" || !body.Done() {
		t.Fatalf("%q, %v", second, err)
	}
}

func TestABufferGrowsForALargeHeadAndShrinksAgain(t *testing.T) {
	t.Parallel()
	large := "GET / HTTP/1.1\r\nHost: a\r\nB: " + strings.Repeat("x", 1500) + "\r\n\r\n"
	source := &scripted{steps: []any{large, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"}}
	r := http1.NewReader(source, 128)
	var head message.Head
	for range 2 {
		if _, err := r.ReadRequest(&head, limits); err != nil {
			t.Fatal(err)
		}
	}
	if last := source.asked[len(source.asked)-1]; last != 128 {
		t.Errorf("asked for %d bytes after a large head, want 128", last)
	}
	for _, n := range source.asked {
		if n > limits.HeadBytes {
			t.Errorf("asked for %d bytes", n)
		}
	}
}

func TestReaderIsUsedAgainForAnotherConnection(t *testing.T) {
	t.Parallel()
	r := http1.NewReader(whole("GET / HTTP/1.1\r\nHost: a\r\n\r\nrest"), 64)
	var head message.Head
	if _, err := r.ReadRequest(&head, limits); err != nil {
		t.Fatal(err)
	}
	if got := r.Detach(); string(got) != "rest" || r.Buffered() != 0 {
		t.Fatalf("%q", got)
	}
	r.Reset(whole("GET /2 HTTP/1.1\r\nHost: b\r\n\r\n"))
	if _, err := r.ReadRequest(&head, limits); err != nil || head.Path != "/2" || head.Authority != "b" {
		t.Fatalf("%q %q, %v", head.Authority, head.Path, err)
	}
	r.Release()
	if err := r.Wait(); err != io.EOF { //nolint:errorlint // as it is
		t.Fatal(err)
	}
}

// A thousand connections that wait hold less than their buffers.
func TestConnectionsThatWaitHoldNoBuffers(t *testing.T) {
	const connections, size = 1000, 64 << 10
	readers := make([]*http1.Reader, connections)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range readers {
		readers[i] = http1.NewReader(&scripted{steps: []any{os.ErrDeadlineExceeded, os.ErrDeadlineExceeded}}, size)
		for range 2 {
			if err := readers[i].Wait(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal(err)
			}
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if held := int64(after.HeapAlloc) - int64(before.HeapAlloc); held > connections*size/10 {
		t.Errorf("%d connections hold %d bytes", connections, held)
	}
	runtime.KeepAlive(readers)
}

func TestASocketTimesOutAndGoesOn(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	r := http1.NewReader(server, 512)
	var head message.Head
	for _, part := range []string{"GET / HT", "TP/1.1\r\nHost: a\r\n", "\r\n"} {
		if err := server.SetReadDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		var timeout net.Error
		if _, err := r.ReadRequest(&head, limits); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Fatal(err)
		}
		if err := server.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(client, part); err != nil {
			t.Fatal(err)
		}
		if r.Buffered() == 0 {
			if err := r.Wait(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := r.ReadRequest(&head, limits); err != nil || head.Authority != "a" {
		t.Fatalf("%q, %v", head.Authority, err)
	}
}
