package http2_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// peer is a client that sends what it likes, frame by frame, and holds the server to the rules: what comes must be within the
// windows that it gave, on streams that are open, and in step with the compression of heads.
type peer struct {
	*xhttp2.Framer // writes into out
	t              testing.TB
	conn           net.Conn
	served         *served // nil for another server

	out     bytes.Buffer // what is held back
	corked  bool
	greeted bool // the preface left
	encoder *hpack.Encoder
	block   bytes.Buffer
	decoder *hpack.Decoder

	lastID  uint32
	streams map[uint32]*reply
	order   []uint32 // the stream of each DATA frame that came, in order
	window  int64    // of the connection: what the server may still send
	initial int64    // of a stream, as the server acknowledged it
	pending []int64  // the same, of SETTINGS that are not acknowledged yet
	returns bool     // windows are given back at once

	settings  map[xhttp2.SettingID]uint32 // of the server
	goAways   []goAway
	pings     [][8]byte // acknowledged
	questions [][8]byte // PINGs of the server
	credit    int64     // what the server gave to the connection
	sent      int64     // content, in all
	fragment  []byte
	inStream  uint32
	inEnd     bool
}

type goAway struct {
	last uint32
	code xhttp2.ErrCode
}

// reply is what came back on a stream.
type reply struct {
	interim  []int
	status   int
	fields   []hpack.HeaderField
	content  []byte
	trailers []hpack.HeaderField
	ended    bool
	reset    bool
	code     xhttp2.ErrCode
	frames   []string // kinds, as they came: "HEADERS", "DATA END"
	window   int64    // what the server may still send
	credit   int64    // what the server gave, beyond the first window
	sent     int64
	given    bool // this end reset the stream
}

func (r *reply) field(name string) string {
	for _, f := range r.fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// dial has a connection served, and says hello.
func (s service) dial(t testing.TB, settings ...xhttp2.Setting) *peer {
	t.Helper()
	p := s.connect(t)
	p.greet(settings...)
	return p
}

// connect has a connection served.
func (s service) connect(t testing.TB) *peer {
	t.Helper()
	client, server := pair(t)
	p := newPeer(t, client)
	p.served = s.serve(t, server)
	t.Cleanup(func() {
		_ = client.Close()
		_ = p.served.wait(t)
	})
	return p
}

func newPeer(t testing.TB, conn net.Conn) *peer {
	p := &peer{t: t, conn: conn, streams: map[uint32]*reply{}, window: 65535, initial: 65535, settings: map[xhttp2.SettingID]uint32{}}
	p.Framer = xhttp2.NewFramer(peerOut{p}, conn)
	p.AllowIllegalWrites = true
	p.SetMaxReadFrameSize(1 << 20)
	p.encoder = hpack.NewEncoder(&p.block)
	p.decoder = hpack.NewDecoder(4096, nil)
	p.lastID = ^uint32(0)
	_ = conn.SetDeadline(time.Now().Add(patience))
	return p
}

type peerOut struct{ *peer }

func (o peerOut) Write(b []byte) (int, error) {
	if o.corked {
		return o.out.Write(b)
	}
	return o.conn.Write(b)
}

// uncork sends what was held back, in one write.
func (p *peer) uncork() {
	p.corked = false
	_, _ = p.conn.Write(p.out.Bytes())
	p.out.Reset()
}

// greet exchanges preface and settings.
func (p *peer) greet(settings ...xhttp2.Setting) {
	p.t.Helper()
	p.corked = true
	_, _ = p.out.WriteString(xhttp2.ClientPreface)
	p.set(settings...)
	p.uncork()
	p.greeted = true
	p.until("SETTINGS and their acknowledgement", func() bool { return len(p.settings) > 0 && len(p.pending) == 0 })
}

// set sends SETTINGS.
func (p *peer) set(settings ...xhttp2.Setting) {
	initial := int64(-1)
	for _, s := range settings {
		if s.ID == xhttp2.SettingInitialWindowSize {
			initial = int64(s.Val)
		}
		if s.ID == xhttp2.SettingHeaderTableSize {
			p.decoder.SetAllowedMaxDynamicTableSize(max(s.Val, 4096)) // until it is acknowledged, larger ones may come
		}
	}
	p.pending = append(p.pending, initial)
	_ = p.WriteSettings(settings...)
}

// raw sends bytes.
func (p *peer) raw(b []byte) { _, _ = peerOut{p}.Write(b) }

// frame sends a frame of any kind.
func (p *peer) frame(kind xhttp2.FrameType, flags xhttp2.Flags, stream uint32, payload []byte) {
	_ = p.WriteRawFrame(kind, flags, stream, payload)
}

func field(name, value string) hpack.HeaderField { return hpack.HeaderField{Name: name, Value: value} }

// head is that of a request.
func head(method, path string, more ...hpack.HeaderField) []hpack.HeaderField {
	return append([]hpack.HeaderField{field(":method", method), field(":scheme", "https"), field(":authority", "localhost"), field(":path", path)}, more...)
}

// encode compresses a field list.
func (p *peer) encode(fields []hpack.HeaderField) []byte {
	p.block.Reset()
	for _, f := range fields {
		_ = p.encoder.WriteField(f)
	}
	return bytes.Clone(p.block.Bytes())
}

// open opens the next stream.
func (p *peer) open(end bool, fields []hpack.HeaderField) uint32 {
	p.lastID += 2
	p.headers(p.lastID, end, fields)
	return p.lastID
}

// headers sends a field block on a stream.
func (p *peer) headers(id uint32, end bool, fields []hpack.HeaderField) {
	p.stream(id)
	_ = p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: p.encode(fields), EndHeaders: true, EndStream: end})
}

