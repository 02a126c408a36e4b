// Package upstream keeps pools of targets: which of them are healthy, and which takes the next request.
package upstream

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Address is where a target listens and how it is spoken to.
type Address struct {
	Scheme string // http, https or h2c
	Host   string // host:port
}

// ParseTarget reads host:port, http://host:port, https://host:port, or h2c://host:port for HTTP/2 without TLS.
func ParseTarget(text string) (Address, error) {
	malformed := fmt.Errorf("%q is not a target such as app:8000 or https://host:8443", text)
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

// avoid is how long a target that refused a connection is asked only when no other is left.
const avoid = time.Second

// Target is one member of a Pool, with the connections to it. It is safe for concurrent use.
type Target struct {
	Address
	down       atomic.Bool  // what probes found; never set without probes
	avoidUntil atomic.Int64 // Unix nanoseconds
	active     atomic.Int64

	config        *tls.Config // nil without TLS
	upgradeConfig *tls.Config
	writeTimeout  time.Duration
	idle          idle
	http2         multiplexed
}

func newTarget(text string, writeTimeout time.Duration) (*Target, error) {
	address, err := ParseTarget(text)
	if err != nil {
		return nil, err
	}
	t := &Target{Address: address, writeTimeout: writeTimeout}
	t.config, t.upgradeConfig = configs(address)
	t.http2.init(t)
	return t, nil
}

// Healthy is what the last probes found; a target that is not probed counts as healthy.
func (t *Target) Healthy() bool { return !t.down.Load() }

// Active is how many requests the target is working on.
func (t *Target) Active() int64 { return t.active.Load() }

// avoided tells whether the target refused a connection just now.
func (t *Target) avoided() bool {
	until := t.avoidUntil.Load()
	return until != 0 && until > time.Now().UnixNano()
}

// Refused notes that the target did not take a connection.
func (t *Target) Refused() { t.avoidUntil.Store(time.Now().Add(avoid).UnixNano()) }

// Release ends what Pool.Pick began.
func (t *Target) Release() { t.active.Add(-1) }
