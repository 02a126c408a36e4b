package http1_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/message"
)

var limits = http1.Limits{HeadBytes: 2048, TargetBytes: 256, Fields: 20}

// pieces is a connection on which bytes arrive in these pieces, and then end (RFC 9112 section 8).
type pieces [][]byte

func (p *pieces) Read(b []byte) (int, error) {
	if len(*p) == 0 {
		return 0, io.EOF
	}
	n := copy(b, (*p)[0])
	if (*p)[0] = (*p)[0][n:]; len((*p)[0]) == 0 {
		*p = (*p)[1:]
	}
	return n, nil
}

func whole(raw string) io.Reader { return &pieces{[]byte(raw)} }

func splitAt(raw string, at int) io.Reader {
	if at == 0 || at >= len(raw) {
		return whole(raw)
	}
	return &pieces{[]byte(raw[:at]), []byte(raw[at:])}
}

// every is raw in pieces of this size.
func every(raw string, size int) io.Reader {
	var p pieces
	for ; len(raw) > size; raw = raw[size:] {
		p = append(p, []byte(raw[:size]))
	}
	p = append(p, []byte(raw))
	return &p
}

// hesitant times out before each piece.
type hesitant struct {
	source io.Reader
	ready  bool
}

func (h *hesitant) Read(b []byte) (int, error) {
	if h.ready = !h.ready; h.ready {
		return 0, os.ErrDeadlineExceeded
	}
	return h.source.Read(b)
}

// eager gives its end together with the last bytes.
type eager struct{ rest string }

func (e *eager) Read(b []byte) (int, error) {
	n := copy(b, e.rest)
	if e.rest = e.rest[n:]; e.rest == "" {
		return n, io.EOF
	}
	return n, nil
}

// patiently calls again what timed out.
func patiently[T any](call func() (T, error)) (T, error) {
	for {
		if got, err := call(); !errors.Is(err, os.ErrDeadlineExceeded) {
			return got, err
		}
	}
}

// side is what is read: requests, or the answers to a method.
type side struct{ answersTo string }

func (s side) readHead(r *http1.Reader, head *message.Head, limits http1.Limits) (http1.Framing, error) {
	return patiently(func() (http1.Framing, error) {
		if s.answersTo == "" {
			return r.ReadRequest(head, limits)
		}
		return r.ReadResponse(head, s.answersTo, limits)
	})
}

// transcript tells everything that is read from a connection until it ends or an error comes.
func (s side) transcript(source io.Reader, size int, limits http1.Limits) string {
	var out strings.Builder
	var head message.Head
	var body http1.Body
	r := http1.NewReader(source, size)
	for {
		framing, err := s.readHead(r, &head, limits)
		if err != nil {
			out.WriteString(failure(err))
			return out.String()
		}
		out.WriteString(describe(&head, framing))
		body.Reset(r, framing, limits)
		var content []byte
		for {
			next, err := patiently(body.Next)
			if err == nil && len(next) == 0 {
				return out.String() + "an empty piece of content\n"
			}
			content = append(content, next...)
			if err == nil {
				continue
			}
			if len(content) > 0 {
				fmt.Fprintf(&out, "content %q\n", content)
			}
			if err != io.EOF { //nolint:errorlint // io.EOF itself is promised
				out.WriteString(failure(err))
				return out.String()
			}
			break
		}
		if !body.Done() {
			return out.String() + "not done at its end\n"
		}
		if trailer := body.Trailer(); trailer != nil {
			for _, field := range trailer.All() {
				fmt.Fprintf(&out, "trailer %s: %q\n", field.Name, field.Value)
			}
		}
		if !framing.Persistent || head.Protocol != "" {
			rest := r.Detach()
			for {
				more, err := patiently(func() ([]byte, error) { return io.ReadAll(io.LimitReader(source, 1)) })
				if len(more) == 0 || err != nil {
					break
				}
				rest = append(rest, more...)
			}
			fmt.Fprintf(&out, "rest %q\n", rest)
			return out.String()
		}
	}
}

func failure(err error) string {
	var refusal *http1.Error
	if errors.As(err, &refusal) {
		return fmt.Sprintf("%d %s\n", refusal.Status, refusal.Reason)
	}
	return err.Error() + "\n"
}

func describe(head *message.Head, framing http1.Framing) string {
	var out strings.Builder
	if head.Status == 0 {
		fmt.Fprintf(&out, "%s %s %s", head.Method, head.Authority, head.Target())
	} else {
		fmt.Fprintf(&out, "%d", head.Status)
	}
	if head.Version != message.HTTP11 {
		fmt.Fprintf(&out, " %s", head.Version)
	}
	switch framing.Kind {
	case http1.Sized:
		fmt.Fprintf(&out, " sized %d", framing.Length)
	case http1.Chunked:
		out.WriteString(" chunked")
	case http1.UntilClose:
		out.WriteString(" until close")
	case http1.Bodiless:
		if head.Length != 0 {
			fmt.Fprintf(&out, " length %d", head.Length)
		}
	}
	for _, flag := range []struct {
		set  bool
		name string
	}{{!framing.Persistent, "last"}, {head.Expect, "expect"}, {head.Trailers, "trailers"}, {head.Protocol != "", "to " + head.Protocol}} {
		if flag.set {
			out.WriteString(" " + flag.name)
		}
	}
	out.WriteByte('\n')
	for _, field := range head.All() {
		fmt.Fprintf(&out, "%s: %q\n", field.Name, field.Value)
	}
	return out.String()
}

// test checks the transcript of raw, however its bytes arrive.
func (s side) test(t *testing.T, raw, want string) {
	t.Helper()
	if got := s.transcript(whole(raw), 4096, limits); got != want {
		t.Errorf("%.300q:\n%swant\n%s", raw, got, want)
		return
	}
	s.alike(t, raw, limits)
}

// alike checks that the way in which bytes arrive, and the buffer's size, make no difference.
func (s side) alike(t *testing.T, raw string, limits http1.Limits) {
	t.Helper()
	want := s.transcript(whole(raw), 4096, limits)
	check := func(how string, source io.Reader, size int) {
		if got := s.transcript(source, size, limits); got != want {
			t.Fatalf("%.300q %s, buffer %d:\n%swant\n%s", raw, how, size, got, want)
		}
	}
	for _, size := range []int{64, 100, 4096} {
		check("whole", whole(raw), size)
		check("one byte at a time", every(raw, 1), size)
		check("after timeouts", &hesitant{source: every(raw, 7)}, size)
		check("with its end", &eager{raw}, size)
	}
	for at := 1; at < len(raw); at += 1 + len(raw)/400 { // at every place of what is not long
		check(fmt.Sprintf("split at %d", at), splitAt(raw, at), 64+at%40)
	}
}
