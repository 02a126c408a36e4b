package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Listen says where connections are taken. An empty address listens nowhere.
type Listen struct {
	HTTP     string `yaml:"http"`
	HTTPS    string `yaml:"https"`
	HTTP3    bool   `yaml:"http3"` // also serve HTTPS over QUIC, on the UDP port of the same number
	Internal string `yaml:"internal"`
	Admin    string `yaml:"admin"` // unix:/path of the control socket
}

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
	if socket, isUnix := strings.CutPrefix(listen.Admin, "unix:"); listen.Admin != "" && (!isUnix || !strings.HasPrefix(socket, "/")) {
		c.doc.Faultf("listen.admin", "listen.admin: %q is not a socket such as unix:/run/portico/admin.sock", listen.Admin)
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

func (l *Listen) fillIn() {
	if l.HTTP == "" && l.HTTPS == "" {
		l.HTTP, l.HTTPS = ":80", ":443"
	}
}
