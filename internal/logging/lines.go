package logging

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	// mostText bounds what a value takes in a line, in bytes: clients write what they like, and HTTP/2 lets them repeat it
	// for a byte.
	mostText = 1 << 10
	// mostEscaped is what one byte of a value takes at most.
	mostEscaped = len(`\ufffd`)
	// cutMark ends a value of which there was more.
	cutMark = "…"
)

// Lines writes many lines of one kind, such as an access log, at a fraction of what a slog call costs: values are appended
// to the line as they are named, and lines are gathered for up to half a second. They look like the logger's other lines and
// keep their place among them. Nobody who ends a line waits for the writer. It is safe for concurrent use.
type Lines struct {
	output  *output
	console bool
	message string
	pool    sync.Pool
}

// NewLines returns lines of level info with this message, on the output of a logger that New made; nil when the logger
// writes no such lines.
func NewLines(log *slog.Logger, message string) *Lines {
	handler, ours := log.Handler().(contextHandler)
	if !ours || !log.Enabled(context.Background(), slog.LevelInfo) {
		return nil
	}
	return newLines(handler.output, handler.console, message)
}

// LinesTo returns lines like those of a logger of this format, json or console, that go to w alone.
func LinesTo(w io.Writer, format, message string) *Lines {
	return newLines(&output{writer: w}, format == "console", message)
}

func newLines(to *output, console bool, message string) *Lines {
	l := &Lines{output: to, console: console, message: message}
	l.pool.New = func() any { return &Line{lines: l} }
	return l
}

// Flush writes what was gathered.
func (l *Lines) Flush() { l.output.flush() }

// Dropped is how many lines were lost: the writer took nothing for so long that too many waited, or failed.
func (l *Lines) Dropped() int64 { return l.output.dropped.Load() }

// Begin starts a line. It is written by its End.
func (l *Lines) Begin(at time.Time) *Line {
	line, _ := l.pool.Get().(*Line)
	if l.console {
		line.text = at.AppendFormat(append(line.text[:0], "time="...), "2006-01-02T15:04:05.000Z07:00")
		line.text = append(line.text, " level=INFO msg="...)
		line.text = appendConsole(line.text, []byte(l.message))
		return line
	}
	line.text = at.AppendFormat(append(line.text[:0], `{"time":"`...), time.RFC3339Nano)
	line.text = append(line.text, `","level":"INFO","msg":`...)
	line.text = appendJSON(line.text, []byte(l.message))
	return line
}

// Line is one line under construction. Keys are the program's own and need no escaping.
type Line struct {
	lines *Lines
	text  []byte
}

func (l *Line) key(key string) {
	if l.lines.console {
		l.text = append(l.text, ' ')
		l.text = append(l.text, key...)
		l.text = append(l.text, '=')
		return
	}
	l.text = append(l.text, `,"`...)
	l.text = append(l.text, key...)
	l.text = append(l.text, `":`...)
}

// String adds text. It is cut where it takes too much of the line.
func (l *Line) String(key, value string) {
	l.key(key)
	l.text = appendText(l.text, value, l.lines.console)
}

// Bytes adds text, as String does.
func (l *Line) Bytes(key string, value []byte) {
	l.key(key)
	l.text = appendText(l.text, value, l.lines.console)
}

// Int adds a whole number.
func (l *Line) Int(key string, value int64) {
	l.key(key)
	l.text = strconv.AppendInt(l.text, value, 10)
}

// Milliseconds adds a duration, which is not negative, in milliseconds, to the microsecond.
func (l *Line) Milliseconds(key string, value time.Duration) {
	l.key(key)
	micros := value.Microseconds()
	l.text = strconv.AppendInt(l.text, micros/1000, 10)
	if rest := micros % 1000; rest > 0 {
		l.text = append(l.text, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
	}
}

// Bool adds a truth.
func (l *Line) Bool(key string, value bool) {
	l.key(key)
	l.text = strconv.AppendBool(l.text, value)
}

// End writes the line, which must not be used any more.
func (l *Line) End() {
	if !l.lines.console {
		l.text = append(l.text, '}')
	}
	l.text = append(l.text, '\n')
	l.lines.output.gather(l.text)
	if cap(l.text) <= gathered {
		l.lines.pool.Put(l)
	}
}

func appendText[T []byte | string](line []byte, text T, console bool) []byte {
	fits := fitting(text)
	switch cut := fits < len(text); {
	case cut && console:
		return appendConsole(line, string(text[:fits])+cutMark)
	case cut:
		return appendJSON(line, string(text[:fits])+cutMark)
	case console:
		return appendConsole(line, text)
	default:
		return appendJSON(line, text)
	}
}

// fitting is how many bytes from the beginning of text take mostText at most once they are escaped. It ends within no character.
func fitting[T []byte | string](text T) int {
	if len(text) <= mostText/mostEscaped { // the usual length, at no cost
		return len(text)
	}
	room := mostText
	for i := 0; i < len(text); {
		c, size := rune(text[i]), 1
		if c >= utf8.RuneSelf {
			c, size = utf8.DecodeRuneInString(string(text[i:min(i+utf8.UTFMax, len(text))]))
		}
		switch {
		case c == utf8.RuneError, c == '"', c == '\\', c == '<', c == '>', c == '&', !strconv.IsPrint(c):
			room -= mostEscaped * size
		default:
			room -= size
		}
		if room < 0 {
			return i
		}
		i += size
	}
	return len(text)
}

// appendJSON appends text as a JSON string.
func appendJSON[T []byte | string](line []byte, text T) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, err := json.Marshal(string(text))
			if err != nil { // a string always marshals
				quoted = []byte(`""`)
			}
			return append(line, quoted...)
		}
	}
	line = append(line, '"')
	line = append(line, text...)
	return append(line, '"')
}

// appendConsole appends text, in quotes where it could be misread.
func appendConsole[T []byte | string](line []byte, text T) []byte {
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c > '~' || c == '"' || c == '=' || c == '\\' {
			return strconv.AppendQuote(line, string(text))
		}
	}
	if len(text) == 0 {
		return append(line, '"', '"')
	}
	return append(line, text...)
}
