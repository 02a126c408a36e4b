package routing

import (
	"net"
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// AnyHost as a site's host stands for every host that no other site names.
const AnyHost = "*"

// CleanHost is a request's host as the table knows it: without port and trailing dot, in lower case, IPv6 without brackets.
// It is "" when host is malformed.
func CleanHost(host string) string {
	name := host
	if strings.HasPrefix(host, "[") {
		end := strings.IndexByte(host, ']')
		if end < 0 || end+1 < len(host) && host[end+1] != ':' {
			return ""
		}
		addr, err := netip.ParseAddr(host[1:end])
		if err != nil || !addr.Is6() || addr.Zone() != "" || end+1 < len(host) && !digits(host[end+2:]) {
			return ""
		}
		return addr.String()
	}
	if colon := strings.IndexByte(host, ':'); colon >= 0 {
		name = host[:colon]
		if !digits(host[colon+1:]) {
			return ""
		}
	}
	name = strings.TrimSuffix(name, ".")
	lower := true
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '.', c == '_':
		case 'A' <= c && c <= 'Z':
			lower = false
		default:
			return ""
		}
	}
	if lower {
		return name
	}
	return strings.ToLower(name)
}

// ParseHost is a host of the configuration in the form of CleanHost: a name (in Unicode too), *.name, an IP address, or "*".
func ParseHost(host string) (string, bool) {
	if host == AnyHost {
		return host, true
	}
	if addr, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return addr.String(), true
	}
	name, wildcard := strings.CutPrefix(host, "*.")
	ascii, err := idna.Lookup.ToASCII(strings.TrimSuffix(name, "."))
	if err != nil || ascii == "" || len(ascii) > 253 || CleanHost(ascii) != ascii || net.ParseIP(ascii) != nil {
		return "", false
	}
	for label := range strings.SplitSeq(ascii, ".") {
		if label == "" || len(label) > 63 {
			return "", false
		}
	}
	if wildcard {
		ascii = "*." + ascii
	}
	return ascii, true
}

func digits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return len(text) <= 5
}
