package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2settings are how a client of HTTP/2 receives.
type h2settings struct {
	window   uint32 // of each stream; only h2conn.allow makes it grow
	boundary bool   // the connection keeps the window that it has at first; otherwise all that the protocol allows
	buffer   int    // bytes that are read from, and written to, the socket at once
}

var (
	greedy = h2settings{window: maxWindow, buffer: 256 << 10} // nothing but the network stops who sends
	modest = h2settings{window: maxWindow, buffer: 4 << 10}
)

const (
	maxWindow   = 1<<31 - 1
	firstWindow = 1<<16 - 1 // RFC 9113 section 6.9.2
	dataSize    = 16 << 10  // of the frames that are sent: every server takes them
	patience    = 20 * time.Second
)

// h2conn is a client's connection of HTTP/2, frame by frame: cheaper than net/http's client, and it does whatever it is told.
// Requests may be made by many goroutines at once.
type h2conn struct {
	host   string
	socket *gathered
	tls    *tls.Conn
	ended  chan struct{} // nothing is read any longer

	writing  sync.Mutex // of frames; locked before state
	out      *bufio.Writer
	framer   *http2.Framer // reading is read's
	encoder  *hpack.Encoder
	block    bytes.Buffer
	next     uint32 // stream
	restored int64  // of the connection's window; read's

	state    sync.Mutex
	streams  map[uint32]*h2stream
	window   int64 // that the server has left us, on the connection
	initial  int64 // and on streams that begin
	moved    *sync.Cond
	leaving  bool // the server said so
	problem  error
	settings h2settings
}

// h2stream is one request. What stands below done may be read once that is closed.
type h2stream struct {
	id       uint32
	window   int64 // that the server has left us
	done     chan struct{}
	status   string
	received int64
	err      error
}

// dialH2 connects to https://localhost:port/ and says hello. Nothing is read before read is called. The connection ends with ctx.
func dialH2(ctx context.Context, url string, roots *x509.CertPool, settings h2settings) (*h2conn, error) {
	host := strings.TrimSuffix(strings.TrimPrefix(url, "https://"), "/")
	raw, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, err
	}
	socket := &gathered{Conn: raw, in: bufio.NewReaderSize(raw, settings.buffer)}
	secure := tls.Client(socket, &tls.Config{
		RootCAs: roots, ServerName: "localhost", NextProtos: []string{"h2"}, DynamicRecordSizingDisabled: true, // records are full from the first
	})
	_ = raw.SetDeadline(time.Now().Add(patience))
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	if secure.ConnectionState().NegotiatedProtocol != "h2" {
		return nil, errors.Join(errors.New("no HTTP/2 is spoken there"), raw.Close())
	}
	_ = raw.SetDeadline(time.Time{})
	socket.out = bufio.NewWriterSize(raw, settings.buffer)
	c := &h2conn{
		host: host, socket: socket, tls: secure, ended: make(chan struct{}), next: 1, streams: map[uint32]*h2stream{},
		window: firstWindow, initial: firstWindow, settings: settings, out: bufio.NewWriterSize(secure, settings.buffer),
	}
	c.moved = sync.NewCond(&c.state)
	c.encoder = hpack.NewEncoder(&c.block)
	c.framer = http2.NewFramer(c.out, secure)
	c.framer.SetReuseFrames()
	c.framer.AllowIllegalWrites = true
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	context.AfterFunc(ctx, c.close)
	return c, c.greet()
}

func (c *h2conn) greet() error {
	c.writing.Lock()
	defer c.writing.Unlock()
	_, _ = c.out.WriteString(http2.ClientPreface)
	_ = c.framer.WriteSettings(http2.Setting{ID: http2.SettingEnablePush}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: c.settings.window})
	if !c.settings.boundary {
		_ = c.framer.WriteWindowUpdate(0, maxWindow-firstWindow)
	}
	return c.flush()
}

