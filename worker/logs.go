package worker

import (
	"context"
	"log/slog"
	"strings"
)

// quiet is log for River: what it says of every job that fails is a line of ours already, so that its talk counts as debug
// unless it warns.
func quiet(log *slog.Logger) *slog.Logger {
	return slog.New(quietHandler{log.Handler()})
}

type quietHandler struct{ slog.Handler }

func (h quietHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.Handler.Enabled(ctx, lowered(level))
}

func (h quietHandler) Handle(ctx context.Context, record slog.Record) error {
	record.Level = lowered(record.Level)
	record.Attrs(func(attr slog.Attr) bool {
		if attr.Key == "error" && strings.HasSuffix(attr.Value.String(), context.Canceled.Error()) {
			record.Level = slog.LevelDebug // what an orderly stop interrupts is no failure
			return false
		}
		return true
	})
	if !h.Handler.Enabled(ctx, record.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, record)
}

func (h quietHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quietHandler{h.Handler.WithAttrs(attrs)}
}

func (h quietHandler) WithGroup(name string) slog.Handler {
	return quietHandler{h.Handler.WithGroup(name)}
}

func lowered(level slog.Level) slog.Level {
	if level == slog.LevelInfo {
		return slog.LevelDebug
	}
	return level
}
