package server

import (
	"net/http"
	"sync/atomic"
	"time"
)

// clock has the value of Date at hand, written once a second.
type clock struct{ current atomic.Pointer[date] }

type date struct {
	second int64
	text   []byte
	values []string // the same, for codecs that want it so
}

func (c *clock) date(now time.Time) *date {
	current := c.current.Load()
	if current == nil || current.second != now.Unix() {
		text := now.UTC().Format(http.TimeFormat)
		current = &date{now.Unix(), []byte(text), []string{text}}
		c.current.Store(current)
	}
	return current
}
