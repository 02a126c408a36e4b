package config

import (
	"cmp"
	"encoding/base64"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/portico-web/portico/proxy/certs/dns"
)

// DNSChallenge says how records for ACME's dns-01 challenge get into the zones of the sites. One provider is set after Load.
type DNSChallenge struct {
	RFC2136            *RFC2136      `yaml:"rfc2136"`
	Cloudflare         *Cloudflare   `yaml:"cloudflare"`
	Route53            *Route53      `yaml:"route53"`
	Resolvers          []string      `yaml:"resolvers"`           // HOST:PORT, asked for zones and records; none: the system's
	PropagationTimeout time.Duration `yaml:"propagation_timeout"` // how long a record may take to be seen
}

// RFC2136 is a name server that takes dynamic updates.
type RFC2136 struct {
	Server  string `yaml:"server"`   // HOST:PORT
	KeyFile string `yaml:"key_file"` // with the TSIG key, as tsig-keygen writes it
}

// Cloudflare has zones that its API changes.
type Cloudflare struct {
	TokenFile string `yaml:"token_file"` // with an API token that may read zones and edit DNS
	Endpoint  string `yaml:"endpoint"`   // URL of the API; "" is Cloudflare's
}

// Route53 has zones in Amazon Route 53. Without CredentialsFile credentials come from the environment or the machine's role.
type Route53 struct {
	Region          string `yaml:"region"`
	HostedZoneID    string `yaml:"hosted_zone_id"`   // "" is the public zone of the name
	CredentialsFile string `yaml:"credentials_file"` // in the form of ~/.aws/credentials
	Endpoint        string `yaml:"endpoint"`         // URL of the API; "" is Amazon's
}

// Fallback is an ACME server that is asked when the first does not issue.
type Fallback struct {
	Directory   string   `yaml:"directory"`
	DirectoryCA string   `yaml:"directory_ca"`
	EAB         *Binding `yaml:"eab"`
}

// Binding is what a CA gives its customers to bind ACME accounts by (RFC 8555 section 7.3.4).
type Binding struct {
	KeyID   string `yaml:"key_id"`
	KeyFile string `yaml:"key_file"`

	key string // what KeyFile holds
}

// Key is the HMAC key that KeyFile holds, in base64url.
func (b *Binding) Key() string { return b.key }

// acme checks what is about ACME alone.
func (c *checker) acme(settings *TLS) {
	c.directory("tls", settings.Directory, settings.DirectoryCA, settings.EAB)
	if settings.EAB != nil {
		c.onlyWithACME("tls.eab", settings)
	}
	if fallback := settings.Fallback; fallback != nil {
		c.onlyWithACME("tls.fallback", settings)
		if fallback.Directory == settings.Directory {
			c.doc.Faultf("tls.fallback", "tls.fallback.directory is the server of tls.directory: name another one")
		}
		c.directory("tls.fallback", fallback.Directory, fallback.DirectoryCA, fallback.EAB)
	}
	if settings.OnDemand != nil {
		c.onlyWithACME("tls.on_demand", settings)
		c.onDemand(settings.OnDemand)
	}
	if settings.DNS != nil {
		c.onlyWithACME("tls.dns", settings)
		c.dnsChallenge(settings.DNS)
	}
}

func (c *checker) onlyWithACME(path string, settings *TLS) {
	if settings.Issuer != IssuerACME {
		c.doc.Faultf(path, "%s works with tls.issuer: acme alone, and it is %s", path, settings.Issuer)
	}
}

// directory checks the server of ACME that stands below path.
func (c *checker) directory(path, address, rootsFile string, binding *Binding) {
	if u, err := url.Parse(address); address != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
		c.doc.Faultf(path+".directory", "%s.directory: %q is not an https:// URL", path, address)
	}
	if rootsFile != "" {
		if _, err := os.ReadFile(rootsFile); err != nil {
			c.doc.Faultf(path+".directory_ca", "%s.directory_ca: %s cannot be read (%s)", path, rootsFile, cause(err))
		}
	}
	if binding != nil {
		c.binding(path+".eab", binding)
	}
}

func (c *checker) binding(path string, binding *Binding) {
	if binding.KeyID == "" || binding.KeyFile == "" {
		c.doc.Faultf(path, "%s wants both key_id and key_file, which the CA gives out", path)
		return
	}
	// The CA's text is base64url, with or without padding.
	binding.key = strings.TrimRight(c.secret(path+".key_file", binding.KeyFile), "=")
	if _, err := base64.RawURLEncoding.DecodeString(binding.key); err != nil {
		c.doc.Faultf(path+".key_file", "%s.key_file: %s does not hold a key in base64url, as the CA gives it out", path, binding.KeyFile)
	}
}

func (c *checker) dnsChallenge(challenge *DNSChallenge) {
	providers := 0
	if challenge.RFC2136 != nil {
		providers++
		c.rfc2136(challenge.RFC2136)
	}
	if cloudflare := challenge.Cloudflare; cloudflare != nil {
		providers++
		c.credentials("tls.dns.cloudflare", "token_file", cloudflare.TokenFile, "with an API token that may read zones and edit DNS")
		c.endpoint("tls.dns.cloudflare", cloudflare.Endpoint)
	}
	if route53 := challenge.Route53; route53 != nil {
		providers++
		if route53.CredentialsFile != "" {
			c.secret("tls.dns.route53.credentials_file", route53.CredentialsFile)
		}
		c.endpoint("tls.dns.route53", route53.Endpoint)
	}
	if providers != 1 {
		c.doc.Faultf("tls.dns", "tls.dns wants exactly one of rfc2136, cloudflare and route53")
	}
	for i, resolver := range challenge.Resolvers {
		if !isHostPort(resolver) {
			c.doc.Faultf("tls.dns.resolvers["+strconv.Itoa(i)+"]", "tls.dns.resolvers: %q is not an address such as 9.9.9.9:53", resolver)
		}
	}
}

func (c *checker) rfc2136(server *RFC2136) {
	if !isHostPort(server.Server) {
		c.doc.Faultf("tls.dns.rfc2136", "tls.dns.rfc2136.server: %q is not the address of a name server, such as ns1.example.com:53", server.Server)
	}
	if content := c.credentials("tls.dns.rfc2136", "key_file", server.KeyFile, "with the key that signs updates (tsig-keygen NAME > FILE)"); content != "" {
		if _, err := dns.ParseKey(content); err != nil {
			c.doc.Faultf("tls.dns.rfc2136.key_file", "tls.dns.rfc2136.key_file: %s: %s", server.KeyFile, err)
		}
	}
}

// credentials reads the file that a provider cannot do without.
func (c *checker) credentials(path, key, file, what string) string {
	if file == "" {
		c.doc.Faultf(path, "%s wants a %s %s", path, key, what)
		return ""
	}
	return c.secret(path+"."+key, file)
}

func (c *checker) endpoint(path, address string) {
	if u, err := url.Parse(address); address != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		c.doc.Faultf(path+".endpoint", "%s.endpoint: %q is not a URL", path, address)
	}
}

// isHostPort tells whether address is HOST:PORT, in which neither is missing.
func isHostPort(address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

func (d *DNSChallenge) fillIn() {
	if d.Cloudflare != nil {
		d.Cloudflare.Endpoint = cmp.Or(d.Cloudflare.Endpoint, dns.CloudflareAPI)
	}
	d.PropagationTimeout = cmp.Or(d.PropagationTimeout, 2*time.Minute)
}
