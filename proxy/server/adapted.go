package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/portico-web/portico/proxy/message"
)

// codecWriter is what the codec of HTTP/3 gives to answer with.
type codecWriter interface {
	http.ResponseWriter
	FlushError() error
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	HTTPStream() (*http3.Stream, error)
}

// origin is where a request of such a codec comes from.
type origin struct {
	peer   netip.AddrPort
	tls    *tls.ConnectionState
	unread *atomic.Int32 // how many requests of the connection have content that nobody waits for just now
}

// adapted is one exchange on a codec that speaks in terms of net/http: message.Stream over its request and its writer.
type adapted struct {
	origin
	server  *server
	w       codecWriter
	r       *http.Request
	head    message.Head
	body    adaptedBody
	writing watch

	progress  message.Progress
	length    int64
	tunnelled *streamTunnel
}

var adaptations = sync.Pool{New: func() any { return new(adapted) }}

var errStalled = errors.New("the client takes nothing")

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// adapt has a request of another codec served. It panics with http.ErrAbortHandler, which such codecs take as the sign to
// reset the stream, when the answer is not whole.
func (s *server) adapt(handler message.Handler, w http.ResponseWriter, r *http.Request, from origin) {
	a := adaptations.Get().(*adapted)
	a.origin, a.server, a.w, a.r = from, s, w.(codecWriter), r
	a.writing.open(func() { _ = a.w.SetWriteDeadline(longAgo) })
	refusal := takeIn(&a.head, r, &s.limits)
	a.body.open(a, refusal == nil)
	var sound bool
	if refusal == nil {
		sound = s.run(handler, a)
	} else {
		a.head.Length = 0
		sound = s.run(func(stream message.Stream) { s.refuse(stream, refusal) }, a)
	}
	whole := a.finish(sound)
	a.release()
	if !whole {
		panic(http.ErrAbortHandler)
	}
}

// finish tells whether the answer is whole.
func (a *adapted) finish(sound bool) bool {
	if a.tunnelled != nil {
		_ = a.tunnelled.Close()
		return true
	}
	if !a.progress.Ended || !sound {
		a.Abort()
	}
	return !a.progress.Aborted
}

func (a *adapted) release() {
	a.writing.close()
	a.body.close()
	a.head.Reset()
	a.origin, a.server, a.w, a.r = origin{}, nil, nil, nil
	a.progress, a.tunnelled = message.Progress{}, nil
	adaptations.Put(a)
}

func (a *adapted) Head() *message.Head       { return &a.head }
func (a *adapted) Body() message.Body        { return &a.body }
func (a *adapted) Peer() netip.AddrPort      { return a.peer }
func (a *adapted) TLS() *tls.ConnectionState { return a.tls }
func (a *adapted) Context() context.Context  { return a.r.Context() }
func (a *adapted) Gone() bool                { return a.r.Context().Err() != nil }

// Interim sends 100 only to a client that waits for it.
func (a *adapted) Interim(head *message.Head) error {
	if err := a.progress.Interim(head); err != nil {
		return err
	}
	if head.Status == 100 && (!a.head.Expect || a.body.begun) {
		return nil
	}
	header := a.w.Header()
	fill(header, &head.Fields)
	a.writing.start(time.Now(), a.server.pace.Load().StallTimeout)
	a.w.WriteHeader(head.Status)
	if expired := a.writing.stop(); expired { // and half a head may have been sent
		a.Abort()
		return errStalled
	}
	clear(header)
	return a.r.Context().Err()
}

// fill puts fields in the form of net/http. What is about one connection only is left out, and so is Trailer: the codecs
// would take it as an order.
func fill(header http.Header, fields *message.Fields) {
	all := fields.All()
	values := make([]string, len(all))
	for i := range all {
		switch all[i].ID {
		case message.Connection, message.ContentLength, message.Expect, message.Host, message.HTTP2Settings, message.KeepAlive,
			message.ProxyConnection, message.TE, message.Trailer, message.TransferEncoding, message.Upgrade:
			continue
		}
		values[i] = string(all[i].Value)
		name := fieldName(&all[i])
		if before, several := header[name]; several {
			header[name] = append(before, values[i])
		} else {
			header[name] = values[i : i+1 : i+1]
		}
	}
}

