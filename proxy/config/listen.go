package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/portico-web/portico/proxy/routing"
)

// Listen says where connections are taken. An empty address listens nowhere.
type Listen struct {
	HTTP     string `yaml:"http"`
	HTTPS    string `yaml:"https"`
	HTTP3    bool   `yaml:"http3"` // also serve HTTPS over QUIC, on the UDP port of the same number
	Internal string `yaml:"internal"`
	Admin    string `yaml:"admin"`    // unix:/path of the control socket
	Handover string `yaml:"handover"` // unix:/path where a process that is to take this one's place asks for its sockets

	ProxyProtocol Relays `yaml:"proxy_protocol"`
	HealthPath    string `yaml:"health_path"` // where a load balancer asks whether to send requests; "" for nowhere
}

// Relays are the load balancers whose connections begin with a header of the PROXY protocol. "true" stands for all of
// trusted_proxies.
type Relays []Prefix

// UnmarshalText reads true or false.
func (r *Relays) UnmarshalText(text []byte) error {
	switch word := string(text); word {
	case "true":
		*r = Relays{{}} // until fillIn knows them
	case "false", "":
		*r = nil
	default:
		return fmt.Errorf("%q is neither true, false nor a list of addresses and ranges such as [10.0.0.0/8]", word)
	}
	return nil
}

func (r Relays) all() bool { return len(r) == 1 && !r[0].IsValid() }

func (c *checker) listen() {
	listen := c.config.Listen
	for _, key := range []struct{ path, address string }{
		{"listen.http", listen.HTTP}, {"listen.https", listen.HTTPS}, {"listen.internal", listen.Internal},
	} {
		if key.address == "" {
			continue
		}
		if err := checkAddress(key.address); err != nil {
			c.doc.Faultf(key.path, "%s: %s", key.path, err)
		}
	}
	if listen.HTTP3 && listen.HTTPS == "" {
		c.doc.Faultf("listen.http3", "listen.http3 needs listen.https")
	}
	for _, key := range []struct{ path, socket string }{{"admin", listen.Admin}, {"handover", listen.Handover}} {
		if path, isUnix := strings.CutPrefix(key.socket, "unix:"); key.socket != "" && (!isUnix || !strings.HasPrefix(path, "/")) {
			c.doc.Faultf("listen."+key.path, "listen.%s: %q is not a socket such as unix:/run/portico/%[1]s.sock", key.path, key.socket)
		}
	}
	if listen.Handover != "" && listen.Handover == listen.Admin {
		c.doc.Faultf("listen.handover", "listen.handover: %q is listen.admin's: give it a path of its own", listen.Handover)
	}
	if listen.ProxyProtocol.all() {
		c.doc.Faultf("listen.proxy_protocol", "listen.proxy_protocol stands for the addresses in trusted_proxies, which names none: name the load balancer's there, or here as in [10.0.0.0/8]")
	}
	if path := listen.HealthPath; path != "" {
		if clean, err := routing.Normalize(path); err != nil || clean != path || path == "/" || strings.ContainsAny(path, "?#") {
			c.doc.Faultf("listen.health_path", "listen.health_path: %q is not a path of its own such as /.well-known/portico/health", path)
		}
	}
}

func checkAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err == nil && host != "" && host != "localhost" {
		_, err = netip.ParseAddr(host)
	}
	if err != nil {
		return fmt.Errorf("%q is not an address such as :443 or 127.0.0.1:8443", address)
	}
	return nil
}

func (l *Listen) fillIn(trusted []Prefix) {
	if l.ProxyProtocol.all() && len(trusted) > 0 {
		l.ProxyProtocol = trusted
	}
	if l.HTTP == "" && l.HTTPS == "" {
		l.HTTP, l.HTTPS = ":80", ":443"
	}
}
