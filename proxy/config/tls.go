package config

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/portico-web/portico/internal/ratelimit"
	"github.com/portico-web/portico/proxy/certs"
)

// Where certificates come from.
const (
	IssuerLocal = "local"
	IssuerACME  = "acme"
	IssuerFiles = "files"
)

// TLS says where certificates come from.
type TLS struct {
	Issuer         string        `yaml:"issuer" choice:"local acme files"` // local, acme or files
	Email          string        `yaml:"email"`                            // the ACME account's
	Directory      string        `yaml:"directory"`                        // URL of the ACME server; "" is Let's Encrypt
	DirectoryCA    string        `yaml:"directory_ca"`                     // PEM file of roots by which that server is believed; "" is the system's
	EAB            *Binding      `yaml:"eab"`                              // binds the ACME account to one that the CA has already
	Fallback       *Fallback     `yaml:"fallback"`                         // an ACME server for when the first does not issue
	DNS            *DNSChallenge `yaml:"dns"`                              // proves names by dns-01; nil: by http-01 and tls-alpn-01
	OnDemand       *OnDemand     `yaml:"on_demand"`                        // certificates for names that a client asks for
	Storage        string        `yaml:"storage"`                          // folder for certificates and the local CA, or a redis:// URL
	StorageKeyFile string        `yaml:"storage_key_file"`                 // file with the secret that encrypts what is stored in Redis
	Certificates   []Certificate `yaml:"certificates"`                     // served for the names in them, whatever the issuer

	storageKey string // what StorageKeyFile holds
}

// Certificate names the PEM files of a certificate chain and its key.
type Certificate struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

func (c *checker) tls() {
	settings := &c.config.TLS
	if settings.Issuer == IssuerFiles && len(settings.Certificates) == 0 && c.config.Listen.HTTPS != "" {
		c.doc.Faultf("tls", "tls.issuer is files, so tls.certificates must name them: [{cert: FILE, key: FILE}]")
	}
	if settings.SharedStorage() {
		if err := ratelimit.CheckURL(settings.Storage); err != nil {
			c.doc.Faultf("tls.storage", "tls.storage: %s", err)
		}
		c.storageKey(settings)
	}
	c.acme(settings)
	for i, pair := range settings.Certificates {
		path := fmt.Sprintf("tls.certificates[%d]", i)
		if pair.Cert == "" || pair.Key == "" {
			c.doc.Faultf(path, "%s wants both cert and key", path)
			continue
		}
		if _, err := tls.LoadX509KeyPair(pair.Cert, pair.Key); err != nil {
			c.doc.Faultf(path, "%s: %s", path, err)
		}
		c.config.watched = append(c.config.watched, pair.Cert, pair.Key)
	}
}

// storageKey reads the secret that private keys in Redis are encrypted with.
func (c *checker) storageKey(settings *TLS) {
	if settings.StorageKeyFile == "" {
		c.doc.Faultf("tls.storage", "tls.storage is Redis, so tls.storage_key_file must name a file with a secret of %d bytes or more that private keys are encrypted with (openssl rand -hex 32)", certs.MinStorageKey)
		return
	}
	settings.storageKey = c.secret("tls.storage_key_file", settings.StorageKeyFile)
	if size := len(settings.storageKey); size > 0 && size < certs.MinStorageKey {
		c.doc.Faultf("tls.storage_key_file", "tls.storage_key_file: %s holds %d bytes: make it %d or more (openssl rand -hex 32)", settings.StorageKeyFile, size, certs.MinStorageKey)
	}
}

// secret reads a file that holds a secret; a line break at its end does not count. What cannot be read, and what is empty, is
// a fault of path.
func (c *checker) secret(path, file string) string {
	content, err := os.ReadFile(file)
	secret := strings.TrimRight(string(content), "\r\n")
	switch {
	case errors.Is(err, fs.ErrPermission):
		c.doc.Faultf(path, "%s: %s cannot be read by user %d%s: give the file to that user, or let its group read it", path, file, os.Geteuid(), permissions(file))
	case err != nil:
		c.doc.Faultf(path, "%s: %s cannot be read (%s)", path, file, cause(err))
	case secret == "":
		c.doc.Faultf(path, "%s: %s is empty", path, file)
	}
	return secret
}

// permissions tells who may read a file, as far as that can be seen.
func permissions(file string) string {
	info, err := os.Stat(file)
	if err != nil {
		return ""
	}
	text := fmt.Sprintf(" (mode %04o", info.Mode().Perm())
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		text += fmt.Sprintf(", owner %d, group %d", owner.Uid, owner.Gid)
	}
	return text + ")"
}

func (t *TLS) fillIn() {
	t.Issuer = cmp.Or(t.Issuer, IssuerLocal)
	if t.DNS != nil {
		t.DNS.fillIn()
	}
	if t.OnDemand != nil {
		t.OnDemand.fillIn()
	}
}

// SharedStorage tells whether certificates are kept in Redis.
func (t *TLS) SharedStorage() bool {
	return strings.HasPrefix(t.Storage, "redis:") || strings.HasPrefix(t.Storage, "rediss:")
}

// StorageKey is the secret that StorageKeyFile holds.
func (t *TLS) StorageKey() string { return t.storageKey }
