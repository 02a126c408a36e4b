package proxy

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/portico-web/portico/internal/logging"
	"github.com/portico-web/portico/proxy/config"
	"github.com/portico-web/portico/proxy/message"
)

// accessLog writes a line about each request that is to have one.
type accessLog struct {
	settings *config.AccessLog
	lines    *logging.Lines
	file     *logging.File // nil unless it writes to one of its own
	sample   float64

	referer, scheme, userAgent bool
}

// openAccessLog makes the access log of s; that of previous, if it is the same, is taken over. Without one, s.access is nil.
func (s *state) openAccessLog(p *Proxy, previous *state) error {
	settings := &s.config.AccessLog
	if previous != nil && previous.access != nil && previous.access.settings.Equal(settings) {
		s.access = previous.access
		return nil
	}
	if settings.Off {
		return nil
	}
	a := &accessLog{settings: settings, sample: float64(*settings.Sample)}
	a.referer, a.scheme, a.userAgent = slices.Contains(settings.Fields, "referer"), slices.Contains(settings.Fields, "scheme"), slices.Contains(settings.Fields, "user_agent")
	switch settings.To {
	case config.ToLog:
		if a.lines = p.logLines; a.lines == nil {
			return nil
		}
	case config.ToStdout:
		a.lines = logging.LinesTo(os.Stdout, settings.Format, "request")
	case config.ToStderr:
		a.lines = logging.LinesTo(os.Stderr, settings.Format, "request")
	default:
		var err error
		rotation := logging.Rotation{Size: int64(settings.Rotate.Size), Keep: *settings.Rotate.Keep, Age: settings.Rotate.Age}
		if a.file, err = logging.OpenFile(settings.To, rotation); err != nil {
			return fmt.Errorf("access_log.to: %w: make its folder, which this user may write to, or choose another path", err)
		}
		a.lines = logging.LinesTo(a.file, settings.Format, "request")
	}
	s.access = a
	return nil
}

// close writes what was gathered. Requests that are still in flight may have lines afterwards.
func (a *accessLog) close() {
	a.lines.Flush()
	if a.file != nil {
		a.file.Close()
	}
}

// wants tells whether a request has a line: chance decides only over those of which nothing is wrong.
func (a *accessLog) wants(x *exchange, took time.Duration) bool {
	return a.sample >= 1 || x.status >= http.StatusInternalServerError || x.aborted || took >= a.settings.Slow ||
		rand.Float64() < a.sample //nolint:gosec // nobody gains from foreseeing it
}

// logAccess writes one line about a request. The query may hold secrets: it is left out, or redacted.
func (x *exchange) logAccess(took time.Duration) {
	a := x.state.access
	if a == nil || x.health || !a.wants(x, took) {
		return
	}
	head := x.Head()
	line := a.lines.Begin(x.start.Add(took))
	line.String("method", head.Method)
	line.String("host", head.Authority)
	line.String("path", cmp.Or(x.path, head.Path))
	if a.settings.Query && head.Query != "" {
		var space [512]byte
		line.Bytes("query", appendRedacted(space[:0], head.Query, a.settings.Redact))
	}
	line.String("proto", head.Version.String())
	if a.scheme {
		line.String("scheme", x.proto)
	}
	line.Int("status", int64(x.status))
	line.Int("bytes", x.bytes)
	line.Milliseconds("duration_ms", took)
	line.Bytes("client", x.clientText)
	if x.route != nil {
		line.String("route", x.route.name)
	}
	if x.user != "" {
		line.String("user", x.user)
	}
	if x.refusal != "" {
		line.String("refused", x.refusal)
	}
	if x.aborted {
		line.Bool("aborted", true)
	}
	if a.referer {
		referer, _, _ := bytes.Cut(head.Lookup("Referer"), []byte("?")) // its query may hold secrets, too
		line.Bytes("referer", referer)
	}
	if a.userAgent {
		line.Bytes("user_agent", head.Get(message.UserAgent))
	}
	line.Bytes("request_id", x.requestID)
	line.Bytes("trace_id", x.traceparent[3:35])
	line.End()
}

// recovered answers for what panicked, or breaks the answer off, for the client to notice.
func (x *exchange) recovered(panicked any) {
	if panicked != http.ErrAbortHandler { //nolint:errorlint // the sentinel is compared by identity, as net/http does
		x.proxy.log.ErrorContext(x.context(), "handler panicked", "panic", fmt.Sprint(panicked), "stack", string(debug.Stack()))
		if x.status == 0 {
			x.out = x
			x.fail(http.StatusInternalServerError, "A server error occurred.")
			return
		}
	}
	x.Abort()
}
