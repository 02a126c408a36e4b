package proxy_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"maps"
	"net"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2peer is a client of HTTP/2 that sends what it likes, frame by frame. One goroutine writes; another, of its own, reads what
// comes back until the connection ends.
type h2peer struct {
	*http2.Framer // writes into out

	conn    net.Conn
	out     *bufio.Writer
	encoder *hpack.Encoder
	block   bytes.Buffer
	deaf    bool          // nobody reads
	streams uint32        // how many the edge allows at once
	closed  chan struct{} // the connection ended, and everything that came before was read
	settled chan struct{} // the edge has dealt with everything up to settle

	mu   sync.Mutex
	seen h2seen
}

// h2seen is what came back from the edge.
type h2seen struct {
	Statuses map[int]int           // answers, by status
	Resets   map[http2.ErrCode]int // streams that the edge reset
	GoAway   []http2.ErrCode
	Pings    int // acknowledged
}

// h2patience bounds an attack, and each wait for the edge.
const h2patience = 3 * time.Second

// attack opens a connection and says hello with these settings. A deaf peer never reads after that.
func (e *edge) attack(deaf bool, settings ...http2.Setting) (*h2peer, error) {
	conn, err := e.dialH2()
	if err != nil {
		return nil, err
	}
	p := &h2peer{
		conn: conn, out: bufio.NewWriterSize(conn, 16<<10), deaf: deaf, closed: make(chan struct{}), settled: make(chan struct{}),
		seen: h2seen{Statuses: map[int]int{}, Resets: map[http2.ErrCode]int{}},
	}
	p.encoder = hpack.NewEncoder(&p.block)
	p.Framer = http2.NewFramer(p.out, conn)
	p.AllowIllegalWrites = true
	_ = conn.SetDeadline(time.Now().Add(h2patience))
	if err := p.greet(settings); err != nil {
		_ = conn.Close()
		return nil, err
	}
	_ = conn.SetReadDeadline(time.Time{})
	if !deaf {
		go p.listen()
	}
	return p, nil
}

// dialH2 opens a connection on which HTTP/2 was agreed upon and nothing was said yet.
func (e *edge) dialH2() (net.Conn, error) {
	return tls.Dial("tcp", e.Addrs().HTTPS.String(), &tls.Config{RootCAs: e.roots(), ServerName: "localhost", NextProtos: []string{"h2"}})
}

// greet exchanges preface and settings.
func (p *h2peer) greet(settings []http2.Setting) error {
	_, _ = p.out.WriteString(http2.ClientPreface)
	if err := p.WriteSettings(settings...); err != nil {
		return err
	}
	if err := p.out.Flush(); err != nil {
		return err
	}
	frame, err := p.ReadFrame()
	if err != nil {
		return err
	}
	if theirs, ok := frame.(*http2.SettingsFrame); ok {
		p.streams, _ = theirs.Value(http2.SettingMaxConcurrentStreams)
	}
	if err := p.WriteSettingsAck(); err != nil {
		return err
	}
	return p.out.Flush()
}

func (p *h2peer) listen() {
	defer close(p.closed)
	p.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		frame, err := p.ReadFrame()
		if err != nil {
			return
		}
		p.note(frame)
	}
}

func (p *h2peer) note(frame http2.Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch frame := frame.(type) {
	case *http2.MetaHeadersFrame:
		status, _ := strconv.Atoi(frame.PseudoValue("status"))
		p.seen.Statuses[status]++
	case *http2.RSTStreamFrame:
		p.seen.Resets[frame.ErrCode]++
	case *http2.GoAwayFrame:
		p.seen.GoAway = append(p.seen.GoAway, frame.ErrCode)
	case *http2.PingFrame:
		switch {
		case frame.Data == h2lastPing:
			close(p.settled)
		case frame.IsAck():
			p.seen.Pings++
		}
	}
}

// saw is what came back so far.
func (p *h2peer) saw() h2seen {
	p.mu.Lock()
	defer p.mu.Unlock()
	return h2seen{maps.Clone(p.seen.Statuses), maps.Clone(p.seen.Resets), append([]http2.ErrCode(nil), p.seen.GoAway...), p.seen.Pings}
}

// h2lastPing is told apart from those of a flood.
var h2lastPing = [8]byte{'l', 'a', 's', 't'}

// settle waits until the edge has dealt with everything that was sent, or the connection ended.
func (p *h2peer) settle() {
	if p.deaf || p.WritePing(false, h2lastPing) != nil || p.out.Flush() != nil {
		return // without an answer there is nothing to wait for, and a failed write is the edge's last word
	}
	timer := time.NewTimer(h2patience)
	defer timer.Stop()
	select {
	case <-p.settled:
	case <-p.closed:
	case <-timer.C:
	}
}

// gone tells whether the edge ends the connection within this time.
func (p *h2peer) gone(within time.Duration) bool {
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-p.closed:
		return true
	case <-timer.C:
		return false
	}
}

// repeat calls send up to n times, until the edge ends the connection or takes nothing more, and then flushes.
func (p *h2peer) repeat(n int, send func(i int) error) {
	for i := range n {
		select {
		case <-p.closed:
			return
		default:
		}
		if send(i) != nil {
			return
		}
	}
	_ = p.out.Flush()
}

// fields encodes a request's head and further fields.
func (p *h2peer) fields(method, path string, more ...hpack.HeaderField) []byte {
	p.block.Reset()
	head := []hpack.HeaderField{{Name: ":method", Value: method}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: "localhost"}, {Name: ":path", Value: path}}
	for _, field := range append(head, more...) {
		_ = p.encoder.WriteField(field) // into memory
	}
	return p.block.Bytes()
}

// ask sends the whole head of a request. The i-th request takes the i-th stream.
func (p *h2peer) ask(i int, method, path string, end bool) error {
	return p.WriteHeaders(http2.HeadersFrameParam{StreamID: h2stream(i), BlockFragment: p.fields(method, path), EndStream: end, EndHeaders: true})
}

// split sends a block of fields of any size: HEADERS, then CONTINUATION.
func (p *h2peer) split(i int, block []byte) error {
	const most = 16 << 10
	first := block[:min(most, len(block))]
	block = block[len(first):]
	err := p.WriteHeaders(http2.HeadersFrameParam{StreamID: h2stream(i), BlockFragment: first, EndStream: true, EndHeaders: len(block) == 0})
	for err == nil && len(block) > 0 {
		part := block[:min(most, len(block))]
		block = block[len(part):]
		err = p.WriteContinuation(h2stream(i), len(block) == 0, part)
	}
	return err
}

func h2stream(i int) uint32 { return uint32(2*i + 1) }

// close ends the connection and waits for the reader.
func (p *h2peer) close() {
	_ = p.conn.SetDeadline(time.Now()) // closing says goodbye, which a full connection would not take
	_ = p.conn.Close()
	if p.deaf {
		close(p.closed)
	}
	<-p.closed
}
