package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/portico-web/portico/internal/httpx"
	"github.com/portico-web/portico/proxy/http1"
	"github.com/portico-web/portico/proxy/http2"
	"github.com/portico-web/portico/proxy/pace"
)

// Settings says where to listen and what a connection may take. An empty address listens nowhere; a member that is zero has
// the default that stands behind it.
type Settings struct {
	HTTP, HTTPS string
	Internal    string // a listener that is only opened, and handed over with the others
	HTTP3       bool   // also over QUIC, on the UDP port of HTTPS

	HeaderBytes int // of a request's head; 64 KiB
	TargetBytes int // of its target; 16 KiB
	Fields      int // in its head; 128

	ReadHeaderTimeout time.Duration // for a TLS handshake, and for a head from its first byte on; 10 s
	IdleTimeout       time.Duration // between requests; 2 min
	pace.Pace

	// Relays are the load balancers whose connections begin with a header of the PROXY protocol, and must; of others none is read.
	Relays []netip.Prefix

	Connections int          // at a time; 20,000
	Streams     int          // of one HTTP/2 or HTTP/3 connection at a time; 128
	HTTP2       http2.Bounds // but for Streams
}

func (s Settings) withDefaults() Settings {
	s.HeaderBytes = cmp.Or(s.HeaderBytes, 64<<10)
	s.TargetBytes = cmp.Or(s.TargetBytes, 16<<10)
	s.Fields = cmp.Or(s.Fields, 128)
	s.ReadHeaderTimeout = cmp.Or(s.ReadHeaderTimeout, 10*time.Second)
	s.IdleTimeout = cmp.Or(s.IdleTimeout, 2*time.Minute)
	s.Pace = s.Pace.WithDefaults()
	s.Connections = cmp.Or(s.Connections, 20_000)
	s.Streams = cmp.Or(s.Streams, 128)
	s.HTTP2.Streams = s.Streams
	s.HTTP2 = s.HTTP2.WithDefaults()
	return s
}

// SetPace takes the place of the settings' pace, for requests that begin from now on. It may be called at any time.
func (l *Listeners) SetPace(p pace.Pace) {
	p = p.WithDefaults()
	l.pace.Store(&p)
}

// SetRelays takes the place of the settings' relays, for connections that are accepted from now on. It may be called at any
// time.
func (l *Listeners) SetRelays(relays []netip.Prefix) { l.relays.Store(&relays) }

// Part lets answers of HTTP/1.1 say that their connection ends, so that none is idle, with a request on its way to it, when the
// server stops. It may be called at any time, while connections are still accepted.
func (l *Listeners) Part() { l.parting.Store(true) }

func (s *Settings) limits() http1.Limits {
	return http1.Limits{HeadBytes: s.HeaderBytes, TargetBytes: s.TargetBytes, Fields: s.Fields}
}

// Listeners are open sockets, ready to be served. Whoever has them must Serve or Close them.
type Listeners struct {
	settings Settings
	pace     atomic.Pointer[pace.Pace]
	relays   atomic.Pointer[[]netip.Prefix] // who sends PROXY headers
	parting  atomic.Bool
	counts   counts
	http     *net.TCPListener
	https    *net.TCPListener
	internal *net.TCPListener
	quic     *packets
	tickets  tickets
}

