package certs_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/portico-web/portico/internal/dbtest"
	"github.com/portico-web/portico/internal/logging"
	"github.com/portico-web/portico/proxy/certs"
)

func TestMain(m *testing.M) {
	// certmagic's file locks are kept fresh by a goroutine that sees only seconds later that the lock is gone.
	goleak.VerifyTestMain(dbtest.Suite{M: m}, goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"))
}

func manager(t *testing.T, settings certs.Settings) *certs.Manager {
	t.Helper()
	m, err := certs.New(t.Context(), settings, logging.Discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// handshake returns the certificate that m shows to a client who asks for name, verified under the root in folder.
func handshake(t *testing.T, m *certs.Manager, folder, name string) (*x509.Certificate, error) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(folder, "ca", "root.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(content)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", m.TLSConfig())
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		if server, err := listener.Accept(); err == nil {
			_, _ = io.Copy(io.Discard, server)
			_ = server.Close()
		}
	}()
	defer func() {
		_ = listener.Close()
		<-served
	}()
	near, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	client := tls.Client(near, &tls.Config{ServerName: name, RootCAs: roots})
	if err := client.HandshakeContext(t.Context()); err != nil {
		return nil, err
	}
	return client.ConnectionState().PeerCertificates[0], nil
}

func TestTheLocalCAServesItsNamesAndNoOthers(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	m := manager(t, certs.Settings{Issuer: certs.Local, Folder: folder, Hosts: []string{"example.com", "*.example.org", "*", "192.0.2.7"}})
	for _, name := range []string{"localhost", "a.localhost", "a.b.localhost", "example.com", "a.example.org", "127.0.0.1"} {
		leaf, err := handshake(t, m, folder, name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := leaf.VerifyHostname(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"www.example.com", "example.org", "a.b.example.org", "evil.test", "localhost.evil.test"} {
		if _, err := handshake(t, m, folder, name); err == nil {
			t.Errorf("%s gets a certificate", name)
		}
	}
}

func readRoot(t *testing.T, folder string) *x509.Certificate {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(folder, "ca", "root.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(content)
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func TestTheRootMaySpeakForConfiguredNamesAlone(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	settings := certs.Settings{Issuer: certs.Local, Folder: folder, Hosts: []string{"example.com"}}
	m := manager(t, settings)
	root := readRoot(t, folder)
	if !root.IsCA || !root.PermittedDNSDomainsCritical || len(root.PermittedDNSDomains) != 2 || len(root.PermittedIPRanges) != 2 || !root.MaxPathLenZero {
		t.Fatalf("%+v, %v", root.PermittedDNSDomains, root.PermittedIPRanges)
	}
	before, err := handshake(t, m, folder, "example.com")
	if err != nil {
		t.Fatal(err)
	}
	// What is covered already changes nothing.
	settings.Hosts = []string{"example.com", "*.example.com", "*.localhost", "127.0.0.2"}
	if err := m.Update(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(readRoot(t, folder).Raw, root.Raw) {
		t.Error("the root was signed anew without need")
	}
	settings.Hosts = []string{"other.test"}
	if err := m.Update(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
	wider := readRoot(t, folder)
	if bytes.Equal(wider.Raw, root.Raw) || !bytes.Equal(wider.RawSubjectPublicKeyInfo, root.RawSubjectPublicKeyInfo) {
		t.Fatal("the root was not signed anew with its key")
	}
	roots := x509.NewCertPool()
	roots.AddCert(wider)
	if _, err := before.Verify(x509.VerifyOptions{Roots: roots, DNSName: "example.com"}); err != nil {
		t.Errorf("a certificate from before: %v", err)
	}
	if _, err := handshake(t, m, folder, "other.test"); err != nil {
		t.Errorf("the new name: %v", err)
	}
}

func TestOnlySoManyNamesAreMadeOnDemand(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	m := manager(t, certs.Settings{Issuer: certs.Local, Folder: folder, MaxOnDemand: 3})
	for _, c := range []struct {
		name string
		made bool
	}{{"a", true}, {"b", true}, {"a", true}, {"c", true}, {"d", false}, {"b", true}, {"e", false}} {
		if _, err := handshake(t, m, folder, c.name+".localhost"); (err == nil) != c.made {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestTwoEdgesShareCertificatesThroughRedis(t *testing.T) {
	t.Parallel()
	url := dbtest.Redis(t)
	const secret = "a secret of at least thirty-two bytes"
	open := func(secret string) certs.Storage {
		storage, err := certs.OpenRedis(t.Context(), url, secret)
		if err != nil {
			t.Fatal(err)
		}
		return storage
	}
	folder := t.TempDir()
	settings := func() certs.Settings {
		return certs.Settings{Issuer: certs.Local, Folder: folder, Storage: open(secret), Hosts: []string{"example.com"}}
	}
	first, err := handshake(t, manager(t, settings()), folder, "example.com")
	if err != nil {
		t.Fatal(err)
	}
	second, err := handshake(t, manager(t, settings()), folder, "example.com")
	if err != nil || first.SerialNumber.Cmp(second.SerialNumber) != 0 {
		t.Errorf("the second edge has a certificate of its own, %v", err)
	}
}
