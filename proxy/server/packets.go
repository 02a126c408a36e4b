package server

import (
	"crypto/rand"
	"errors"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/net/ipv4"
)

// packets is the UDP socket of HTTP/3. Processes that took each other's place share it: the last one reads, all of them
// write. Whose connection a packet is for is seen by the connection's id, which begins with the number of the process that
// chose it, its generation; packets of generations before go to their processes over pairs of sockets.
type packets struct {
	*net.UDPConn
	batch      *ipv4.PacketConn
	generation byte
	before     map[byte]*net.UnixConn // where packets of other generations go; never changes

	mu      sync.Mutex
	changed sync.Cond     // of what follows
	next    *net.UnixConn // where packets come from while yielded
	yielded atomic.Bool   // another process reads the socket, or is about to
	given   bool          // for good
	closing bool
	stopped chan struct{} // closed when the reading has stopped for next; nil after that

	message [mostForwarded]byte // for the one goroutine that reads
}

const (
	// idLength is shorter than the id that a client chooses for a connection that it begins with, which has eight bytes or more
	// (RFC 9000 section 7.2). As many of its bytes are random as the codec takes by itself.
	idLength = 5

	mostForwarded = 4 << 10
	// mostGenerations bounds how many processes before may still have connections, beyond what anybody needs.
	mostGenerations = 8
)

func newPackets(socket *net.UDPConn, generation byte, before map[byte]*net.UnixConn) *packets {
	p := &packets{UDPConn: socket, batch: ipv4.NewPacketConn(socket), generation: generation, before: before}
	p.changed.L = &p.mu
	return p
}

// GenerateConnectionID and ConnectionIDLen make packets a quic.ConnectionIDGenerator.
func (p *packets) GenerateConnectionID() (quic.ConnectionID, error) {
	id := [idLength]byte{p.generation}
	_, _ = rand.Read(id[1:]) // it never fails
	return quic.ConnectionIDFromBytes(id[:]), nil
}

// ConnectionIDLen is the length of every connection id, in bytes.
func (p *packets) ConnectionIDLen() int { return idLength }

// generationOf is the generation in the connection id that a packet is for (RFC 8999); false when the client chose that id.
func generationOf(packet []byte) (byte, bool) {
	switch {
	case len(packet) <= idLength+6:
		return 0, false // too short for either
	case packet[0]&0x80 == 0:
		return packet[1], true
	default:
		return packet[6], packet[5] == idLength
	}
}

// ReadBatch is where the codec gets its packets, with what the system tells of them.
func (p *packets) ReadBatch(messages []ipv4.Message, flags int) (int, error) {
	for {
		if p.yielded.Load() {
			if n, err := p.readForwarded(&messages[0]); n > 0 || err != nil {
				return n, err
			}
			continue
		}
		n, err := p.batch.ReadBatch(messages, flags)
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) && !p.isClosing() {
				continue // yield interrupted it
			}
			return n, err
		}
		if n = p.sort(messages[:n]); n > 0 {
			return n, nil
		}
	}
}

// sort forwards the packets that are for others, and moves the rest to the front, of which there are so many.
func (p *packets) sort(messages []ipv4.Message) int {
	if len(p.before) == 0 {
		return len(messages)
	}
	kept := 0
	for i := range messages {
		message := &messages[i]
		generation, known := generationOf(message.Buffers[0][:message.N])
		if known && generation != p.generation {
			if to := p.before[generation]; to != nil {
				p.forward(to, message)
				continue
			}
		}
		if kept < i { // the codec wants the buffers to stay where they are
			moved := &messages[kept]
			moved.N, moved.NN, moved.Flags, moved.Addr = copy(moved.Buffers[0], message.Buffers[0][:message.N]), copy(moved.OOB, message.OOB[:message.NN]), message.Flags, message.Addr
		}
		kept++
	}
	return kept
}

// forward hands a packet on: the client's address and what the system told of it, each after its length in a byte, then its
// content. When the other process is gone or falls behind, the packet is lost, which QUIC can bear.
func (p *packets) forward(to *net.UnixConn, message *ipv4.Message) {
	from, isUDP := message.Addr.(*net.UDPAddr)
	if !isUDP {
		return
	}
	address, err := from.AddrPort().MarshalBinary()
	if err != nil || len(address) > 255 || message.NN > 255 || 2+len(address)+message.NN+message.N > len(p.message) {
		return
	}
	text := append(p.message[:0], byte(len(address)))
	text = append(text, address...)
	text = append(text, byte(message.NN))
	text = append(text, message.OOB[:message.NN]...)
	text = append(text, message.Buffers[0][:message.N]...)
	_ = sendNow(to, text)
}

