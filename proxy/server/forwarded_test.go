package server

import (
	"bytes"
	"net"
	"testing"

	"golang.org/x/net/ipv4"
)

func TestThePacketsOfAGenerationAreKnown(t *testing.T) {
	t.Parallel()
	own := &packets{generation: 7}
	id, err := own.GenerateConnectionID()
	if err != nil || id.Len() != own.ConnectionIDLen() {
		t.Fatalf("%v, %v", id, err)
	}
	rest := make([]byte, 30)
	for name, test := range map[string]struct {
		packet     []byte
		generation byte
		known      bool
	}{
		"short":                    {append(append([]byte{0x40}, id.Bytes()...), rest...), 7, true},
		"long":                     {append(append([]byte{0xe0, 0, 0, 0, 1, idLength}, id.Bytes()...), rest...), 7, true},
		"long, the client's id":    {append([]byte{0xc0, 0, 0, 0, 1, 8, 7, 7, 7, 7, 7, 7, 7, 7}, rest...), 0, false},
		"long, no id":              {append([]byte{0xc0, 0, 0, 0, 1, 0}, rest...), 0, false},
		"long, an endless id":      {append([]byte{0xc0, 0, 0, 0, 1, 255}, rest...), 0, false},
		"empty":                    {nil, 0, false},
		"too short to be anything": {id.Bytes(), 0, false},
	} {
		if generation, known := generationOf(test.packet); known != test.known || known && generation != test.generation {
			t.Errorf("%s: %d, %v", name, generation, known)
		}
	}
}

// room is a message as the codec has them.
func room() ipv4.Message {
	return ipv4.Message{Buffers: [][]byte{make([]byte, 1452)}, OOB: make([]byte, 128)}
}

func TestPacketsAreForwardedWithAllThatIsKnownOfThem(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"192.0.2.1:443", "[2001:db8::1]:5", "[fe80::1%eth0]:65535", "[::ffff:192.0.2.1]:443"} {
		from, err := net.ResolveUDPAddr("udp", address)
		if err != nil {
			t.Fatal(err)
		}
		near, far, err := socketPair()
		if err != nil {
			t.Fatal(err)
		}
		to, err := net.FileConn(far)
		_ = far.Close()
		if err != nil {
			t.Fatal(err)
		}
		sender, receiver := &packets{}, &packets{next: near}
		sent := room()
		sent.Addr, sent.N, sent.NN = from, copy(sent.Buffers[0], bytes.Repeat([]byte("content"), 200)), copy(sent.OOB, "told")
		sender.forward(to.(*net.UnixConn), &sent)
		got := room()
		if n, err := receiver.readForwarded(&got); n != 1 || err != nil {
			t.Fatalf("%s: %d, %v", address, n, err)
		}
		if got.Addr.String() != from.String() || !bytes.Equal(got.Buffers[0][:got.N], sent.Buffers[0][:sent.N]) || string(got.OOB[:got.NN]) != "told" {
			t.Errorf("%s: from %v, %d bytes, told %q", address, got.Addr, got.N, got.OOB[:got.NN])
		}
		_, _ = near.Close(), to.Close()
	}
}

func TestWhatIsKeptOfABatchMovesToItsFront(t *testing.T) {
	t.Parallel()
	near, far, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	to, err := net.FileConn(far)
	_ = far.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	p := &packets{generation: 2, before: map[byte]*net.UnixConn{1: to.(*net.UnixConn)}}
	var batch []ipv4.Message
	for i, generation := range []byte{1, 2, 1, 3, 2} { // 3 is nobody's
		message := room()
		message.Addr = &net.UDPAddr{IP: net.IPv4(192, 0, 2, byte(i)), Port: 1}
		message.N = copy(message.Buffers[0], append([]byte{0x40, generation, 0, 0, 0, 0, byte(i)}, make([]byte, 20+i)...))
		message.NN = copy(message.OOB, []byte{byte(i)})
		batch = append(batch, message)
	}
	if kept := p.sort(batch); kept != 3 {
		t.Fatalf("%d are kept", kept)
	}
	for at, i := range []byte{1, 3, 4} {
		m := batch[at]
		if m.Buffers[0][6] != i || m.N != 27+int(i) || m.NN != 1 || m.OOB[0] != i || m.Addr.(*net.UDPAddr).IP.To4()[3] != i {
			t.Errorf("at %d is %d: %d bytes, from %v", at, m.Buffers[0][6], m.N, m.Addr)
		}
	}
}

func FuzzForwarded(f *testing.F) {
	f.Add([]byte("\x06\x7f\x00\x00\x01\x00\x01\x00content"))
	f.Add([]byte("\x06\x7f\x00\x00\x01\x00\x01\x04toldcontent"))
	f.Add([]byte("\xff"))
	f.Add(bytes.Repeat([]byte{255}, 256))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, text []byte) {
		message := room()
		if decodeForwarded(text, &message) == nil && (message.N > len(message.Buffers[0]) || message.NN > len(message.OOB) || message.Addr == nil) {
			t.Errorf("%+v", message)
		}
	})
}
