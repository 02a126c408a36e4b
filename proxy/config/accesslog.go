package config

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Where the access log goes, other than to a file.
const (
	ToLog    = "log" // among the lines of the program's own log
	ToStdout = "stdout"
	ToStderr = "stderr"
)

// AccessLog says what is told of each request, and where.
type AccessLog struct {
	Off    bool          // no line is wanted
	To     string        `yaml:"to"`     // log, stdout, stderr or a file's path
	Format string        `yaml:"format"` // json or console; "" with the program's log, which has its own
	Rotate Rotate        `yaml:"rotate"`
	Sample *Share        `yaml:"sample"` // of requests that have a line; those that failed or were slow always do
	Slow   time.Duration `yaml:"slow"`
	Query  bool          `yaml:"query"`
	Redact []string      `yaml:"redact"` // parameters of the query whose values are hidden, besides those known for secrets
	Fields []string      `yaml:"fields"` // what a line has besides the usual
}

// Rotate says when a file makes way for a new one.
type Rotate struct {
	Size Size          `yaml:"size"`
	Keep *int          `yaml:"keep"` // files besides the one that is written
	Age  time.Duration `yaml:"age"`  // after which a kept file is deleted; 0: never
}

// AccessFields are what AccessLog.Fields may name.
func AccessFields() []string { return []string{"referer", "scheme", "user_agent"} }

// UnmarshalText reads true or false.
func (a *AccessLog) UnmarshalText(word []byte) error {
	switch string(word) {
	case "true", "":
	case "false":
		a.Off = true
	default:
		return fmt.Errorf("%q is neither true, false nor keys such as {to: stdout, format: json}", word)
	}
	return nil
}

// ToFile tells whether To is a file's path.
func (a *AccessLog) ToFile() bool { return strings.ContainsRune(a.To, filepath.Separator) }

// Equal tells whether two settings are the same.
func (a *AccessLog) Equal(b *AccessLog) bool {
	return a.Off == b.Off && a.To == b.To && a.Format == b.Format && a.Rotate.Size == b.Rotate.Size && *a.Rotate.Keep == *b.Rotate.Keep &&
		a.Rotate.Age == b.Rotate.Age && *a.Sample == *b.Sample && a.Slow == b.Slow && a.Query == b.Query &&
		slices.Equal(a.Redact, b.Redact) && slices.Equal(a.Fields, b.Fields)
}

func (c *checker) accessLog() {
	settings := &c.config.AccessLog
	switch {
	case settings.To == ToLog && settings.Format != "":
		c.doc.Faultf("access_log.format", "access_log.format: the program's log has a format of its own (--log-format): name a place with access_log.to, such as stdout")
	case settings.To != ToLog:
		c.oneOf("access_log.format", settings.Format, "json", "console")
	}
	if !settings.ToFile() {
		c.oneOf("access_log.to", settings.To, ToLog, ToStdout, ToStderr, "/path/of/a/file")
		if settings.Rotate != (Rotate{Size: defaultRotateSize, Keep: settings.Rotate.Keep}) || *settings.Rotate.Keep != defaultRotateKeep {
			c.doc.Faultf("access_log.rotate", "access_log.rotate goes with a file in access_log.to")
		}
	}
	if size := settings.Rotate.Size; size < 1<<20 {
		c.doc.Faultf("access_log.rotate.size", "access_log.rotate.size: %d is less than 1MiB", size)
	}
	if keep := *settings.Rotate.Keep; keep < 0 || keep > 1000 {
		c.doc.Faultf("access_log.rotate.keep", "access_log.rotate.keep: %d is not between 0 and 1000", keep)
	}
	for i, name := range settings.Fields {
		c.oneOf(fmt.Sprintf("access_log.fields[%d]", i), name, AccessFields()...)
	}
	for i, name := range settings.Redact {
		if name == "" || strings.ContainsAny(name, "=&;?") {
			c.doc.Faultf(fmt.Sprintf("access_log.redact[%d]", i), "access_log.redact[%d]: %q is not the name of a query's parameter", i, name)
		}
	}
	if len(settings.Redact) > 0 && !settings.Query {
		c.doc.Faultf("access_log.redact", "access_log.redact goes with query: true: otherwise no query is logged")
	}
}

// Files are rotated also where nobody says so: a log that grows for ever is found out when the disk is full.
const (
	defaultRotateSize Size = 100 << 20
	defaultRotateKeep      = 5
)

func (a *AccessLog) fillIn() {
	a.To = cmp.Or(a.To, ToLog)
	if a.To != ToLog {
		a.Format = cmp.Or(a.Format, "json")
	}
	a.Rotate.Size = cmp.Or(a.Rotate.Size, defaultRotateSize)
	if a.Rotate.Keep == nil {
		a.Rotate.Keep = new(defaultRotateKeep)
	}
	if a.Sample == nil {
		a.Sample = new(Share(1))
	}
	a.Slow = cmp.Or(a.Slow, time.Second)
}
