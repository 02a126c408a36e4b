package logging_test

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/portico-web/portico/internal/logging"
)

func TestLinesLookLikeTheLoggersOwnAndKeepTheirPlace(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"json", "console"} {
		var out bytes.Buffer
		log, err := logging.New(&out, "info", format)
		if err != nil {
			t.Fatal(err)
		}
		lines := logging.NewLines(log, "request")
		odd := "a \"b\" = \\ \n ü \xff <&>"
		line := lines.Begin(time.Unix(1700000000, 5e6).UTC())
		line.String("path", odd)
		line.Bytes("raw", []byte("plain"))
		line.String("empty", "")
		line.Int("status", 200)
		line.Milliseconds("took", 1500*time.Microsecond)
		line.Bool("aborted", true)
		line.End()
		if out.Len() != 0 {
			t.Error("a line does not wait for others")
		}
		log.Info("after")
		lines.Begin(time.Now()).End()
		lines.Flush()
		got := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(got) != 3 || !strings.Contains(got[1], "after") {
			t.Fatalf("%s: %q", format, got)
		}
		if format == "console" {
			if want := `time=2023-11-14T22:13:20.005Z level=INFO msg=request path="a \"b\" = \\ \n ü \xff <&>" raw=plain empty="" status=200 took=1.500 aborted=true`; got[0] != want {
				t.Errorf("%s\nwant\n%s", got[0], want)
			}
			continue
		}
		var read map[string]any
		if err := json.Unmarshal([]byte(got[0]), &read); err != nil {
			t.Fatalf("%v in %s", err, got[0])
		}
		for key, want := range map[string]any{
			"time": "2023-11-14T22:13:20.005Z", "level": "INFO", "msg": "request", "path": strings.ToValidUTF8(odd, "\ufffd"),
			"raw": "plain", "empty": "", "status": 200.0, "took": 1.5, "aborted": true,
		} {
			if read[key] != want {
				t.Errorf("%s is %#v, want %#v", key, read[key], want)
			}
		}
	}
}

func TestAValueTakesABoundedPartOfItsLine(t *testing.T) {
	t.Parallel()
	const most = 1 << 10
	for _, format := range []string{"json", "console"} {
		for name, c := range map[string]struct {
			value string
			whole bool
		}{
			"the usual length":           {strings.Repeat("x\xff", most/12-1), true},
			"as much as there may be":    {strings.Repeat("x", most), true},
			"one more":                   {strings.Repeat("x", most+1), false},
			"much more":                  {strings.Repeat("x", 64*most), false},
			"signs that are escaped":     {strings.Repeat("\"&", most/2), false},
			"what is no text":            {strings.Repeat("\xff", most/2), false},
			"what cannot be seen":        {strings.Repeat("\x01\u2028\U000e0001", most/8), false},
			"other scripts":              {strings.Repeat("길", most/3), true},
			"more of other scripts":      {strings.Repeat("길", most/2), false},
			"a character across the end": {strings.Repeat("x", most-1) + "길", false},
		} {
			var out bytes.Buffer
			lines := logging.LinesTo(&out, format, "")
			lines.Begin(time.Time{}).End()
			lines.Flush()
			around := out.Len()
			out.Reset()
			line := lines.Begin(time.Time{})
			line.String("s", c.value)
			line.Bytes("b", []byte(c.value))
			line.End()
			lines.Flush()
			got := out.String()
			if takes := out.Len() - around; takes > 2*(most+len(`,"s":"…"`)) {
				t.Errorf("%s, %s: two values take %d bytes", format, name, takes)
			}
			want := 2
			if c.whole {
				want = 0
			}
			if strings.Count(got, "…") != want || !utf8.ValidString(got) {
				t.Errorf("%s, %s: %s", format, name, got)
			}
			if format == "console" {
				continue
			}
			var read struct{ S, B string }
			if err := json.Unmarshal([]byte(got), &read); err != nil || read.S != read.B {
				t.Errorf("%s, %s: %v in %s", format, name, err, got)
			}
			if kept := strings.TrimSuffix(read.S, "…"); utf8.ValidString(c.value) && !strings.HasPrefix(c.value, kept) {
				t.Errorf("%s, %s: %s", format, name, kept)
			}
		}
	}
}

func TestASilentLoggerHasNoLines(t *testing.T) {
	t.Parallel()
	quiet, err := logging.New(&bytes.Buffer{}, "warn", "json")
	if err != nil {
		t.Fatal(err)
	}
	if logging.NewLines(quiet, "x") != nil || logging.NewLines(logging.Discard(), "x") != nil {
		t.Error("lines that nobody wants are made")
	}
}

func BenchmarkLines(b *testing.B) {
	log, err := logging.New(io.Discard, "info", "json")
	if err != nil {
		b.Fatal(err)
	}
	lines := logging.NewLines(log, "request")
	b.ReportAllocs()
	for b.Loop() {
		line := lines.Begin(time.Now())
		for range 5 {
			line.String("method", "GET")
			line.Int("status", 200)
		}
		line.End()
	}
}
