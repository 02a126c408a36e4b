package proxy_test

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2wire is a client's connection in HTTP/2 that knows extended CONNECT (RFC 8441). As an http.RoundTripper it makes one out
// of an upgrade to WebSocket, and an upgrade's answer out of what comes back.
type h2wire struct {
	conn  net.Conn
	ended chan struct{} // nothing more is read

	writing sync.Mutex
	framer  *http2.Framer
	out     *bufio.Writer
	encoder *hpack.Encoder
	block   bytes.Buffer
	next    uint32 // stream to open

	mu       sync.Mutex
	changed  *sync.Cond
	settings map[http2.SettingID]uint32 // nil until they came
	window   int64                      // of the connection: what may be sent
	streams  map[uint32]*h2flow
	goAway   bool
	err      error // why it ended
}

// h2flow is a stream of h2wire. It is what a WebSocket runs over.
type h2flow struct {
	wire *h2wire
	id   uint32

	// Of wire.mu.
	head   *http2.MetaHeadersFrame
	in     bytes.Buffer
	err    error // after what is in in: io.EOF at the stream's sound end
	window int64
	closed bool // this side has ended
}

// roomy is the window that the client gives the connection, so that a stream that nobody reads does not hold up others.
const roomy = 16 << 20

// wire connects to the edge.
func (e *edge) wire() *h2wire {
	e.t.Helper()
	conn, err := e.dialH2()
	if err != nil {
		e.t.Fatal(err)
	}
	return newH2wire(e.t, conn)
}

func newH2wire(t testing.TB, conn net.Conn) *h2wire {
	t.Helper()
	w := &h2wire{conn: conn, ended: make(chan struct{}), out: bufio.NewWriter(conn), window: 65535, next: 1, streams: map[uint32]*h2flow{}}
	w.changed = sync.NewCond(&w.mu)
	w.encoder = hpack.NewEncoder(&w.block)
	w.framer = http2.NewFramer(w.out, conn)
	w.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_, _ = w.out.WriteString(http2.ClientPreface)
	err := w.write(func() error { return errors.Join(w.framer.WriteSettings(), w.framer.WriteWindowUpdate(0, roomy)) })
	go w.listen()
	t.Cleanup(w.close)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// close ends the connection and waits for its reader.
func (w *h2wire) close() {
	_ = w.conn.Close()
	<-w.ended
}

func (w *h2wire) write(frames func() error) error {
	w.writing.Lock()
	defer w.writing.Unlock()
	if err := frames(); err != nil {
		return err
	}
	return w.out.Flush()
}

func (w *h2wire) listen() {
	defer close(w.ended)
	for {
		frame, err := w.framer.ReadFrame()
		if err == nil {
			err = w.take(frame)
		}
		if err != nil {
			w.mu.Lock()
			w.err = err
			for _, flow := range w.streams {
				flow.end(err)
			}
			w.changed.Broadcast()
			w.mu.Unlock()
			return
		}
	}
}

// take notes what a frame says.
func (w *h2wire) take(frame http2.Frame) error {
	var answer func() error
	w.mu.Lock()
	flow := w.streams[frame.Header().StreamID] // may be nil
	switch frame := frame.(type) {
	case *http2.SettingsFrame:
		if !frame.IsAck() {
			w.set(frame)
			answer = w.framer.WriteSettingsAck
		}
	case *http2.PingFrame:
		if !frame.IsAck() {
			answer = func() error { return w.framer.WritePing(true, frame.Data) }
		}
	case *http2.GoAwayFrame:
		w.goAway = true
	case *http2.WindowUpdateFrame:
		if flow != nil {
			flow.window += int64(frame.Increment)
		} else if frame.StreamID == 0 {
			w.window += int64(frame.Increment)
		}
	case *http2.RSTStreamFrame:
		if flow != nil {
			flow.end(http2.StreamError{StreamID: flow.id, Code: frame.ErrCode})
		}
	case *http2.MetaHeadersFrame:
		if flow != nil {
			flow.head = frame
			flow.endIf(frame.StreamEnded())
		}
	case *http2.DataFrame:
		if flow != nil {
			flow.in.Write(frame.Data())
			flow.endIf(frame.StreamEnded())
		}
	}
	w.changed.Broadcast()
	w.mu.Unlock()
	if answer == nil {
		return nil
	}
	return w.write(answer)
}

func (w *h2wire) set(frame *http2.SettingsFrame) {
	before := w.initialWindow()
	if w.settings == nil {
		w.settings = map[http2.SettingID]uint32{}
	}
	_ = frame.ForeachSetting(func(s http2.Setting) error {
		w.settings[s.ID] = s.Val
		return nil
	})
	for _, flow := range w.streams {
		flow.window += w.initialWindow() - before
	}
}

func (w *h2wire) initialWindow() int64 {
	if size, set := w.settings[http2.SettingInitialWindowSize]; set {
		return int64(size)
	}
	return 65535
}

func (f *h2flow) endIf(ended bool) {
	if ended {
		f.end(io.EOF)
	}
}

func (f *h2flow) end(err error) {
	if f.err == nil {
		f.err = err
	}
}

// setting waits for the edge's settings and returns one.
func (w *h2wire) setting(id http2.SettingID) uint32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.settings == nil && w.err == nil {
		w.changed.Wait()
	}
	return w.settings[id]
}

