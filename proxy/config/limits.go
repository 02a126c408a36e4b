package config

import (
	"cmp"
	"time"
)

// Limits bounds what clients may take. Zero values stand for the defaults; a body has no limit by default.
type Limits struct {
	Connections       int           `yaml:"connections"` // of clients, at once
	Streams           int           `yaml:"streams"`     // of one HTTP/2 or HTTP/3 connection, at once
	HeaderBytes       Size          `yaml:"header_bytes"`
	HeaderFields      int           `yaml:"header_fields"`
	TargetBytes       Size          `yaml:"target_bytes"`
	BodyBytes         Size          `yaml:"body_bytes"`
	BodyRate          *Size         `yaml:"body_rate"` // bytes a second that a client must send of a body on average; 0: any
	BodyRateGrace     time.Duration `yaml:"body_rate_grace"`
	ReadHeaderTimeout time.Duration `yaml:"read_header_timeout"`
	IdleTimeout       time.Duration `yaml:"idle_timeout"`
	StallTimeout      time.Duration `yaml:"stall_timeout"`
	DrainDelay        time.Duration `yaml:"drain_delay"` // before draining begins; health_path says so at once
	DrainTimeout      time.Duration `yaml:"drain_timeout"`
	HandoverTimeout   time.Duration `yaml:"handover_timeout"` // of what is in flight once another process took this one's place
	HTTP2             HTTP2Limits   `yaml:"http2"`
}

// HTTP2Limits bounds one connection of HTTP/2. Who goes beyond is hung up on, with ENHANCE_YOUR_CALM.
type HTTP2Limits struct {
	StreamWindow     Size `yaml:"stream_window"`     // bytes of one request's content that may wait to be forwarded
	ConnectionWindow Size `yaml:"connection_window"` // the same of all
	HeaderTable      Size `yaml:"header_table"`      // bytes that the compression of heads may keep in mind
	Continuations    int  `yaml:"continuations"`     // CONTINUATION frames of one head
	Resets           int  `yaml:"resets"`            // a second, of streams that the client resets or makes the edge reset
	ControlFrames    int  `yaml:"control_frames"`    // a second, of frames with neither a head nor content
	UnreadReplies    int  `yaml:"unread_replies"`    // frames that the client asked for and does not take in
}

func (l *HTTP2Limits) fillIn() {
	l.StreamWindow = cmp.Or(l.StreamWindow, 256<<10)
	l.ConnectionWindow = cmp.Or(l.ConnectionWindow, 1<<20)
	l.HeaderTable = cmp.Or(l.HeaderTable, 4<<10)
	l.Continuations = cmp.Or(l.Continuations, 64)
	l.Resets = cmp.Or(l.Resets, 100)
	l.ControlFrames = cmp.Or(l.ControlFrames, 1000)
	l.UnreadReplies = cmp.Or(l.UnreadReplies, 1000)
}

func (c *checker) limits() {
	limits := c.config.Limits
	if limits.HeaderBytes < 4<<10 || limits.HeaderBytes > 16<<20 {
		c.doc.Faultf("limits.header_bytes", "limits.header_bytes: %d is not between 4KiB and 16MiB", limits.HeaderBytes)
	}
	for _, key := range []struct {
		path               string
		value, least, most int64
	}{
		{"limits.connections", int64(limits.Connections), 1, 1_000_000},
		{"limits.streams", int64(limits.Streams), 1, 10_000},
		{"limits.header_fields", int64(limits.HeaderFields), 8, 10_000},
		{"limits.target_bytes", int64(limits.TargetBytes), 256, int64(limits.HeaderBytes)},
		{"limits.body_rate", int64(*limits.BodyRate), 0, 1 << 30},
		{"limits.http2.stream_window", int64(limits.HTTP2.StreamWindow), 64 << 10, 64 << 20},
		{"limits.http2.connection_window", int64(limits.HTTP2.ConnectionWindow), int64(limits.HTTP2.StreamWindow), 1 << 30},
		{"limits.http2.header_table", int64(limits.HTTP2.HeaderTable), 1, 64 << 10},
		{"limits.http2.continuations", int64(limits.HTTP2.Continuations), 1, 10_000},
		{"limits.http2.resets", int64(limits.HTTP2.Resets), 1, 100_000},
		{"limits.http2.control_frames", int64(limits.HTTP2.ControlFrames), 10, 1_000_000},
		{"limits.http2.unread_replies", int64(limits.HTTP2.UnreadReplies), 1, 100_000},
	} {
		if key.value < key.least || key.value > key.most {
			c.doc.Faultf(key.path, "%s: %d is not between %d and %d", key.path, key.value, key.least, key.most)
		}
	}
	for _, key := range []struct {
		path  string
		value time.Duration
	}{
		{"limits.read_header_timeout", limits.ReadHeaderTimeout},
		{"limits.idle_timeout", limits.IdleTimeout},
		{"limits.stall_timeout", limits.StallTimeout},
		{"limits.drain_delay", limits.DrainDelay},
		{"limits.drain_timeout", limits.DrainTimeout},
		{"limits.handover_timeout", limits.HandoverTimeout},
		{"limits.body_rate_grace", limits.BodyRateGrace},
	} {
		if key.value > 24*time.Hour {
			c.doc.Faultf(key.path, "%s: %s is longer than a day", key.path, key.value)
		}
	}
}

func (l *Limits) fillIn() {
	l.Connections = cmp.Or(l.Connections, 20_000)
	l.Streams = cmp.Or(l.Streams, 128)
	l.HeaderBytes = cmp.Or(l.HeaderBytes, 64<<10)
	l.HeaderFields = cmp.Or(l.HeaderFields, 128)
	l.TargetBytes = cmp.Or(l.TargetBytes, min(16<<10, l.HeaderBytes))
	if l.BodyRate == nil {
		l.BodyRate = new(Size(240))
	}
	l.BodyRateGrace = cmp.Or(l.BodyRateGrace, 5*time.Second)
	l.ReadHeaderTimeout = cmp.Or(l.ReadHeaderTimeout, 10*time.Second)
	l.IdleTimeout = cmp.Or(l.IdleTimeout, 2*time.Minute)
	l.StallTimeout = cmp.Or(l.StallTimeout, time.Minute)
	l.DrainTimeout = cmp.Or(l.DrainTimeout, 30*time.Second)
	l.HandoverTimeout = cmp.Or(l.HandoverTimeout, 5*time.Minute)
	l.HTTP2.fillIn()
}