// flush sends what was written; the caller has locked writing.
func (c *h2conn) flush() error {
	if err := c.out.Flush(); err != nil {
		return err
	}
	return c.socket.out.Flush()
}

func (c *h2conn) close() { _ = c.socket.Close() }

// read takes what comes until the connection ends.
func (c *h2conn) read() {
	defer close(c.ended)
	var err error
	for err == nil {
		var frame http2.Frame
		if frame, err = c.framer.ReadFrame(); err == nil {
			err = c.take(frame)
		}
	}
	c.close()
	c.state.Lock()
	defer c.state.Unlock()
	c.problem = fmt.Errorf("the connection ended: %w", err)
	for _, s := range c.streams {
		c.end(s, c.problem)
	}
	c.moved.Broadcast()
}

func (c *h2conn) take(frame http2.Frame) error {
	c.state.Lock()
	defer c.state.Unlock()
	s := c.streams[frame.Header().StreamID]
	switch frame := frame.(type) {
	case *http2.DataFrame:
		if s != nil {
			s.received += int64(len(frame.Data()))
			if frame.StreamEnded() {
				c.end(s, nil)
			}
		}
		return c.restore(int64(frame.Length))
	case *http2.MetaHeadersFrame:
		if s != nil {
			if status := frame.PseudoValue("status"); status != "" {
				s.status = status
			}
			if frame.StreamEnded() {
				c.end(s, nil)
			}
		}
	case *http2.RSTStreamFrame:
		if s != nil {
			c.end(s, fmt.Errorf("the stream was reset: %s", frame.ErrCode))
		}
	case *http2.WindowUpdateFrame:
		if frame.StreamID == 0 {
			c.window += int64(frame.Increment)
		} else if s != nil {
			s.window += int64(frame.Increment)
		}
		c.moved.Broadcast()
	case *http2.SettingsFrame:
		if frame.IsAck() {
			return nil
		}
		if size, ok := frame.Value(http2.SettingInitialWindowSize); ok {
			for _, s := range c.streams {
				s.window += int64(size) - c.initial
			}
			c.initial = int64(size)
			c.moved.Broadcast()
		}
		return c.reply(c.framer.WriteSettingsAck)
	case *http2.PingFrame:
		if !frame.IsAck() {
			return c.reply(func() error { return c.framer.WritePing(true, frame.Data) })
		}
	case *http2.GoAwayFrame:
		c.leaving = true
	}
	return nil
}

// end ends a stream; the caller has locked state.
func (c *h2conn) end(s *h2stream, err error) {
	delete(c.streams, s.id)
	s.err = err
	if err == nil && s.status != "200" {
		s.err = fmt.Errorf("answered %q", s.status)
	}
	close(s.done)
	c.moved.Broadcast()
}

// restore gives the connection's window back in large pieces.
func (c *h2conn) restore(size int64) error {
	c.restored += size
	piece := int64(maxWindow / 4)
	if c.settings.boundary {
		piece = firstWindow / 4
	}
	if c.restored < piece {
		return nil
	}
	given := uint32(c.restored)
	c.restored = 0
	return c.reply(func() error { return c.framer.WriteWindowUpdate(0, given) })
}

// reply writes a frame while state is locked, which has to be let go meanwhile: who writes may wait for the server.
func (c *h2conn) reply(write func() error) error {
	c.state.Unlock()
	defer c.state.Lock()
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := write(); err != nil {
		return err
	}
	return c.flush()
}

// begin writes a request's head without sending it; the caller has locked writing. A length below 0 says that nothing follows.
func (c *h2conn) begin(method, path string, length int64, more ...hpack.HeaderField) (*h2stream, error) {
	s := &h2stream{id: c.next, done: make(chan struct{})}
	c.next += 2
	c.state.Lock()
	s.window = c.initial
	if c.problem != nil {
		c.state.Unlock()
		return nil, c.problem
	}
	c.streams[s.id] = s
	c.state.Unlock()
	if length >= 0 {
		more = append(more, hpack.HeaderField{Name: "content-length", Value: strconv.FormatInt(length, 10)})
	}
	block := c.fields(method, path, more...)
	return s, c.headers(s.id, length < 0, block)
}

