package certs

import (
	"io"
	"time"

	"github.com/caddyserver/certmagic"
)

// Issuer says who signs certificates.
type Issuer string

// The issuers.
const (
	Local Issuer = "local" // an authority of this machine, whose root is FOLDER/ca/root.pem
	ACME  Issuer = "acme"  // Let's Encrypt, or the servers of Settings.Directories
	Files Issuer = "files" // nobody: Settings.Files are all there is
)

// Storage is a place for certificates other than a folder.
type Storage interface {
	certmagic.Storage
	io.Closer
}

// Settings says what to manage.
type Settings struct {
	Issuer      Issuer
	Email       string      // of the ACME account
	Directories []Directory // ACME servers, asked in this order until one issues; none: Let's Encrypt
	DNS         *DNS        // proves names by dns-01, wildcards too; nil: by http-01 and tls-alpn-01
	Folder      string      // where certificates, keys and the local CA are kept
	Storage     Storage     // where certificates are kept instead, closed by the manager; nil is Folder
	Hosts       []string    // names, *.names and addresses to be served; "*" adds none
	Files       []Pair      // served for the names in them, whatever the issuer
	HTTPPort    int         // where ACME's http-01 is answered; 0: nowhere
	HTTPSPort   int         // where ACME's tls-alpn-01 is answered
	OnDemand    *OnDemand   // gets certificates by ACME for hosts of "*" and *.name when a handshake asks; nil: none
	MaxOnDemand int         // certificates that the local CA makes because a handshake asked for them; 0: 500
}

// Directory is an ACME server.
type Directory struct {
	URL       string // "" is Let's Encrypt
	RootsFile string // PEM file of the roots by which the server is believed; "" is the system's
	Binding   *Binding
}

// Binding binds the ACME account to one that the CA's customer has already (RFC 8555 section 7.3.4).
type Binding struct {
	KeyID string
	Key   string // HMAC key in base64url, as the CA gives it out
}

// DNS says how records for dns-01 get into a zone and are waited for.
type DNS struct {
	Provider  certmagic.DNSProvider
	Resolvers []string      // HOST:PORT, asked for zones and records; none: the system's, and the zone's own servers
	Timeout   time.Duration // how long a record may take to be seen
}
