package tracing

import (
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"time"
)

// Kind is which side of a call a span is (OTLP's SpanKind).
type Kind int

// The kinds that an edge has.
const (
	Server Kind = 2
	Client Kind = 3
)

// Span is one step of a trace. Ids are in lower-case hex.
type Span struct {
	TraceID, ID string
	Parent      string // "" for none
	Name        string
	Kind        Kind
	Start, End  time.Time
	Failed      bool
	Attributes  []Attribute
}

// Attribute is a fact about a span: a text, or a number when Text is empty.
type Attribute struct {
	Key    string
	Text   string
	Number int64
}

// AppendID appends a new span's id.
func AppendID(into []byte) []byte {
	id := rand.Uint64() | 1 //nolint:gosec // ids have to differ, not to be secret; none is all zeros
	return hex.AppendEncode(into, []byte{byte(id >> 56), byte(id >> 48), byte(id >> 40), byte(id >> 32), byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)})
}

// The JSON form of OTLP (opentelemetry-proto, trace/v1). Whole numbers of 64 bits are text there.
type (
	request struct {
		ResourceSpans []resourceSpans `json:"resourceSpans"`
	}
	resourceSpans struct {
		Resource   resource     `json:"resource"`
		ScopeSpans []scopeSpans `json:"scopeSpans"`
	}
	resource struct {
		Attributes []attribute `json:"attributes"`
	}
	scopeSpans struct {
		Scope scope  `json:"scope"`
		Spans []span `json:"spans"`
	}
	scope struct {
		Name    string `json:"name"`
		Version string `json:"version,omitempty"`
	}
	span struct {
		TraceID    string      `json:"traceId"`
		SpanID     string      `json:"spanId"`
		Parent     string      `json:"parentSpanId,omitempty"`
		Name       string      `json:"name"`
		Kind       Kind        `json:"kind"`
		Start      string      `json:"startTimeUnixNano"`
		End        string      `json:"endTimeUnixNano"`
		Attributes []attribute `json:"attributes,omitempty"`
		Status     *status     `json:"status,omitempty"`
	}
	attribute struct {
		Key   string `json:"key"`
		Value value  `json:"value"`
	}
	value struct {
		Text   *string `json:"stringValue,omitempty"`
		Number string  `json:"intValue,omitempty"`
	}
	status struct {
		Code int `json:"code"`
	}
)

const statusError = 2

func encode(settings *Settings, spans []Span) []byte {
	sent := scopeSpans{Scope: scope{Name: "portico/proxy", Version: settings.Version}, Spans: make([]span, len(spans))}
	for i := range spans {
		s := &spans[i]
		sent.Spans[i] = span{
			TraceID: s.TraceID, SpanID: s.ID, Parent: s.Parent, Name: s.Name, Kind: s.Kind,
			Start: strconv.FormatInt(s.Start.UnixNano(), 10), End: strconv.FormatInt(s.End.UnixNano(), 10),
			Attributes: attributes(s.Attributes),
		}
		if s.Failed {
			sent.Spans[i].Status = &status{statusError}
		}
	}
	about := []Attribute{{Key: "service.name", Text: settings.Service}}
	if settings.Version != "" {
		about = append(about, Attribute{Key: "service.version", Text: settings.Version})
	}
	encoded, err := json.Marshal(request{[]resourceSpans{{Resource: resource{attributes(about)}, ScopeSpans: []scopeSpans{sent}}}})
	if err != nil {
		panic(err) // it holds nothing but text
	}
	return encoded
}

func attributes(given []Attribute) []attribute {
	made := make([]attribute, len(given))
	for i := range given {
		made[i].Key = given[i].Key
		if given[i].Text == "" {
			made[i].Value.Number = strconv.FormatInt(given[i].Number, 10)
		} else {
			made[i].Value.Text = &given[i].Text
		}
	}
	return made
}
