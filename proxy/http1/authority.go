package http1

import (
	"bytes"
	"net/netip"
)

// validAuthority tells whether text is a host with or without a port (RFC 3986 section 3.2): a name, an IPv4 address or a
// bracketed IPv6 address without a zone. Names have letters, digits and "-._~" only: no other can be that of a site. There
// is no userinfo, and a port that is announced by a colon is not empty.
func validAuthority(text []byte) bool {
	if len(text) > 0 && text[0] == '[' {
		end := bytes.IndexByte(text, ']')
		if end < 0 {
			return false
		}
		address, err := netip.ParseAddr(string(text[1:end]))
		if err != nil || !address.Is6() || address.Zone() != "" {
			return false
		}
		rest := text[end+1:]
		return len(rest) == 0 || rest[0] == ':' && validPort(rest[1:])
	}
	name, port, hasPort := bytes.Cut(text, []byte(":"))
	return len(name) > 0 && all(name, inHost) && (!hasPort || validPort(port))
}

func validPort(text []byte) bool {
	if len(text) > 5 {
		return false
	}
	port, ok := decimal(text)
	return ok && port <= 65535
}

// keepAuthority is text as a valid authority, or "". The last one of the connection is kept: clients seldom ask for another.
func (r *Reader) keepAuthority(text []byte) string {
	if string(text) != r.authority || len(text) == 0 {
		if !validAuthority(text) {
			return ""
		}
		r.authority = string(text)
	}
	return r.authority
}
