package certs

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
)

const (
	rootLifetime = 10 * 365 * 24 * time.Hour
	leafLifetime = 30 * 24 * time.Hour
	// backdate keeps certificates valid on machines whose clock is a little behind.
	backdate = time.Hour
)

// authority is a certificate authority of this machine: a root that may speak for localhost and the configured names alone,
// and an Issuer for certmagic. It is safe for concurrent use.
type authority struct {
	folder string
	key    *ecdsa.PrivateKey

	mu   sync.Mutex
	root *x509.Certificate
}

// openAuthority loads the authority in folder (root.pem, root.key) or begins a new one, whose root cover signs.
func openAuthority(folder string) (*authority, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("the local CA's folder %s cannot be made (%w): correct its rights, or choose another folder", folder, pathCause(err))
	}
	a := &authority{folder: folder}
	if err := a.loadKey(); err != nil {
		return nil, err
	}
	if err := a.loadRoot(); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *authority) rootFile() string { return filepath.Join(a.folder, "root.pem") }
func (a *authority) keyFile() string  { return filepath.Join(a.folder, "root.key") }

// corrupt is the operator's line about a file that cannot be used as it is.
func (a *authority) corrupt(file, why string) error {
	return fmt.Errorf("the local CA's file %s is unusable (%s): restore it, or delete the folder %s to begin a new CA, which browsers must then be told to trust", file, why, a.folder)
}

func (a *authority) loadKey() error {
	content, err := os.ReadFile(a.keyFile())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(a.rootFile()); err == nil {
			return a.corrupt(a.keyFile(), "missing beside root.pem")
		}
		return a.newKey()
	case err != nil:
		return fmt.Errorf("the local CA's key %s cannot be read: %w", a.keyFile(), pathCause(err))
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return a.corrupt(a.keyFile(), "not PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return a.corrupt(a.keyFile(), "not a PKCS #8 key")
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return a.corrupt(a.keyFile(), "not an ECDSA key")
	}
	a.key = key
	return nil
}

func (a *authority) newKey() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	a.key = key
	return writeFile(a.keyFile(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

func (a *authority) loadRoot() error {
	content, err := os.ReadFile(a.rootFile())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("the local CA's certificate %s cannot be read: %w", a.rootFile(), pathCause(err))
	}
	block, _ := pem.Decode(content)
	if block == nil || block.Type != "CERTIFICATE" {
		return a.corrupt(a.rootFile(), "not a PEM certificate")
	}
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return a.corrupt(a.rootFile(), "not an X.509 certificate")
	}
	if !a.key.PublicKey.Equal(root.PublicKey) {
		return a.corrupt(a.rootFile(), "it does not belong to root.key")
	}
	a.root = root
	return nil
}

// cover makes sure that the root may speak for hosts, besides the machine's own names, and is not about to expire. A root that
// may not is signed anew with the same key, so that certificates under it stay valid; signed tells that it was.
func (a *authority) cover(hosts []string) (signed bool, err error) {
	names, addresses := constraints(hosts)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.root != nil && time.Until(a.root.NotAfter) > 4*leafLifetime && covers(a.root, names, addresses) {
		return false, nil
	}
	if a.root != nil {
		// What was trusted stays covered: a host that is left out today may be back tomorrow.
		names = union(names, a.root.PermittedDNSDomains, strings.Compare)
		addresses = union(addresses, a.root.PermittedIPRanges, func(x, y *net.IPNet) int { return strings.Compare(x.String(), y.String()) })
	}
	template := &x509.Certificate{
		SerialNumber:                serial(),
		Subject:                     pkix.Name{CommonName: "Portico local CA " + a.id(), Organization: []string{"Portico"}},
		NotBefore:                   time.Now().Add(-backdate),
		NotAfter:                    time.Now().Add(rootLifetime),
		KeyUsage:                    x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid:       true,
		IsCA:                        true,
		MaxPathLenZero:              true,
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         names,
		PermittedIPRanges:           addresses,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		return false, fmt.Errorf("signing the local CA's root: %w", err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		return false, err
	}
	if err := writeFile(a.rootFile(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		return false, err
	}
	a.root = root
	return true, nil
}

// constraints are the name constraints (RFC 5280 section 4.2.1.10) of a root for hosts. A name covers those below it.
func constraints(hosts []string) (names []string, addresses []*net.IPNet) {
	names = []string{"localhost"}
	addresses = []*net.IPNet{
		{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
		{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
	}
	for _, host := range hosts {
		if addr, err := netip.ParseAddr(host); err == nil {
			if !addr.IsLoopback() {
				addresses = append(addresses, ipRange(addr))
			}
		} else if host != "*" {
			names = append(names, strings.TrimPrefix(host, "*."))
		}
	}
	slices.Sort(names)
	return slices.Compact(names), addresses
}

func ipRange(addr netip.Addr) *net.IPNet {
	return &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(addr.BitLen(), addr.BitLen())}
}

func covers(root *x509.Certificate, names []string, addresses []*net.IPNet) bool {
	for _, name := range names {
		if !slices.ContainsFunc(root.PermittedDNSDomains, func(permitted string) bool {
			return name == permitted || strings.HasSuffix(name, "."+permitted)
		}) {
			return false
		}
	}
	for _, address := range addresses {
		if !slices.ContainsFunc(root.PermittedIPRanges, func(permitted *net.IPNet) bool { return permitted.Contains(address.IP) }) {
			return false
		}
	}
	return true
}

func union[T any](a, b []T, compare func(x, y T) int) []T {
	all := slices.Concat(a, b)
	slices.SortFunc(all, compare)
	return slices.CompactFunc(all, func(x, y T) bool { return compare(x, y) == 0 })
}

// id tells one authority's key from another's.
func (a *authority) id() string {
	der, _ := x509.MarshalPKIXPublicKey(&a.key.PublicKey)
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:4])
}

// IssuerKey implements certmagic.Issuer: a new key means new certificates.
func (a *authority) IssuerKey() string { return "portico-local-" + a.id() }

// Issue implements certmagic.Issuer.
func (a *authority) Issue(_ context.Context, request *x509.CertificateRequest) (*certmagic.IssuedCertificate, error) {
	a.mu.Lock()
	root := a.root
	a.mu.Unlock()
	if err := request.CheckSignature(); err != nil {
		return nil, fmt.Errorf("the certificate request's signature: %w", err)
	}
	expiry := time.Now().Add(leafLifetime)
	if expiry.After(root.NotAfter) {
		expiry = root.NotAfter
	}
	template := &x509.Certificate{
		SerialNumber:          serial(),
		NotBefore:             time.Now().Add(-backdate),
		NotAfter:              expiry,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		DNSNames:              request.DNSNames,
		IPAddresses:           request.IPAddresses,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, root, request.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	return &certmagic.IssuedCertificate{Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, nil
}

// serial is a random positive number of 127 bits.
func serial() *big.Int {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	random[0] &= 0x7f
	random[15] |= 1
	return new(big.Int).SetBytes(random[:])
}

// writeFile replaces a file as a whole or not at all.
func writeFile(path string, content []byte, mode fs.FileMode) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("%s cannot be written (%w): correct the folder's rights, or choose another folder", path, pathCause(err))
	}
	defer os.Remove(temporary.Name())
	_, err = bytes.NewReader(content).WriteTo(temporary)
	err = errors.Join(err, temporary.Chmod(mode), temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

func pathCause(err error) error {
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		return pathError.Err
	}
	return err
}
