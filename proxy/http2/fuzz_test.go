package http2_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/http2"
	"github.com/portico-web/portico/proxy/message"
)

// fuzzed is the service that fuzz targets attack: its handlers read, write, give up and wait, as the path says.
func fuzzed() service {
	return service{
		bounds:  http2.Bounds{Streams: 8, ConnectionWindow: 128 << 10, StreamWindow: 64 << 10, Resets: 20, Frames: 200, Replies: 100, Continuations: 4},
		limits:  http1.Limits{HeadBytes: 4 << 10, TargetBytes: 1 << 10, Fields: 20},
		handler: behave,
	}
}

// behave does what a path asks for.
func behave(stream message.Stream) {
	unknown := &message.Head{Status: 200, Length: message.Unknown}
	switch path := stream.Head().Path; {
	case strings.HasPrefix(path, "/r"): // reads, then answers
		_, _ = content(stream.Body())
		answer(stream, 200, "read")
	case strings.HasPrefix(path, "/w"): // writes a lot
		if stream.Answer(unknown) != nil {
			return
		}
		for range 5 {
			if _, err := stream.Write(bytes.Repeat([]byte("w"), 20_000)); err != nil {
				return
			}
		}
		_ = stream.End(nil)
	case strings.HasPrefix(path, "/e"): // echoes
		if stream.Answer(unknown) != nil {
			return
		}
		for {
			part, err := stream.Body().Next()
			if errors.Is(err, io.EOF) {
				_ = stream.End(stream.Body().Trailer())
				return
			}
			if err != nil {
				stream.Abort()
				return
			}
			if _, err := stream.Write(part); err != nil || stream.Flush() != nil {
				return
			}
		}
	case strings.HasPrefix(path, "/a"): // gives up
		_ = stream.Answer(unknown)
		_, _ = stream.Write([]byte("a"))
		stream.Abort()
	case strings.HasPrefix(path, "/l"): // lasts as long as the client does
		_ = stream.Interim(&message.Head{Status: 103})
		<-stream.Context().Done()
	case strings.HasPrefix(path, "/i"): // is interrupted
		done := make(chan struct{})
		go func() {
			defer close(done)
			stream.Body().Interrupt()
		}()
		_, _ = content(stream.Body())
		<-done
		answer(stream, 504, "interrupted")
	case strings.HasPrefix(path, "/t"): // switches protocols
		tunnel, err := stream.Tunnel(&message.Head{Status: 101})
		if err != nil {
			answer(stream, 426, "")
			return
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.Copy(tunnel, tunnel)
			_ = tunnel.CloseWrite()
		}()
		<-done
	default:
		answer(stream, 200, "whole")
	}
}

// closeAtOnce ends a connection so that its port is free again: fuzzing needs thousands a second.
func closeAtOnce(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	_ = conn.Close()
}

func listenForFuzzing(f *testing.F) *net.TCPListener {
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = listener.Close() })
	return listener
}

// endsSoon holds that a connection ends by itself once its client has, with all that it started.
func endsSoon(t *testing.T, s *served) {
	t.Helper()
	select {
	case <-s.ended:
	case <-time.After(patience):
		t.Fatal("the connection is served on without a client")
	}
	if begun, returned := s.begun.Load(), s.returned.Load(); begun != returned {
		t.Fatalf("%d handlers began, and %d returned", begun, returned)
	}
}

// FuzzFrames gives a server what a client might say after the preface. It must neither panic nor hang, and what it says must be
// frames that are well-formed, within the windows, and no more than what was asked for.
func FuzzFrames(f *testing.F) {
	for _, seed := range frameSeeds() {
		f.Add(seed)
	}
	listener := listenForFuzzing(f)
	f.Fuzz(func(t *testing.T, input []byte) {
		if len(input) > 64<<10 {
			return
		}
		client, server := connect(t, listener)
		defer closeAtOnce(client)
		s := fuzzed().serve(t, server)
		p := newPeer(t, client)
		go func() {
			_, _ = client.Write(append([]byte(xhttp2.ClientPreface), input...))
			_ = client.CloseWrite()
		}()
		p.AllowIllegalReads = false
		p.lenient(input)
		bytesBack := 0 // content apart, which the windows bound
		for {
			frame, err := p.ReadFrame()
			if err == nil {
				if frame.Header().Type != xhttp2.FrameData {
					bytesBack += 9 + int(frame.Header().Length)
				}
				err = p.noteLenient(frame)
			}
			if err != nil {
				if _, wrong := errors.AsType[breach](err); wrong || !isEnd(err) {
					t.Fatal(err)
				}
				break
			}
		}
		if bytesBack > 1000+20*len(input) {
			t.Fatalf("%d bytes come back for %d", bytesBack, len(input))
		}
		endsSoon(t, s)
	})
}

func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isReset(err)
}

