package message

import (
	"net/netip"
	"strings"
)

// ValidAuthority tells whether text is a host with or without a port (RFC 3986 section 3.2): a name, an IPv4 address or a
// bracketed IPv6 address without a zone. Names have letters, digits and "-._~" only: no other can be that of a site. There
// is no userinfo, and a port that is announced by a colon is not empty.
func ValidAuthority(text string) bool {
	if literal, bracketed := strings.CutPrefix(text, "["); bracketed {
		literal, rest, closed := strings.Cut(literal, "]")
		address, err := netip.ParseAddr(literal)
		return closed && err == nil && address.Is6() && address.Zone() == "" && (rest == "" || rest[0] == ':' && validPort(rest[1:]))
	}
	name, port, hasPort := strings.Cut(text, ":")
	return validName(name) && (!hasPort || validPort(port))
}

func validName(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter, digit := 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9'
		if !letter && !digit && c != '-' && c != '.' && c != '_' && c != '~' {
			return false
		}
	}
	return name != ""
}

func validPort(text string) bool {
	port := 0
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
		port = port*10 + int(text[i]-'0')
	}
	return 0 < len(text) && len(text) <= 5 && port <= 65535
}