func (p *peer) get(path string, more ...hpack.HeaderField) uint32 {
	return p.open(true, head("GET", path, more...))
}

func (p *peer) post(path string, more ...hpack.HeaderField) uint32 {
	return p.open(false, head("POST", path, more...))
}

func (p *peer) data(id uint32, end bool, content string) {
	p.stream(id).sent += int64(len(content))
	p.sent += int64(len(content))
	_ = p.WriteData(id, end, []byte(content))
}

func (p *peer) reset(id uint32, code xhttp2.ErrCode) {
	p.stream(id).given = true
	_ = p.WriteRSTStream(id, code)
}

// widen gives window to a stream, or with 0 to the connection.
func (p *peer) widen(id uint32, n uint32) {
	if id == 0 {
		p.window += int64(n)
	} else {
		p.stream(id).window += int64(n)
	}
	_ = p.WriteWindowUpdate(id, n)
}

func (p *peer) stream(id uint32) *reply {
	r := p.streams[id]
	if r == nil {
		r = &reply{window: p.initial}
		p.streams[id] = r
	}
	return r
}

// read reads a frame, and takes it in.
func (p *peer) read() error {
	f, err := p.ReadFrame()
	if err != nil {
		return err
	}
	if _, first := f.(*xhttp2.SettingsFrame); !first && len(p.settings) == 0 {
		return breach(f.Header().Type.String() + " before SETTINGS")
	}
	return p.note(f)
}

// breach is what a server must not do.
type breach string

func (b breach) Error() string { return "the server's breach: " + string(b) }

func (p *peer) note(f xhttp2.Frame) error {
	switch f := f.(type) {
	case *xhttp2.SettingsFrame:
		return p.noteSettings(f)
	case *xhttp2.PingFrame:
		if f.IsAck() {
			p.pings = append(p.pings, f.Data)
		} else {
			p.questions = append(p.questions, f.Data)
		}
	case *xhttp2.GoAwayFrame:
		p.goAways = append(p.goAways, goAway{f.LastStreamID, f.ErrCode})
	case *xhttp2.WindowUpdateFrame:
		if f.StreamID == 0 {
			p.credit += int64(f.Increment)
		} else {
			p.stream(f.StreamID).credit += int64(f.Increment)
		}
	case *xhttp2.RSTStreamFrame:
		r := p.stream(f.StreamID)
		if r.reset && !r.given {
			return breach(fmt.Sprintf("a second reset of stream %d", f.StreamID))
		}
		r.reset, r.code = true, f.ErrCode
		r.frames = append(r.frames, "RST_STREAM")
	case *xhttp2.DataFrame:
		return p.noteData(f)
	case *xhttp2.HeadersFrame:
		p.fragment, p.inStream, p.inEnd = append(p.fragment[:0], f.HeaderBlockFragment()...), f.StreamID, f.StreamEnded()
		if f.HeadersEnded() {
			return p.noteHead()
		}
	case *xhttp2.ContinuationFrame:
		p.fragment = append(p.fragment, f.HeaderBlockFragment()...)
		if f.HeadersEnded() {
			return p.noteHead()
		}
	}
	return nil
}