// leaving waits until the edge wants no more streams.
func (w *h2wire) leaving() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.goAway && w.err == nil {
		w.changed.Wait()
	}
	return w.goAway
}

// RoundTrip sends a request without content and waits for the head of its answer. The answer's Body is an *h2flow.
func (w *h2wire) RoundTrip(r *http.Request) (*http.Response, error) {
	key := r.Header.Get("Sec-WebSocket-Key")
	flow, err := w.open(r, key != "")
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for flow.head == nil && flow.err == nil {
		w.changed.Wait()
	}
	if flow.head == nil {
		return nil, flow.err
	}
	answer := &http.Response{Proto: "HTTP/2.0", ProtoMajor: 2, Header: http.Header{}, Body: flow, Request: r}
	if answer.StatusCode, err = strconv.Atoi(flow.head.PseudoValue("status")); err != nil {
		return nil, err
	}
	for _, field := range flow.head.RegularFields() {
		answer.Header.Add(field.Name, field.Value)
	}
	if key != "" && answer.StatusCode == http.StatusOK {
		sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		answer.StatusCode = http.StatusSwitchingProtocols
		answer.Header.Set("Connection", "Upgrade")
		answer.Header.Set("Upgrade", "websocket")
		if stray := answer.Header.Get("Sec-WebSocket-Accept"); stray != "" {
			return nil, errors.New("an accepted key that was not sent: " + stray)
		}
		answer.Header.Set("Sec-WebSocket-Accept", base64.StdEncoding.EncodeToString(sum[:]))
	}
	return answer, nil
}

// open sends a request's head.
func (w *h2wire) open(r *http.Request, tunnel bool) (flow *h2flow, err error) {
	head := []hpack.HeaderField{{Name: ":method", Value: r.Method}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: r.URL.Host}, {Name: ":path", Value: r.URL.RequestURI()}}
	if tunnel {
		head[0].Value = http.MethodConnect
		head = append(head, hpack.HeaderField{Name: ":protocol", Value: "websocket"})
	}
	for name, values := range r.Header {
		switch name {
		case "Connection", "Upgrade", "Sec-Websocket-Key":
			continue
		}
		for _, value := range values {
			head = append(head, hpack.HeaderField{Name: strings.ToLower(name), Value: value})
		}
	}
	err = w.write(func() error {
		w.block.Reset()
		for _, field := range head {
			_ = w.encoder.WriteField(field) // into memory
		}
		w.mu.Lock()
		flow = &h2flow{wire: w, id: w.next, window: w.initialWindow(), err: w.err, closed: !tunnel}
		w.streams[flow.id] = flow
		w.next += 2
		w.mu.Unlock()
		return w.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: flow.id, BlockFragment: w.block.Bytes(), EndHeaders: true, EndStream: !tunnel})
	})
	return flow, err
}

// Read takes what came, and gives as much window back.
func (f *h2flow) Read(p []byte) (int, error) {
	w := f.wire
	w.mu.Lock()
	for f.in.Len() == 0 && f.err == nil {
		w.changed.Wait()
	}
	n, _ := f.in.Read(p)
	ended := f.err
	w.mu.Unlock()
	if n == 0 {
		return 0, ended
	}
	if ended != nil {
		return n, nil
	}
	return n, w.write(func() error {
		return errors.Join(w.framer.WriteWindowUpdate(0, uint32(n)), w.framer.WriteWindowUpdate(f.id, uint32(n)))
	})
}

// Write sends as the windows allow.
func (f *h2flow) Write(p []byte) (sent int, err error) {
	const most = 16 << 10 // of a frame
	w := f.wire
	for sent < len(p) {
		w.mu.Lock()
		for min(f.window, w.window) <= 0 && !f.closed && (f.err == nil || f.err == io.EOF) { //nolint:errorlint // it is set as it is
			w.changed.Wait()
		}
		if f.closed || f.err != nil && f.err != io.EOF { //nolint:errorlint // as above
			w.mu.Unlock()
			return sent, errors.Join(net.ErrClosed, f.err)
		}
		part := p[sent:][:min(int64(len(p)-sent), f.window, w.window, most)]
		f.window -= int64(len(part))
		w.window -= int64(len(part))
		w.mu.Unlock()
		if err := w.write(func() error { return w.framer.WriteData(f.id, false, part) }); err != nil {
			return sent, err
		}
		sent += len(part)
	}
	return sent, nil
}

// Close ends this side of the stream.
func (f *h2flow) Close() error {
	if !f.shut() {
		return nil
	}
	return f.wire.write(func() error { return f.wire.framer.WriteData(f.id, true, nil) })
}

// reset breaks the stream off.
func (f *h2flow) reset() error {
	f.shut()
	return f.wire.write(func() error { return f.wire.framer.WriteRSTStream(f.id, http2.ErrCodeCancel) })
}

// shut tells whether it is this call that ends this side.
func (f *h2flow) shut() bool {
	f.wire.mu.Lock()
	defer f.wire.mu.Unlock()
	first := !f.closed && (f.err == nil || f.err == io.EOF) //nolint:errorlint // as above
	f.closed = true
	f.wire.changed.Broadcast()
	return first
}
