package proxy

import (
	"cmp"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"
)

// logAccess writes one line about a request. The query is left out: it may hold secrets.
func (x *exchange) logAccess(took time.Duration) {
	if x.proxy.access == nil || !*x.state.config.AccessLog {
		return
	}
	head := x.Head()
	line := x.proxy.access.Begin(x.start.Add(took))
	line.String("method", head.Method)
	line.String("host", head.Authority)
	line.String("path", cmp.Or(x.path, head.Path))
	line.String("proto", head.Version.String())
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
