package logging_test

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

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
