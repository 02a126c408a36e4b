package http1

import (
	"net/http"

	"github.com/portico-web/portico/proxy/message"
)

var (
	errStatusLine = malformed("a malformed status line")
	errStatus     = malformed("a status below 100")
	errInterim    = malformed("an interim answer that announces content")
	errSwitch     = malformed("a switch to no single protocol")
)

// ReadResponse reads the head of an answer, an interim one (1xx) too, to a request of this method. Its errors are those of
// ReadRequest; the Status of every *Error is 502.
func (r *Reader) ReadResponse(head *message.Head, method string, limits Limits) (Framing, error) {
	r.answers = true
	head.Reset()
	n, err := r.awaitHead(&limits, false)
	if err != nil {
		if refusal, refused := err.(*Error); refused { //nolint:errorlint // awaitHead does not wrap it
			err = refusal.byUpstream()
		}
		return Framing{}, err
	}
	section := head.Store(r.unread()[:n])
	r.start += n
	framing, refusal := parseResponse(head, section, method, &limits)
	if refusal != nil {
		return Framing{}, refusal.byUpstream()
	}
	return framing, nil
}

// byUpstream is the same refusal of a message that an upstream sent.
func (e *Error) byUpstream() *Error { return &Error{http.StatusBadGateway, e.Reason} }

func parseResponse(head *message.Head, section []byte, method string, limits *Limits) (Framing, *Error) {
	at, refusal := statusLine(head, section)
	if refusal != nil {
		return Framing{}, refusal
	}
	var fields hop
	if refusal = fields.parseFields(head, section, at, limits); refusal != nil {
		return Framing{}, refusal
	}
	head.Trailers = false
	framing := Framing{Persistent: fields.persistent(head.Version)}
	switch {
	case head.Status < 200:
		return framing, interim(head, &fields, &framing)
	case head.Status == http.StatusNoContent:
		// It must not announce content (RFC 9110 section 8.6). When it does, some may follow, for all that is known.
		framing.Persistent = framing.Persistent && !fields.chunked && fields.length <= 0
	case head.Status == http.StatusNotModified || method == http.MethodHead:
		head.Length = fields.length
	case fields.chunked:
		framing.Kind, head.Length = Chunked, message.Unknown
	case fields.length == message.Unknown:
		framing.Kind, head.Length, framing.Persistent = UntilClose, message.Unknown, false
	case fields.length > 0:
		framing.Kind, framing.Length, head.Length = Sized, fields.length, fields.length
	}
	return framing, nil
}

// interim completes an answer of 1xx. Another head follows it at once, unless it switches protocols.
func interim(head *message.Head, fields *hop, framing *Framing) *Error {
	if fields.chunked || fields.length > 0 {
		return errInterim
	}
	framing.Persistent = head.Status != http.StatusSwitchingProtocols
	if !framing.Persistent {
		if head.Protocol = fields.switches(head.Version); head.Protocol == "" {
			return errSwitch
		}
	}
	return nil
}

// statusLine parses HTTP-version SP status-code [ SP [ reason-phrase ] ] CRLF (RFC 9112 section 4; the last space is missing
// in practice), and gives the place behind it.
func statusLine(head *message.Head, section []byte) (next int, refusal *Error) {
	version, ok := version(section)
	if !ok || version != message.HTTP10 && version != message.HTTP11 {
		return 0, errStatusLine
	}
	head.Version = version
	at := versionSize
	if len(section) < at+len(" 200\r\n") || section[at] != ' ' {
		return 0, errStatusLine
	}
	status, ok := decimal(section[at+1 : at+4])
	if !ok {
		return 0, errStatusLine
	}
	if head.Status = int(status); status < 100 {
		return 0, errStatus
	}
	at += 4
	if section[at] == ' ' {
		for {
			at += control(section[at:])
			if section[at] != '\t' {
				break
			}
			at++
		}
	}
	if section[at] != '\r' || section[at+1] != '\n' {
		return 0, inLine(section[at:], errStatusLine)
	}
	return at + 2, nil
}