func (p *peer) noteSettings(f *xhttp2.SettingsFrame) error {
	if f.IsAck() {
		if len(p.pending) == 0 {
			return breach("an acknowledgement of no SETTINGS")
		}
		if initial := p.pending[0]; initial >= 0 {
			for _, r := range p.streams {
				r.window += initial - p.initial
			}
			p.initial = initial
		}
		p.pending = p.pending[1:]
		return nil
	}
	_ = f.ForeachSetting(func(s xhttp2.Setting) error {
		p.settings[s.ID] = s.Val
		return nil
	})
	if p.greeted {
		_ = p.WriteSettingsAck()
	}
	return nil
}

func (p *peer) noteData(f *xhttp2.DataFrame) error {
	r := p.stream(f.StreamID)
	n := int64(f.Length)
	p.window -= n
	r.window -= n
	switch {
	case n > 0 && (p.window < 0 || r.window < 0):
		return breach(fmt.Sprintf("content beyond the windows: %d of the connection, %d of stream %d", p.window, r.window, f.StreamID))
	case r.ended || r.reset || r.status == 0:
		return breach(fmt.Sprintf("DATA on stream %d, which had %v", f.StreamID, r.frames))
	}
	r.content = append(r.content, f.Data()...)
	p.order = append(p.order, f.StreamID)
	r.note("DATA", f.StreamEnded())
	if p.returns && n > 0 {
		p.widen(0, uint32(n))
		if !r.ended {
			p.widen(f.StreamID, uint32(n))
		}
	}
	return nil
}

func (p *peer) noteHead() error {
	fields, err := p.decoder.DecodeFull(p.fragment)
	if err != nil {
		return fmt.Errorf("the server's compression of heads: %w", err)
	}
	r := p.stream(p.inStream)
	if r.ended || r.reset {
		return breach(fmt.Sprintf("HEADERS on stream %d, which had %v", p.inStream, r.frames))
	}
	r.note("HEADERS", p.inEnd)
	if r.status != 0 {
		r.trailers = fields
		if !p.inEnd {
			return breach("trailers that are not the end")
		}
		return nil
	}
	if len(fields) == 0 || fields[0].Name != ":status" {
		return breach("an answer without a status")
	}
	status, _ := strconv.Atoi(fields[0].Value)
	if status < 200 {
		r.interim = append(r.interim, status)
		return nil
	}
	r.status, r.fields = status, fields[1:]
	return nil
}

func (r *reply) note(kind string, end bool) {
	if end {
		kind += " END"
		r.ended = true
	}
	r.frames = append(r.frames, kind)
}

// until reads until something is so.
func (p *peer) until(what string, so func() bool) {
	p.t.Helper()
	for !so() {
		if err := p.read(); err != nil {
			p.t.Fatalf("while waiting for %s: %v (GOAWAY: %v)", what, err, p.goAways)
		}
	}
}

// answer reads until a stream has ended.
func (p *peer) answer(id uint32) *reply {
	p.t.Helper()
	r := p.stream(id)
	p.until(fmt.Sprintf("the end of stream %d", id), func() bool { return r.ended || r.reset })
	return r
}

// settle reads until the server has dealt with everything that was sent.
func (p *peer) settle() {
	p.t.Helper()
	n := len(p.pings)
	_ = p.WritePing(false, [8]byte{'s', 'e', 't', 't', 'l', 'e'})
	p.until("the answer to a PING", func() bool { return len(p.pings) > n })
}

// over reads until the connection ends, and tells which GOAWAY came last.
func (p *peer) over() goAway {
	p.t.Helper()
	for {
		err := p.read()
		if _, wrong := errors.AsType[breach](err); wrong {
			p.t.Fatal(err)
		}
		if netErr, ok := errors.AsType[net.Error](err); ok && netErr.Timeout() {
			p.t.Fatal("the connection goes on")
		}
		if err != nil {
			if !errors.Is(err, io.EOF) && !isReset(err) {
				p.t.Fatal(err)
			}
			break
		}
	}
	if len(p.goAways) == 0 {
		return goAway{code: 0xffff}
	}
	return p.goAways[len(p.goAways)-1]
}

func isReset(err error) bool {
	_, ok := errors.AsType[*net.OpError](err)
	return ok
}

// alive holds that the connection still serves.
func (p *peer) alive() {
	p.t.Helper()
	if r := p.answer(p.open(true, head("HEAD", "/"))); r.status == 0 {
		p.t.Errorf("a request is not answered: %v", r.frames)
	}
}