// readForwarded reads a packet that the process which reads the socket forwards; 0 when this one is to read it again.
func (p *packets) readForwarded(message *ipv4.Message) (int, error) {
	p.mu.Lock()
	next := p.next
	if p.stopped != nil {
		close(p.stopped)
		p.stopped = nil
	}
	p.mu.Unlock()
	n, err := next.Read(p.message[:])
	if err == nil && n > 0 {
		return 1, decodeForwarded(p.message[:n], message)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.yielded.Load() && !p.given && !p.closing {
		p.changed.Wait()
	}
	switch {
	case p.closing:
		return 0, os.ErrDeadlineExceeded
	case p.given: // the other process has ended: one that begins anew needs the address
		_ = p.UDPConn.Close()
		return 0, net.ErrClosed
	default:
		return 0, nil
	}
}

var errForwarded = errors.New("a packet was forwarded in a form that is not understood")

func decodeForwarded(text []byte, message *ipv4.Message) error {
	part := func() (part []byte, ok bool) {
		if len(text) == 0 || len(text) <= int(text[0]) {
			return nil, false
		}
		end := 1 + int(text[0])
		part, text = text[1:end], text[end:]
		return part, true
	}
	address, addressed := part()
	told, complete := part()
	var from netip.AddrPort
	if !addressed || !complete || from.UnmarshalBinary(address) != nil || len(told) > len(message.OOB) || len(text) > len(message.Buffers[0]) {
		return errForwarded
	}
	message.Addr, message.Flags = net.UDPAddrFromAddrPort(from), 0
	message.NN, message.N = copy(message.OOB, told), copy(message.Buffers[0], text)
	return nil
}

// stopWithin is enough for a reading that was interrupted to stop.
const stopWithin = time.Second

// yield stops the reading of the socket for the process that the last pair was given to; what comes waits, or is forwarded.
func (p *packets) yield() {
	p.mu.Lock()
	if p.next == nil || p.yielded.Load() {
		p.mu.Unlock()
		return
	}
	stopped := make(chan struct{})
	p.stopped = stopped
	p.yielded.Store(true)
	_ = p.UDPConn.SetReadDeadline(time.Unix(1, 0))
	p.mu.Unlock()
	select {
	case <-stopped:
	case <-time.After(stopWithin): // nobody reads
	}
}

// resume takes back what yield did.
func (p *packets) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.yielded.Load() && !p.closing {
		p.yielded.Store(false)
		_ = p.UDPConn.SetReadDeadline(time.Time{})
		_ = p.next.SetReadDeadline(time.Unix(1, 0))
		p.changed.Broadcast()
	}
}

// give makes what yield did final.
func (p *packets) give() {
	p.yield()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.given = true
	p.changed.Broadcast()
}

// SetReadDeadline is how the codec ends its reading.
func (p *packets) SetReadDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closing = !t.IsZero()
	p.changed.Broadcast()
	if p.next != nil {
		_ = p.next.SetReadDeadline(t)
	}
	return p.UDPConn.SetReadDeadline(t)
}

func (p *packets) isClosing() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closing
}

// pair makes the sockets over which the process that takes this one's place forwards packets, and returns its end.
func (p *packets) pair() (*os.File, error) {
	near, far, err := socketPair()
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next != nil { // of a process that gave up
		_ = p.next.Close()
	}
	p.next = near
	return far, nil
}

// generations are those before this one that still have a process, the newest first.
func (p *packets) generations() []byte {
	var living []byte
	for generation, to := range p.before {
		if !hungUp(to) {
			living = append(living, generation)
		}
	}
	slices.SortFunc(living, func(a, b byte) int { return int(p.generation-a) - int(p.generation-b) })
	return living[:min(len(living), mostGenerations-1)]
}

// Close closes the socket and the ways to others.
func (p *packets) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next != nil {
		_ = p.next.Close()
	}
	for to := range maps.Values(p.before) {
		_ = to.Close()
	}
	return p.UDPConn.Close()
}