// Listen opens the sockets; its error names the setting and the address. Sockets that were inherited for the same address
// take the place of new ones. inherited may be nil; it belongs to Listen, which closes what it does not use.
func Listen(settings Settings, inherited *Inherited) (*Listeners, error) {
	l := &Listeners{settings: settings.withDefaults()}
	l.SetPace(settings.Pace)
	l.SetRelays(settings.Relays)
	defer inherited.Close()
	if inherited != nil {
		l.tickets.inherit(inherited.tickets)
	}
	var err error
	if settings.HTTP != "" {
		l.http, err = listenPlain(nameHTTP, settings.HTTP, inherited)
	}
	if err == nil && settings.Internal != "" {
		l.internal, err = listenPlain(nameInternal, settings.Internal, inherited)
	}
	if err == nil && settings.HTTPS != "" {
		err = l.listenTLS(inherited)
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func listenPlain(name, address string, inherited *Inherited) (*net.TCPListener, error) {
	if listener := inherited.listener(name, address); listener != nil {
		return listener, nil
	}
	return listenTCP("listen."+name, address)
}

func listenTCP(setting, address string) (*net.TCPListener, error) {
	listener, err := httpx.Listen(setting, address)
	if err != nil {
		return nil, err
	}
	return listener.(*net.TCPListener), nil
}

// listenTLS opens the TCP and the UDP port of HTTPS. When the system chooses the port, the one free for TCP may be taken for
// UDP, so it is asked a few times.
func (l *Listeners) listenTLS(inherited *Inherited) error {
	_, port, _ := net.SplitHostPort(l.settings.HTTPS)
	if l.https = inherited.listener(nameHTTPS, l.settings.HTTPS); l.https != nil {
		if !l.settings.HTTP3 {
			return nil
		}
		if l.quic = inherited.packets(l.settings.HTTPS); l.quic != nil {
			return nil
		}
		var err error
		l.quic, err = l.listenUDP(l.https)
		return err
	}
	for attempt := 1; ; attempt++ {
		listener, err := listenTCP("listen.https", l.settings.HTTPS)
		if err != nil {
			return err
		}
		if !l.settings.HTTP3 {
			l.https = listener
			return nil
		}
		packets, err := l.listenUDP(listener)
		if err == nil {
			l.https, l.quic = listener, packets
			return nil
		}
		_ = listener.Close()
		if port != "0" || attempt == 10 {
			return err
		}
	}
}

// listenUDP opens the UDP port of the same number.
func (l *Listeners) listenUDP(listener *net.TCPListener) (*packets, error) {
	host, _, _ := net.SplitHostPort(l.settings.HTTPS)
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	socket, err := net.ListenPacket("udp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, fmt.Errorf("listen.http3: cannot listen on UDP %s (%w): stop what uses it, or switch http3 off", l.settings.HTTPS, errors.Unwrap(err))
	}
	return newPackets(socket.(*net.UDPConn), 0, nil), nil
}

// Close closes the sockets.
func (l *Listeners) Close() {
	if l.http != nil {
		_ = l.http.Close()
	}
	if l.https != nil {
		_ = l.https.Close()
	}
	if l.internal != nil {
		_ = l.internal.Close()
	}
	if l.quic != nil {
		_ = l.quic.Close()
	}
}

// HTTP is the address of the plain listener, or nil.
func (l *Listeners) HTTP() *net.TCPAddr { return tcpAddr(l.http) }

// HTTPS is the address of the TLS listener, or nil.
func (l *Listeners) HTTPS() *net.TCPAddr { return tcpAddr(l.https) }

// Internal is the listener of Settings.Internal, or nil; its owner may close it at any time.
func (l *Listeners) Internal() *net.TCPListener { return l.internal }

func tcpAddr(listener *net.TCPListener) *net.TCPAddr {
	if listener == nil {
		return nil
	}
	addr, _ := listener.Addr().(*net.TCPAddr)
	return addr
}

const (
	keepAlive  = 30 * time.Second // between probes of a connection on which nothing moves
	leastPause = 5 * time.Millisecond
	mostPause  = time.Second
	warnEvery  = 10 * time.Second // of what keeps connections from being accepted
)

// accept takes in connections until ctx ends, and gives each to open. When the system is short of something, it makes room
// and waits a little; other errors are the listener's end.
func (s *server) accept(ctx context.Context, listener *net.TCPListener, open func(*net.TCPConn)) error {
	pause := leastPause
	var warned time.Time
	for {
		connection, err := listener.AcceptTCP()
		if err == nil {
			pause = leastPause
			open(connection)
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		if !passing(err) {
			return err
		}
		if time.Since(warned) > warnEvery {
			warned = time.Now()
			s.log.Warn("connections cannot be accepted for now: raise the limit of open files if this comes often", "err", err)
		}
		s.registry.evict()
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		pause = min(2*pause, mostPause)
	}
}

// passing tells whether accepting may succeed later on.
func passing(err error) bool {
	for _, number := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR, syscall.EPERM} {
		if errors.Is(err, number) {
			return true
		}
	}
	return false
}