// fields encodes a request's head, up to the next call.
func (c *h2conn) fields(method, path string, more ...hpack.HeaderField) []byte {
	c.block.Reset()
	for _, field := range [...]hpack.HeaderField{
		{Name: ":method", Value: method}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: c.host}, {Name: ":path", Value: path},
	} {
		_ = c.encoder.WriteField(field)
	}
	for _, field := range more {
		_ = c.encoder.WriteField(field)
	}
	return c.block.Bytes()
}

// headers writes a block in as many frames as it takes.
func (c *h2conn) headers(id uint32, end bool, block []byte) error {
	first := block[:min(len(block), dataSize)]
	block = block[len(first):]
	err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndStream: end, EndHeaders: len(block) == 0})
	for len(block) > 0 && err == nil {
		part := block[:min(len(block), dataSize)]
		block = block[len(part):]
		err = c.framer.WriteContinuation(id, len(block) == 0, part)
	}
	return err
}

// request sends a request's head.
func (c *h2conn) request(method, path string, length int64) (*h2stream, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	s, err := c.begin(method, path, length)
	if err == nil {
		err = c.flush()
	}
	return s, err
}

// get has a request answered with 200, and returns how long the content was.
func (c *h2conn) get(path string) (int64, error) {
	s, err := c.request("GET", path, -1)
	if err != nil {
		return 0, err
	}
	<-s.done
	return s.received, s.err
}

// post has a request with this many bytes of content answered with 200.
func (c *h2conn) post(path string, size int64) error {
	s, err := c.request("POST", path, size)
	if err != nil {
		return err
	}
	content := make([]byte, dataSize)
	for size > 0 {
		part := c.reserve(s, min(size, int64(c.settings.buffer)))
		if part == 0 {
			break // answered early, or ended
		}
		size -= part
		if err := c.send(s.id, content, part, size == 0); err != nil {
			return err
		}
	}
	<-s.done
	if s.err == nil && size > 0 {
		return fmt.Errorf("answered %d bytes early", size)
	}
	return s.err
}

// reserve waits until something may be sent on the stream, and says how much of what is wanted. It is 0 when the stream has ended.
func (c *h2conn) reserve(s *h2stream, wanted int64) int64 {
	c.state.Lock()
	defer c.state.Unlock()
	for min(c.window, s.window) <= 0 && c.streams[s.id] != nil {
		c.moved.Wait()
	}
	if c.streams[s.id] == nil {
		return 0
	}
	part := min(wanted, c.window, s.window)
	c.window -= part
	s.window -= part
	return part
}

func (c *h2conn) send(id uint32, content []byte, size int64, end bool) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	for size > 0 {
		part := min(size, int64(len(content)))
		size -= part
		if err := c.framer.WriteData(id, end && size == 0, content[:part]); err != nil {
			return err
		}
	}
	return c.flush()
}

// allow lets the server send more on a stream.
func (c *h2conn) allow(s *h2stream, size uint32) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.framer.WriteWindowUpdate(s.id, size); err != nil {
		return err
	}
	return c.flush()
}

// usable says whether another request may be made.
func (c *h2conn) usable() bool {
	c.state.Lock()
	defer c.state.Unlock()
	return c.problem == nil && !c.leaving
}

// gathered reads and writes many TLS records at a time. It writes nothing by itself once out is set.
type gathered struct {
	net.Conn
	in  *bufio.Reader
	out *bufio.Writer
}

func (g *gathered) Read(p []byte) (int, error) { return g.in.Read(p) }

func (g *gathered) Write(p []byte) (int, error) {
	if g.out == nil {
		return g.Conn.Write(p)
	}
	return g.out.Write(p)
}
