package compress

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/portico-web/portico/proxy/message"
)

// Coding is a content coding (RFC 9110 section 8.4.1).
type Coding uint8

// The codings that answers are compressed with.
const (
	Identity Coding = iota // none
	Zstd
	Gzip
	Brotli
	codings // how many there are
)

// Standard are the codings in the order that serves most: at little CPU time zstd makes large pages smallest, and gzip small
// ones; brotli makes both about as small, at three times the time.
var Standard = []Coding{Zstd, Gzip, Brotli}

var tokens = [codings]string{Identity: "identity", Zstd: "zstd", Gzip: "gzip", Brotli: "br"}

// String is the coding's token, as it stands in Content-Encoding.
func (c Coding) String() string { return tokens[c] }

// Parse is the coding of that token.
func Parse(token string) (coding Coding, ok bool) {
	for coding := Identity + 1; coding < codings; coding++ {
		if tokens[coding] == token {
			return coding, true
		}
	}
	return Identity, false
}

// Weights are how much a client likes the codings, in thousandths.
type Weights struct {
	named [codings]int // -1 where nothing is said
	rest  int          // the weight of *
}

func newWeights() Weights {
	weights := Weights{rest: -1}
	for i := range weights.named {
		weights.named[i] = -1
	}
	return weights
}

// Accepted reads the values of Accept-Encoding.
func Accepted(values []string) Weights {
	weights := newWeights()
	for _, value := range values {
		weights.read([]byte(value))
	}
	return weights
}

// Weight is from 0, for a coding that the client does not take, to 1000.
func (w *Weights) Weight(coding Coding) int {
	if named := w.named[coding]; named >= 0 {
		return named
	}
	return max(w.rest, 0)
}

// choose is the coding that a client likes best, of those offered in the order of our own liking; Identity when it takes none.
func choose(fields []message.Field, offered []Coding) Coding {
	weights := newWeights()
	for i := range fields {
		if fields[i].ID == message.AcceptEncoding {
			weights.read(fields[i].Value)
		}
	}
	best, most := Identity, 0
	for _, coding := range offered {
		if weight := weights.Weight(coding); weight > most {
			best, most = coding, weight
		}
	}
	return best
}

// read reads one value of Accept-Encoding (RFC 9110 section 12.5.3).
func (w *Weights) read(value []byte) {
	for len(value) > 0 {
		member, after, _ := bytes.Cut(value, []byte(","))
		value = after
		name, parameter, _ := bytes.Cut(member, []byte(";"))
		name = bytes.TrimSpace(name)
		weight := weightOf(bytes.TrimSpace(parameter))
		switch {
		case message.EqualFold(name, "*"):
			w.rest = weight
		case message.EqualFold(name, "x-gzip"): // an old name (RFC 9110 section 8.4.1.3)
			w.named[Gzip] = max(w.named[Gzip], weight)
		default:
			for coding := Identity + 1; coding < codings; coding++ {
				if message.EqualFold(name, tokens[coding]) {
					w.named[coding] = weight
				}
			}
		}
	}
}

// weightOf reads q=0.5 as 500, nothing as 1000, and what is malformed as 0.
func weightOf(parameter []byte) int {
	if len(parameter) == 0 {
		return 1000
	}
	if len(parameter) < 3 || len(parameter) > 7 || parameter[0]|0x20 != 'q' || parameter[1] != '=' {
		return 0
	}
	digits := parameter[2:]
	if digits[0] != '0' && digits[0] != '1' || len(digits) > 1 && digits[1] != '.' {
		return 0
	}
	weight, unit := int(digits[0]-'0')*1000, 100
	for _, c := range digits[min(2, len(digits)):] {
		if c < '0' || c > '9' {
			return 0
		}
		weight += int(c-'0') * unit
		unit /= 10
	}
	return min(weight, 1000)
}

// encoder is what the three libraries have in common.
type encoder interface {
	io.WriteCloser
	Flush() error
	Reset(out io.Writer)
}

// most bounds how many encoders work at a time: each takes about 1 MiB. Beyond it, answers pass as they are.
const most = 200

// encoders keeps encoders for reuse. It is safe for concurrent use.
type encoders struct {
	idle [codings]sync.Pool
	busy atomic.Int64
}

// take returns an idle encoder that writes to out, or a new one; nil when enough are at work.
func (e *encoders) take(coding Coding, out io.Writer) encoder {
	if e.busy.Add(1) > most {
		e.busy.Add(-1)
		return nil
	}
	taken, _ := e.idle[coding].Get().(encoder)
	if taken == nil {
		taken = newEncoder(coding)
	}
	taken.Reset(out)
	return taken
}

func (e *encoders) giveBack(coding Coding, taken encoder) {
	taken.Reset(nil)
	e.idle[coding].Put(taken)
	e.busy.Add(-1)
}

// newEncoder makes one that takes little time. A window of 256 KiB keeps memory small, here and at clients.
func newEncoder(coding Coding) encoder {
	switch coding {
	case Zstd:
		made, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(256<<10), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic(err) // the options are constants
		}
		return made
	case Brotli:
		return brotli.NewWriterOptions(nil, brotli.WriterOptions{Quality: 3, LGWin: 18})
	default:
		made, err := gzip.NewWriterLevel(nil, 5)
		if err != nil {
			panic(err) // the level is a constant
		}
		return made
	}
}

// Codings are the codings of a list of tokens; unknown ones are left out.
func Codings(list []string) []Coding {
	made := make([]Coding, 0, len(list))
	for _, token := range list {
		if coding, ok := Parse(token); ok {
			made = append(made, coding)
		}
	}
	return made
}
