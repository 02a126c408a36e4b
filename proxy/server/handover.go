package server

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
)

// The names of the sockets that are handed over.
const (
	nameHTTP     = "http"
	nameHTTPS    = "https"
	nameInternal = "internal"
	nameQUIC     = "quic"
	nameBefore   = "before" // where packets of a generation of QUIC's connections go, which stands in the place of the address
)

// mostSockets bounds how many are handed over.
const mostSockets = 4 + mostGenerations

// mostHeader bounds the header of a handover, in bytes.
const mostHeader = 4 << 10

// handover is what is said about the sockets that are handed over, in the order of their descriptors. On the wire it is
// JSON after its length in four bytes, with the descriptors at the first of them.
type handover struct {
	Sockets    []handedSocket `json:"sockets"`
	Generation byte           `json:"generation"` // of the sender's connections of QUIC
	Tickets    []ticketKey    `json:"tickets,omitempty"`
}

type handedSocket struct {
	Name    string `json:"name"`
	Address string `json:"address"` // as it was configured
}

// HandOver sends the open sockets to another process, which takes them with Inherit. Both then accept what comes, so that
// nobody is refused while this one ends; closing these Listeners loses nothing that waits to be accepted. A deadline is
// connection's. It is there on Unix systems only.
func (l *Listeners) HandOver(connection *net.UnixConn) error {
	sent := handover{Tickets: l.tickets.all()}
	var files []*os.File
	defer func() {
		for _, file := range files {
			_ = file.Close()
		}
	}()
	add := func(name, address string, open func() (*os.File, error)) error {
		file, err := open()
		if err != nil {
			return fmt.Errorf("handing over the socket of %s: %w", name, err)
		}
		files = append(files, file)
		sent.Sockets = append(sent.Sockets, handedSocket{name, address})
		return nil
	}
	var errs []error
	if l.http != nil {
		errs = append(errs, add(nameHTTP, l.settings.HTTP, l.http.File))
	}
	if l.https != nil {
		errs = append(errs, add(nameHTTPS, l.settings.HTTPS, l.https.File))
	}
	if l.internal != nil {
		errs = append(errs, add(nameInternal, l.settings.Internal, l.internal.File))
	}
	if l.quic != nil {
		sent.Generation = l.quic.generation
		errs = append(errs, add(nameQUIC, l.settings.HTTPS, l.quic.File), add(nameBefore, strconv.Itoa(int(l.quic.generation)), l.quic.pair))
		for _, generation := range l.quic.generations() {
			errs = append(errs, add(nameBefore, strconv.Itoa(int(generation)), l.quic.before[generation].File))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	text, err := json.Marshal(sent)
	if err != nil {
		return err
	}
	if len(text) > mostHeader {
		return errors.New("handing over: the addresses are too long")
	}
	if err := sendFiles(connection, binary.BigEndian.AppendUint32(nil, uint32(len(text))), files); err != nil {
		return fmt.Errorf("handing over: %w", err)
	}
	if _, err := connection.Write(text); err != nil {
		return fmt.Errorf("handing over: %w", err)
	}
	return nil
}

// Yield stops what this process would take away from the one that HandOver gave the sockets to, before that one serves: the
// packets of HTTP/3, which wait for it. Connections go on as soon as it forwards them. Resume takes Yield back.
func (l *Listeners) Yield() {
	if l.quic != nil {
		l.quic.yield()
	}
}

// Resume reads packets of HTTP/3 again, since no other process does.
func (l *Listeners) Resume() {
	if l.quic != nil {
		l.quic.resume()
	}
}

// Inherited are sockets that another process handed over. They belong to Listen, or must be closed.
type Inherited struct {
	sockets   []handedSocket
	listeners []*net.TCPListener // by socket; nil for others
	datagrams []*net.UDPConn

	tickets    []ticketKey
	generation byte
	before     map[byte]*net.UnixConn
}

// Inherit takes what HandOver sends. A socket whose name it does not know is closed; what else it cannot use is an error.
func Inherit(connection *net.UnixConn) (*Inherited, error) {
	var length [4]byte
	files, err := receiveFiles(connection, length[:], mostSockets)
	defer func() {
		for _, file := range files {
			_ = file.Close() // the sockets made of them are copies
		}
	}()
	if err != nil {
		return nil, fmt.Errorf("inheriting sockets: %w", err)
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > mostHeader {
		return nil, errors.New("inheriting sockets: the header is too long")
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(connection, text); err != nil {
		return nil, fmt.Errorf("inheriting sockets: %w", err)
	}
	var received handover
	if err := json.Unmarshal(text, &received); err != nil {
		return nil, fmt.Errorf("inheriting sockets: the header: %w", err)
	}
	if len(received.Sockets) != len(files) {
		return nil, fmt.Errorf("inheriting sockets: %d came, %d were announced", len(files), len(received.Sockets))
	}
	inherited := &Inherited{tickets: received.Tickets, generation: received.Generation + 1, before: map[byte]*net.UnixConn{}}
	for i, socket := range received.Sockets {
		if err := inherited.add(socket, files[i]); err != nil {
			inherited.Close()
			return nil, fmt.Errorf("inheriting the socket of %q: %w", socket.Name, err)
		}
	}
	return inherited, nil
}

func (i *Inherited) add(socket handedSocket, file *os.File) error {
	if socket.Name == nameBefore {
		return i.addBefore(socket.Address, file)
	}
	if slices.ContainsFunc(i.sockets, func(other handedSocket) bool { return other.Name == socket.Name }) {
		return errors.New("it came twice")
	}
	var listener *net.TCPListener
	var datagrams *net.UDPConn
	switch socket.Name {
	case nameHTTP, nameHTTPS, nameInternal:
		opened, err := net.FileListener(file)
		if err != nil {
			return err
		}
		var isTCP bool
		if listener, isTCP = opened.(*net.TCPListener); !isTCP {
			_ = opened.Close()
			return errors.New("it does not listen on TCP")
		}
	case nameQUIC:
		opened, err := net.FilePacketConn(file)
		if err != nil {
			return err
		}
		var isUDP bool
		if datagrams, isUDP = opened.(*net.UDPConn); !isUDP {
			_ = opened.Close()
			return errors.New("it is not of UDP")
		}
	default:
		return nil // of another version of this program: the descriptor is closed
	}
	i.sockets, i.listeners, i.datagrams = append(i.sockets, socket), append(i.listeners, listener), append(i.datagrams, datagrams)
	return nil
}

func (i *Inherited) addBefore(address string, file *os.File) error {
	generation, err := strconv.ParseUint(address, 10, 8)
	if err != nil {
		return err
	}
	opened, err := net.FileConn(file)
	if err != nil {
		return err
	}
	to, isUnix := opened.(*net.UnixConn)
	if !isUnix || i.before[byte(generation)] != nil {
		_ = opened.Close()
		return errors.New("it is not of a pair, or came twice")
	}
	i.before[byte(generation)] = to
	return nil
}

// find is where the socket of this name and configured address is, or -1.
func (i *Inherited) find(name, address string) int {
	if i == nil {
		return -1
	}
	return slices.Index(i.sockets, handedSocket{name, address})
}

// listener takes out a socket; nil when none of this name and address was inherited.
func (i *Inherited) listener(name, address string) (taken *net.TCPListener) {
	if at := i.find(name, address); at >= 0 {
		taken, i.listeners[at] = i.listeners[at], nil
	}
	return taken
}

// packets takes out the socket of HTTP/3, if one of this address was inherited.
func (i *Inherited) packets(address string) *packets {
	at := i.find(nameQUIC, address)
	if at < 0 {
		return nil
	}
	taken := newPackets(i.datagrams[at], i.generation, i.before)
	i.datagrams[at], i.before = nil, nil
	return taken
}

// Close closes what was not taken by Listen. It may be called on nil, and twice.
func (i *Inherited) Close() {
	if i == nil {
		return
	}
	for at := range i.sockets {
		if i.listeners[at] != nil {
			_ = i.listeners[at].Close()
		}
		if i.datagrams[at] != nil {
			_ = i.datagrams[at].Close()
		}
	}
	for _, to := range i.before {
		_ = to.Close()
	}
	*i = Inherited{}
}
