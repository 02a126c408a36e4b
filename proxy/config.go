package proxy

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/portico-web/portico/internal/ratelimit"
)

// Config is proxy.yaml. Load and Parse return it checked and with every default filled in; docs/proxy.md describes the keys.
type Config struct {
	Listen         Listen               `yaml:"listen"`
	TLS            TLS                  `yaml:"tls"`
	Redis          string               `yaml:"redis"` // URL; "" keeps limits in this process
	TrustedProxies []Prefix             `yaml:"trusted_proxies"`
	RateLimits     map[string]RateLimit `yaml:"rate_limits"`
	Upstreams      map[string]Upstream  `yaml:"upstreams"`
	Sites          []Site               `yaml:"sites"`
	Limits         Limits               `yaml:"limits"`
	AccessLog      *bool                `yaml:"access_log"` // a line for each request; set after Load

	watched []string // files besides the configuration itself whose change is a reason to reload
}

// Listen says where connections are taken. An empty address listens nowhere.
type Listen struct {
	HTTP     string `yaml:"http"`
	HTTPS    string `yaml:"https"`
	HTTP3    bool   `yaml:"http3"` // also serve HTTPS over QUIC, on the UDP port of the same number
	Internal string `yaml:"internal"`
	Admin    string `yaml:"admin"` // unix:/path of the control socket
}

// TLS says where certificates come from.
type TLS struct {
	Issuer         string        `yaml:"issuer"`           // local, acme or files
	Email          string        `yaml:"email"`            // the ACME account's
	Directory      string        `yaml:"directory"`        // URL of the ACME server; "" is Let's Encrypt
	DirectoryCA    string        `yaml:"directory_ca"`     // PEM file of roots by which that server is believed; "" is the system's
	Storage        string        `yaml:"storage"`          // folder for certificates and the local CA, or a redis:// URL
	StorageKeyFile string        `yaml:"storage_key_file"` // file with the secret that encrypts what is stored in Redis
	Certificates   []Certificate `yaml:"certificates"`     // served for the names in them, whatever the issuer

	storageKey string // what StorageKeyFile holds
}

// Certificate names the PEM files of a certificate chain and its key.
type Certificate struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// RateLimit is a named limit that routes refer to.
type RateLimit struct {
	Key   string `yaml:"key"` // client_ip
	Rate  Rate   `yaml:"rate"`
	Burst int    `yaml:"burst"` // 0: as many as the rate's events
}

// Upstream is a set of targets that serve the same.
type Upstream struct {
	Targets []string `yaml:"targets"`
	Balance string   `yaml:"balance"` // round_robin or least_conn
	Health  *Health  `yaml:"health"`  // nil: not probed

	ResponseTimeout time.Duration `yaml:"response_timeout"` // from the sent request to the head of the answer
}

// Health says how targets are probed.
type Health struct {
	Path     string        `yaml:"path"`
	Port     int           `yaml:"port"` // 0: the target's own
	Interval time.Duration `yaml:"interval"`
	Timeout  time.Duration `yaml:"timeout"`
}

// Site is what is served under its hosts.
type Site struct {
	Hosts        []string `yaml:"hosts"`
	RedirectFrom []string `yaml:"redirect_from"`
	Routes       []Route  `yaml:"routes"`
}

// Route is what is done with the paths below one prefix: exactly one of Upstream, Files and Redirect is set.
type Route struct {
	Path          string    `yaml:"path"`
	Upstream      string    `yaml:"upstream"`
	Files         *Files    `yaml:"files"`
	Redirect      *Redirect `yaml:"redirect"`
	RedirectSlash bool      `yaml:"redirect_slash"`
	StripPrefix   bool      `yaml:"strip_prefix"`
	RateLimit     string    `yaml:"rate_limit"`
	Compress      bool      `yaml:"compress"`

	EncodedSlash     string `yaml:"encoded_slash"`     // pass or refuse %2F in paths
	UnderscoreFields bool   `yaml:"underscore_fields"` // let fields with an underscore in their name through
}