// lenient makes the peer ready for a server that is told anything: the windows that it may have been given are summed up.
func (p *peer) lenient(input []byte) {
	p.window = 65535
	for len(input) >= 9 {
		n := int(input[0])<<16 | int(input[1])<<8 | int(input[2])
		if n > len(input)-9 {
			break
		}
		payload := input[9 : 9+n]
		switch {
		case xhttp2.FrameType(input[3]) == xhttp2.FrameWindowUpdate && n == 4 && input[5]&0x7f|input[6]|input[7]|input[8] == 0:
			p.window += int64(payload[0]&0x7f)<<24 | int64(payload[1])<<16 | int64(payload[2])<<8 | int64(payload[3])
		case xhttp2.FrameType(input[3]) == xhttp2.FrameSettings:
			for ; len(payload) >= 6; payload = payload[6:] {
				if payload[0] == 0 && payload[1] == 1 {
					p.decoder.SetAllowedMaxDynamicTableSize(1 << 20)
				}
			}
		}
		input = input[9+n:]
	}
	p.initial = 1 << 40
}

// noteLenient takes a frame in of which it is not known what it answers.
func (p *peer) noteLenient(frame xhttp2.Frame) error {
	switch frame := frame.(type) {
	case *xhttp2.SettingsFrame:
		return nil
	case *xhttp2.RSTStreamFrame:
		p.stream(frame.StreamID).given = true // one reset for each frame that is wrong
	}
	return p.note(frame)
}

func frameSeeds() [][]byte {
	var buffer, block bytes.Buffer
	framer := xhttp2.NewFramer(&buffer, nil)
	framer.AllowIllegalWrites = true
	encoder := hpack.NewEncoder(&block)
	fields := func(list ...hpack.HeaderField) []byte {
		block.Reset()
		for _, f := range list {
			_ = encoder.WriteField(f)
		}
		return block.Bytes()
	}
	var seeds [][]byte
	seed := func(write func()) {
		buffer.Reset()
		encoder = hpack.NewEncoder(&block)
		_ = framer.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 100})
		write()
		seeds = append(seeds, bytes.Clone(buffer.Bytes()))
	}
	open := func(id uint32, end bool, list []hpack.HeaderField) {
		_ = framer.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: fields(list...), EndHeaders: true, EndStream: end})
	}
	seed(func() { open(1, true, head("GET", "/")) })
	seed(func() {
		open(1, false, head("POST", "/echo", field("content-length", "10")))
		_ = framer.WriteDataPadded(1, false, []byte("01234"), make([]byte, 7))
		_ = framer.WriteWindowUpdate(1, 1000)
		_ = framer.WriteWindowUpdate(0, 1000)
		_ = framer.WriteData(1, true, []byte("56789"))
	})
	seed(func() {
		open(1, false, head("POST", "/echo", field("te", "trailers")))
		_ = framer.WriteData(1, false, []byte("content"))
		open(1, true, []hpack.HeaderField{field("x-sum", "1")})
	})
	seed(func() {
		open(1, true, head("GET", "/write", field("priority", "u=0, i")))
		open(3, true, head("GET", "/write", field("cookie", "a=1"), field("cookie", "b=2")))
		_ = framer.WriteRawFrame(0x10, 0, 0, []byte("\x00\x00\x00\x05u=1"))
		open(5, true, head("HEAD", "/last"))
		_ = framer.WriteRSTStream(3, xhttp2.ErrCodeCancel)
		_ = framer.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 70000}, xhttp2.Setting{ID: xhttp2.SettingHeaderTableSize, Val: 0})
	})
	seed(func() {
		whole := bytes.Clone(fields(head("GET", "/continued", field("x-long", strings.Repeat("x", 50)))...))
		_ = framer.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: whole[:5], EndStream: true, Priority: xhttp2.PriorityParam{Weight: 3}})
		_ = framer.WriteContinuation(1, false, whole[5:9])
		_ = framer.WriteContinuation(1, true, whole[9:])
		_ = framer.WritePriority(7, xhttp2.PriorityParam{StreamDep: 1})
		_ = framer.WritePing(false, [8]byte{1})
		_ = framer.WriteGoAway(0, xhttp2.ErrCodeNo, nil)
		_ = framer.WriteSettingsAck()
	})
	seed(func() {
		open(1, false, []hpack.HeaderField{field(":method", "CONNECT"), field(":protocol", "websocket"), field(":scheme", "https"), field(":authority", "localhost"), field(":path", "/tunnel")})
		_ = framer.WriteData(1, false, []byte("hello"))
		_ = framer.WriteData(1, true, nil)
	})
	seed(func() { open(1, true, head("GET", "/", field("connection", "close"))) })
	return seeds
}