func fieldName(field *message.Field) string {
	if field.ID != message.Other {
		return field.ID.String()
	}
	return http.CanonicalHeaderKey(string(field.Name))
}

func (a *adapted) Answer(head *message.Head) error {
	if err := a.progress.Answer(head, a.head.Method); err != nil {
		return err
	}
	a.length = head.Length
	a.writeHead(head, head.Status)
	return nil
}

func (a *adapted) writeHead(head *message.Head, status int) {
	header := a.w.Header()
	fill(header, &head.Fields)
	if head.Length >= 0 && !message.Bodiless(status) { // in a 304 it would puzzle clients that miss the content then
		header["Content-Length"] = []string{strconv.FormatInt(head.Length, 10)}
	}
	if _, dated := header["Date"]; !dated {
		header["Date"] = a.server.clock.date(time.Now()).values
	}
	if _, typed := header["Content-Type"]; !typed {
		header["Content-Type"] = nil // or the codecs would guess one
	}
	a.w.WriteHeader(status)
}

func (a *adapted) Write(content []byte) (int, error) {
	if err := a.progress.Write(content); err != nil {
		return 0, a.stop(err)
	}
	if a.progress.Bodiless || len(content) == 0 {
		return len(content), nil
	}
	a.writing.start(time.Now(), a.server.pace.Load().StallTimeout)
	n, err := a.w.Write(content)
	a.writing.stop()
	if err != nil {
		return n, fmt.Errorf("writing the answer: %w", err)
	}
	return n, nil
}

func (a *adapted) Flush() error {
	if a.progress.Aborted {
		return message.ErrGivenUp
	}
	if !a.progress.Answered {
		return nil
	}
	return a.flush(a.server.pace.Load().StallTimeout)
}

func (a *adapted) flush(patience time.Duration) error {
	a.writing.start(time.Now(), patience)
	defer a.writing.stop()
	if err := a.w.FlushError(); err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	return nil
}

// End leaves the end itself to the codec, which writes it when the handler returns.
func (a *adapted) End(trailer *message.Fields) error {
	if err := a.progress.End(); err != nil {
		return a.stop(err)
	}
	if trailer != nil && !a.progress.Bodiless {
		header := a.w.Header()
		for i := range trailer.All() {
			field := &trailer.All()[i]
			name := http.TrailerPrefix + fieldName(field)
			header[name] = append(header[name], string(field.Value))
		}
	}
	if a.head.Method == "HEAD" && a.length == message.Unknown {
		return a.flush(a.server.pace.Load().StallTimeout) // or the codec would announce the length that it counted
	}
	_ = a.w.SetWriteDeadline(time.Now().Add(a.server.pace.Load().StallTimeout)) // for what the codec still holds back
	return a.r.Context().Err()
}

// stop aborts the answer if its content is not what its head announced.
func (a *adapted) stop(err error) error {
	if errors.Is(err, message.ErrTooMuch) || errors.Is(err, message.ErrTooLittle) {
		a.Abort()
	}
	return err
}

// Abort sends what was held back of an answer, so that the client sees that one began. The stream is reset when the handler
// has returned.
func (a *adapted) Abort() {
	if a.progress.Aborted {
		return
	}
	a.progress.Aborted = true
	if a.progress.Answered && !a.Gone() {
		_ = a.flush(min(a.server.pace.Load().StallTimeout, time.Second))
	}
}

// Tunnel answers 200 (RFC 8441 section 5, RFC 9220), on codecs that let go of a stream.
func (a *adapted) Tunnel(head *message.Head) (message.Tunnel, error) {
	if err := a.progress.Switch(head, &a.head); err != nil {
		return nil, err
	}
	a.length = message.Unknown
	unsized := *head
	unsized.Length = message.Unknown
	a.writeHead(&unsized, http.StatusOK)
	a.writing.start(time.Now(), a.server.pace.Load().StallTimeout)
	stream, err := a.w.HTTPStream()
	a.writing.stop()
	if err != nil {
		return nil, fmt.Errorf("writing the answer: %w", err)
	}
	_ = stream.SetReadDeadline(time.Time{})
	a.tunnelled = &streamTunnel{stream: stream, stall: a.server.pace.Load().StallTimeout}
	return a.tunnelled, nil
}