// Files serves a folder.
type Files struct {
	Root   string        `yaml:"root"`
	MaxAge time.Duration `yaml:"max_age"`
	Browse bool          `yaml:"browse"`
}

// Redirect answers with another address.
type Redirect struct {
	To     string `yaml:"to"`
	Status int    `yaml:"status"`
}

// Limits bounds what clients may take. Zero values stand for the defaults; a body has no limit by default.
type Limits struct {
	Connections       int           `yaml:"connections"` // of clients, at once
	Streams           int           `yaml:"streams"`     // of one HTTP/2 or HTTP/3 connection, at once
	HeaderBytes       Size          `yaml:"header_bytes"`
	HeaderFields      int           `yaml:"header_fields"`
	TargetBytes       Size          `yaml:"target_bytes"`
	BodyBytes         Size          `yaml:"body_bytes"`
	BodyRate          *Size         `yaml:"body_rate"` // bytes a second that a client must send of a body on average; 0: any
	BodyRateGrace     time.Duration `yaml:"body_rate_grace"`
	ReadHeaderTimeout time.Duration `yaml:"read_header_timeout"`
	IdleTimeout       time.Duration `yaml:"idle_timeout"`
	StallTimeout      time.Duration `yaml:"stall_timeout"`
	DrainTimeout      time.Duration `yaml:"drain_timeout"`
	HTTP2             HTTP2Limits   `yaml:"http2"`
}

// HTTP2Limits bounds one connection of HTTP/2. Who goes beyond is hung up on, with ENHANCE_YOUR_CALM.
type HTTP2Limits struct {
	StreamWindow     Size `yaml:"stream_window"`     // bytes of one request's content that may wait to be forwarded
	ConnectionWindow Size `yaml:"connection_window"` // the same of all
	HeaderTable      Size `yaml:"header_table"`      // bytes that the compression of heads may keep in mind
	Continuations    int  `yaml:"continuations"`     // CONTINUATION frames of one head
	Resets           int  `yaml:"resets"`            // a second, of streams that the client resets or makes the edge reset
	ControlFrames    int  `yaml:"control_frames"`    // a second, of frames with neither a head nor content
	UnreadReplies    int  `yaml:"unread_replies"`    // frames that the client asked for and does not take in
}

// Prefix is an address range; a single address stands for the range of itself.
type Prefix struct{ netip.Prefix }

// UnmarshalText reads 10.0.0.0/8, 2001:db8::/32 or a single address.
func (p *Prefix) UnmarshalText(text []byte) error {
	if addr, err := netip.ParseAddr(string(text)); err == nil {
		p.Prefix = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())
		return nil
	}
	prefix, err := netip.ParsePrefix(string(text))
	if err != nil {
		return fmt.Errorf("%q is not an address or a range such as 10.0.0.0/8", text)
	}
	if prefix.Masked() != prefix {
		return fmt.Errorf("%q has bits set behind its length: did you mean %s?", text, prefix.Masked())
	}
	p.Prefix = prefix
	return nil
}

// Rate is how often, as in 50/s.
type Rate struct {
	Events int
	Period time.Duration
}

// UnmarshalText reads what ratelimit.ParseRate does.
func (r *Rate) UnmarshalText(text []byte) (err error) {
	r.Events, r.Period, err = ratelimit.ParseRate(string(text))
	return err
}

// Size is a number of bytes.
type Size int64

// UnmarshalText reads 65536, 64KiB, 10MiB or 1GiB.
func (s *Size) UnmarshalText(text []byte) error {
	number, unit := string(text), int64(1)
	for suffix, bytes := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if cut, ok := strings.CutSuffix(number, suffix); ok {
			number, unit = cut, bytes
		}
	}
	var count int64
	if _, err := fmt.Sscanf(number+"\n", "%d\n", &count); err != nil || count < 0 || count > (1<<40)/unit {
		return fmt.Errorf("%q is not a size such as 65536, 64KiB or 10MiB", text)
	}
	*s = Size(count * unit)
	return nil
}
