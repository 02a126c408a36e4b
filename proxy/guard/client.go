package guard

import (
	"net/netip"
	"strings"
)

// Contains tells whether an address, not one of IPv4 in the form of IPv6, is in one of the ranges.
func Contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, prefix := range prefixes {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// Client finds who sent a request and the X-Forwarded-For chain to hand on. Of an untrusted peer the chain is not believed:
// the peer is the client and the whole chain. A trusted one's chain is walked from its right end; the first address that is
// not itself trusted is the client, and the chain goes on with the peer appended.
func Client(peer netip.Addr, values []string, trusted []netip.Prefix) (client netip.Addr, chain string) {
	received := strings.TrimSpace(strings.Join(values, ", "))
	if !Contains(trusted, peer) || received == "" {
		return peer, peer.String()
	}
	client = peer
	for rest := received; rest != ""; {
		var last string
		if comma := strings.LastIndexByte(rest, ','); comma >= 0 {
			last, rest = rest[comma+1:], rest[:comma]
		} else {
			last, rest = rest, ""
		}
		addr, ok := parseHop(last)
		if !ok {
			// What stands left of an unreadable hop was not written by a proxy of ours.
			return client, client.String() + ", " + peer.String()
		}
		client = addr
		if !Contains(trusted, addr) {
			break
		}
	}
	return client, received + ", " + peer.String()
}

// Scheme is what a trusted peer's X-Forwarded-Proto says of its client's connection, http or https; "" when it says nothing
// that can be read. Of several values the last is the peer's own.
func Scheme(values []string) string {
	switch strings.ToLower(lastMember(values)) {
	case "https", "wss":
		return "https"
	case "http", "ws":
		return "http"
	default:
		return ""
	}
}

// Host is what a trusted peer's X-Forwarded-Host says that its client asked for; "" when it says nothing. Of several values the
// last is the peer's own.
func Host(values []string) string { return lastMember(values) }

func lastMember(values []string) string {
	if len(values) == 0 {
		return ""
	}
	last := values[len(values)-1]
	return strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
}

// parseHop reads one member of X-Forwarded-For; some load balancers append a port.
func parseHop(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	if addr, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return addr.Unmap().WithZone(""), true
	}
	if pair, err := netip.ParseAddrPort(text); err == nil {
		return pair.Addr().Unmap().WithZone(""), true
	}
	return netip.Addr{}, false
}