// FuzzStreams has a client do on many streams what bytes say, and holds the server to the rules all the time.
func FuzzStreams(f *testing.F) {
	for _, seed := range []string{
		"\x00\x00\x01\x00\x02\x00\x10\x00\x20\x00",
		"\x01\x01\x40\x00\x10\x45\x01\x10\x83\x90\x03\x20",
		"\x01\x20\x02\x30\x05\x11\x08\x00\x0a\x10\x06\x11\x0b\x21\x07\x00\x0c\x01",
		"\x01\x02\x01\x22\x01\x42\x02\x11\x31\x02\x22\x03\x10\x09\x31\x05\x00\x06\x01\x04\x01\x0d\x00",
		"\x0e\x11\x02\x10\x02\x20\x0f\x00\x03\x10\x07\x10\x0c\x02\x09\x41",
	} {
		f.Add([]byte(seed))
	}
	listener := listenForFuzzing(f)
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) > 512 {
			return
		}
		client, server := connect(t, listener)
		defer closeAtOnce(client)
		s := fuzzed().serve(t, server)
		p := newPeer(t, client)
		p.AllowIllegalReads = false
		p.served = s
		run := &run{peer: p, t: t}
		run.all(program)
		_ = client.CloseWrite()
		for {
			if err := p.read(); err != nil {
				run.fault(err)
				break
			}
		}
		endsSoon(t, s)
	})
}

// run is a client's program on its way.
type run struct {
	*peer
	t    *testing.T
	dead bool // the connection was ended by the server
}

var paths = [...]string{"/read", "/write", "/echo", "/abort", "/last", "/interrupted", "/tunnel", "/"}

// fault takes in an error of reading: a breach is the server's, and so is a wait without end; an end is none.
func (r *run) fault(err error) {
	r.t.Helper()
	r.dead = true
	if !isEnd(err) {
		r.t.Fatal(err)
	}
}

func (r *run) all(program []byte) {
	r.corked, r.greeted = true, true
	_, _ = r.out.WriteString(xhttp2.ClientPreface)
	r.set(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 30_000})
	for ; len(program) >= 2 && !r.dead; program = program[2:] {
		r.step(program[0], program[1])
	}
	r.uncork()
}

// step does one thing, of which the second byte says how, and mostly to which of the streams.
func (r *run) step(what, how byte) {
	id := uint32(how&0x0f)*2 + 1
	if id > r.lastID && how != 0xff { // mostly one that was opened
		id = r.lastID
	}
	size := 1 << (how >> 4) // 1 to 32768
	switch what % 20 {
	case 0, 1: // a request
		end, path := what%20 == 0, paths[how&7]
		list := head("POST", path, field("x-"+path[1:], strings.Repeat("v", int(how))))
		switch how >> 3 & 3 {
		case 1:
			list = append(list, field("priority", "u="+string('0'+rune(how>>5))+", i"))
		case 2:
			list = append(list, field("content-length", "1000"))
		case 3:
			list = append(list[1:], field(":method", "POST")) // malformed unless first
			if path == "/tunnel" {
				list = append([]hpack.HeaderField{field(":method", "CONNECT"), field(":protocol", "websocket")}, list[:3]...)
			}
		}
		r.open(end, list)
	case 2, 3: // content
		r.data(id, what%20 == 3, strings.Repeat("d", min(size, 16<<10)))
	case 4: // padded
		_ = r.WriteDataPadded(id, false, []byte("padded"), make([]byte, how))
	case 5, 6: // window
		r.widen(uint32(what%20-5)*id, uint32(size))
	case 7:
		r.reset(id, xhttp2.ErrCodeCancel)
	case 8:
		r.set(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: uint32(size - 1)})
	case 9:
		r.set(xhttp2.Setting{ID: xhttp2.SettingHeaderTableSize, Val: uint32(size-1) & 0x1fff})
	case 10:
		r.set(xhttp2.Setting{ID: xhttp2.SettingMaxFrameSize, Val: 16384 + uint32(how)<<7})
	case 11: // trailers
		r.headers(id, true, []hpack.HeaderField{field("x-trailer", "t")})
	case 12, 13: // wait for the server, or for another frame of it
		r.exchange(what%20 == 13)
	case 14:
		_ = r.WriteRawFrame(0x10, 0, 0, []byte{0, 0, 0, byte(id), 'u', '=', '0' + how>>5})
	case 15:
		r.stream(id).given = true // each one that depends on itself is answered by a reset
		_ = r.WritePriority(id, xhttp2.PriorityParam{StreamDep: uint32(how >> 4)})
	case 16:
		r.returns = how&1 == 0
	case 17: // what was written leaves
		r.uncork()
		r.corked = true
	case 18: // a block in parts
		list := r.encode(head("GET", paths[how&7], field("x-parts", strings.Repeat("p", 10))))
		r.lastID += 2
		r.stream(r.lastID)
		_ = r.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: r.lastID, BlockFragment: list[:1], EndStream: how&8 == 0})
		_ = r.WriteContinuation(r.lastID, false, list[1:len(list)/2])
		_ = r.WriteContinuation(r.lastID, true, list[len(list)/2:])
	case 19:
		r.served.Drain()
	}
}

// exchange has what was written leave, and reads what comes until everything was dealt with, or only a frame.
func (r *run) exchange(one bool) {
	n := len(r.pings)
	_ = r.WritePing(false, [8]byte{'f'})
	r.uncork()
	r.corked = true
	for len(r.pings) == n {
		if err := r.read(); err != nil {
			r.fault(err)
			return
		}
		if one {
			return
		}
	}
}
