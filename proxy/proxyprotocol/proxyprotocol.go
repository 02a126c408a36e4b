// Package proxyprotocol reads the header by which a load balancer says, before the first byte of a TCP connection's content,
// whose connection it relays: the PROXY protocol, versions 1 and 2
// (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt; its sections are cited below).
package proxyprotocol

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// ErrMalformed says that a connection does not begin with a header as the protocol has it.
var ErrMalformed = errors.New("malformed PROXY header")

func malformed(what string) error { return fmt.Errorf("%w: %s", ErrMalformed, what) }

const (
	mostLine = 107     // bytes of a header of version 1, its CRLF counted (section 2.1)
	mostRest = 4 << 10 // bytes after the fixed part of version 2: addresses, and TLVs, which may hold a certificate's name
)

// Source is who is at the other end of a relayed connection.
type Source struct {
	// Local says that the balancer speaks for itself, such as to ask for health: what is known of the connection holds.
	Local bool
	// Client is the other end; the unspecified address when the balancer does not tell it.
	Client netip.AddrPort
}

// Unknown is the Client of whom nothing is told. It stands for nobody: taking the balancer's own address instead would give
// the balancer's word to whoever sent the content.
var Unknown = netip.AddrPortFrom(netip.IPv4Unspecified(), 0)

// Read reads a header, and not a byte more. It may ask r for few bytes many times. Errors that are not ErrMalformed are r's.
func Read(r io.Reader) (Source, error) {
	var space [16 + mostRest]byte
	start := space[:len(signature)] // no header of version 1 is shorter
	if _, err := io.ReadFull(r, start); err != nil {
		return Source{}, err
	}
	switch {
	case string(start) == signature:
		return readBinary(r, &space)
	case strings.HasPrefix(string(start), "PROXY "):
		return readLine(r, &space)
	default:
		return Source{}, malformed("the connection does not begin with one")
	}
}

// readLine reads the rest of a header of version 1: a line of text (section 2.1).
func readLine(r io.Reader, space *[16 + mostRest]byte) (Source, error) {
	n := len(signature)
	for {
		missing := leastMissing(space[:n])
		if missing == 0 {
			break
		}
		if n+missing > mostLine {
			return Source{}, malformed("its line is too long")
		}
		if _, err := io.ReadFull(r, space[n:n+missing]); err != nil {
			return Source{}, err
		}
		n += missing
	}
	return parseLine(string(space[:n-2]))
}

// leastMissing is how many bytes a line certainly still has, so that asking for them takes nothing of what follows it.
func leastMissing(line []byte) int {
	for i, c := range line {
		if c == '\n' && i > 0 && line[i-1] == '\r' {
			return 0
		}
	}
	if line[len(line)-1] == '\r' {
		return 1
	}
	fields := 1
	for _, c := range line {
		if c == ' ' {
			fields++
		}
	}
	if len(line) > len("PROXY T") && line[len("PROXY ")] == 'T' {
		// Of "PROXY TCP6 :: :: 1 1" at least what follows the field that is being read: a space and a byte each, two for an address.
		switch fields {
		case 3:
			return len(" :: 1 1\r\n")
		case 4:
			return len(" 1 1\r\n")
		case 5:
			return len(" 1\r\n")
		}
	}
	return len("\r\n")
}

func parseLine(line string) (Source, error) {
	if line == "PROXY UNKNOWN" || strings.HasPrefix(line, "PROXY UNKNOWN ") { // what follows is to be ignored
		return Source{Client: Unknown}, nil
	}
	fields := strings.Split(line, " ")
	if len(fields) != 6 {
		return Source{}, malformed("its line has not six fields")
	}
	four := fields[1] == "TCP4"
	if !four && fields[1] != "TCP6" {
		return Source{}, malformed("an unknown protocol")
	}
	var ends [2]netip.AddrPort
	for i := range ends {
		addr, err := netip.ParseAddr(fields[2+i])
		if err != nil || addr.Is4() != four || addr.Zone() != "" {
			return Source{}, malformed("an address is none of its family")
		}
		port, err := strconv.ParseUint(fields[4+i], 10, 16)
		if err != nil || strconv.FormatUint(port, 10) != fields[4+i] {
			return Source{}, malformed("a port is none")
		}
		ends[i] = netip.AddrPortFrom(addr.Unmap(), uint16(port))
	}
	return Source{Client: ends[0]}, nil
}

// signature begins a header of version 2 (section 2.2).
const signature = "\r\n\r\n\x00\r\nQUIT\n"

// Bytes 13 and 14 of a header of version 2 (section 2.2).
const (
	version  = 0x20
	local    = 0x0
	proxied  = 0x1
	inet     = 0x1
	inet6    = 0x2
	unix     = 0x3
	stream   = 0x1
	datagram = 0x2
)

// readBinary reads the rest of a header of version 2.
func readBinary(r io.Reader, space *[16 + mostRest]byte) (Source, error) {
	if _, err := io.ReadFull(r, space[len(signature):16]); err != nil {
		return Source{}, err
	}
	length := int(binary.BigEndian.Uint16(space[14:16]))
	command, family, transport := space[12]&0xf, space[13]>>4, space[13]&0xf
	switch {
	case space[12]&0xf0 != version:
		return Source{}, malformed("an unknown version")
	case command > proxied:
		return Source{}, malformed("an unknown command")
	case family > unix || transport > datagram:
		return Source{}, malformed("an unknown protocol")
	case length > mostRest:
		return Source{}, malformed("it is too long")
	}
	rest := space[16 : 16+length] // the addresses, and TLVs, which nobody asks for
	if _, err := io.ReadFull(r, rest); err != nil {
		return Source{}, err
	}
	if command == local { // whatever addresses it has (section 2.2)
		return Source{Local: true}, nil
	}
	var size int
	switch {
	case transport == stream && family == inet:
		size = 4
	case transport == stream && family == inet6:
		size = 16
	default:
		return Source{Client: Unknown}, nil
	}
	if length < 2*size+4 {
		return Source{}, malformed("it is too short for its addresses")
	}
	addr, _ := netip.AddrFromSlice(rest[:size])
	return Source{Client: netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(rest[2*size:]))}, nil
}
