package upstream

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// Address is where a target listens and how it is spoken to, as the configuration says it.
type Address struct {
	Scheme string // http, https or h2c
	Host   string // host:port; "" for a socket
	Socket string // the path of a Unix socket; "" for TCP
}

// maxSocketPath is what systems take as the path of a Unix socket, on those that take least.
const maxSocketPath = 103

// ParseTarget reads host:port, http://host:port, https://host:port, or h2c://host:port for HTTP/2 without TLS; and
// unix:/path or h2c+unix:/path for a Unix socket.
func ParseTarget(text string) (Address, error) {
	if socket, ok := strings.CutPrefix(text, "unix:"); ok {
		return parseSocket(text, "http", socket)
	}
	if socket, ok := strings.CutPrefix(text, "h2c+unix:"); ok {
		return parseSocket(text, "h2c", socket)
	}
	malformed := fmt.Errorf("%q is not a target such as app:8000, https://host:8443 or unix:/run/app.sock", text)
	address := Address{Scheme: "http", Host: text}
	if strings.Contains(text, "://") {
		parsed, err := url.Parse(text)
		if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" && parsed.Scheme != "h2c" ||
			parsed.User != nil || parsed.Path != "" || parsed.RawQuery != "" || parsed.Fragment != "" {
			return Address{}, malformed
		}
		address = Address{Scheme: parsed.Scheme, Host: parsed.Host}
	}
	host, port, err := net.SplitHostPort(address.Host)
	if err != nil || host == "" {
		return Address{}, malformed
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		return Address{}, malformed
	}
	if _, err := netip.ParseAddr(host); err != nil && strings.ContainsAny(host, "/?#@ :%") {
		return Address{}, malformed
	}
	return address, nil
}

func parseSocket(text, scheme, socket string) (Address, error) {
	switch {
	case !path.IsAbs(socket) || path.Clean(socket) != socket:
		return Address{}, fmt.Errorf("%q does not name a socket by its full path, such as unix:/run/app.sock", text)
	case len(socket) > maxSocketPath:
		return Address{}, fmt.Errorf("%q names a socket whose path is longer than the %d bytes that systems take", text, maxSocketPath)
	case strings.ContainsAny(socket, "\x00\r\n"):
		return Address{}, fmt.Errorf("%q is not the path of a socket", text)
	}
	return Address{Scheme: scheme, Socket: socket}, nil
}

// String is the address in its full form, for logs and metrics.
func (a Address) String() string {
	switch {
	case a.Socket == "":
		return a.Scheme + "://" + a.Host
	case a.Scheme == "h2c":
		return "h2c+unix:" + a.Socket
	default:
		return "unix:" + a.Socket
	}
}

// hostname is the host without the port; "" for a socket.
func (a Address) hostname() string {
	host, _, _ := net.SplitHostPort(a.Host)
	return host
}

// endpoint is what is dialled unless the host is a name whose addresses are known.
func (a Address) endpoint() endpoint {
	if a.Socket != "" {
		return endpoint{"unix", a.Socket}
	}
	return endpoint{"tcp", a.Host}
}

// named tells whether the host is a name to be resolved. localhost is this host, at whichever of its two addresses it
// listens (RFC 6761 section 6.3), so that it is one target.
func (a Address) named() bool {
	host := strings.TrimSuffix(strings.ToLower(a.hostname()), ".")
	if host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return false
	}
	_, err := netip.ParseAddr(host)
	return err != nil
}

// endpoint is where a connection goes, in net.Dial's words.
type endpoint struct{ network, address string }

// withPort is the endpoint at another port, unless that is 0.
func (e endpoint) withPort(port int) endpoint {
	if port == 0 || e.network != "tcp" {
		return e
	}
	host, _, _ := net.SplitHostPort(e.address)
	return endpoint{e.network, net.JoinHostPort(host, strconv.Itoa(port))}
}
