// Package logging makes the process's slog.Logger and carries the request id from the HTTP edge into every log line.
package logging

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"go.opentelemetry.io/otel/trace"
)

// New returns a logger that writes to w. level is debug, info, warn or error; format is json or console.
func New(w io.Writer, level, format string) (*slog.Logger, error) {
	var threshold slog.Level
	if err := threshold.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("LOG_LEVEL: %q is not one of debug, info, warn, error", level)
	}
	options := &slog.HandlerOptions{Level: threshold, ReplaceAttr: redact}
	out := &output{writer: w}
	switch format {
	case "json":
		return slog.New(contextHandler{slog.NewJSONHandler(out, options), out, false}), nil
	case "console":
		return slog.New(contextHandler{slog.NewTextHandler(out, options), out, true}), nil
	default:
		return nil, fmt.Errorf("LOG_FORMAT: %q is not one of json, console", format)
	}
}

// Discard is a logger for callers that want silence.
func Discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

type requestIDKey struct{}

// WithRequestID returns a context whose log lines carry id.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID is the id that WithRequestID stored, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

type contextHandler struct {
	slog.Handler
	output  *output
	console bool // else JSON
}

func (h contextHandler) Handle(ctx context.Context, record slog.Record) error {
	if id := RequestID(ctx); id != "" {
		record.AddAttrs(slog.String("request_id", id))
	}
	if span := trace.SpanContextFromContext(ctx); span.HasTraceID() {
		record.AddAttrs(slog.String("trace_id", span.TraceID().String()))
	}
	return h.Handler.Handle(ctx, record)
}

func (h contextHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return contextHandler{h.Handler.WithAttrs(attrs), h.output, h.console}
}

func (h contextHandler) WithGroup(name string) slog.Handler {
	return contextHandler{h.Handler.WithGroup(name), h.output, h.console}
}

// secretKeys are attribute names whose values never reach a log, whoever logs them.
var secretKeys = map[string]bool{
	"password": true, "secret": true, "token": true, "access": true, "refresh": true,
	"authorization": true, "cookie": true, "set-cookie": true, "secret_key": true,
}

func redact(_ []string, attr slog.Attr) slog.Attr {
	if secretKeys[strings.ToLower(attr.Key)] {
		return slog.String(attr.Key, "[redacted]")
	}
	return attr
}
