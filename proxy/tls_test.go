package proxy_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"path/filepath"
	"testing"
	"time"
)

// certificate writes folder/NAME.pem and .key, a certificate that signs itself, and returns the roots to verify it by.
func certificate(t *testing.T, folder, name string, hosts ...string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: hosts,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, name+".pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, filepath.Join(folder, name+".key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return roots
}

// verifies tells whether a handshake for name succeeds under roots.
func (e *edge) verifies(name string, roots *x509.CertPool) bool {
	connection, err := tls.Dial("tcp", e.Addrs().HTTPS.String(), &tls.Config{ServerName: name, RootCAs: roots})
	if err == nil {
		_ = connection.Close()
	}
	return err == nil
}

func TestCertificateFilesAreServedAndTheirChangeNoticed(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	one := certificate(t, folder, "one", "one.example")
	two := certificate(t, folder, "two", "*.two.example")
	config := filepath.Join(folder, "proxy.yaml")
	write(t, config, "tls:\n  issuer: files\n  certificates:\n    - {cert: "+folder+"/one.pem, key: "+folder+"/one.key}\n    - {cert: "+folder+"/two.pem, key: "+folder+"/two.key}\n"+sitesOnly)
	e := startFrom(t, config, folder)
	if !e.verifies("one.example", one) || !e.verifies("a.two.example", two) || e.verifies("one.example", two) {
		t.Error("names do not get their certificates")
	}
	if !e.verifiesFirst(one) {
		t.Error("an unknown name does not get the first certificate")
	}
	renewed := certificate(t, folder, "one", "one.example")
	eventually(t, "the renewed certificate", func() bool { return e.verifies("one.example", renewed) })
}

// verifiesFirst tells whether a handshake for a name that nobody has gets a certificate under roots.
func (e *edge) verifiesFirst(roots *x509.CertPool) bool {
	connection, err := tls.Dial("tcp", e.Addrs().HTTPS.String(), &tls.Config{ServerName: "other.example", InsecureSkipVerify: true})
	if err != nil {
		return false
	}
	defer connection.Close()
	_, err = connection.ConnectionState().PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots})
	return err == nil
}

func TestAFileStandsInForTheLocalCA(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	own := certificate(t, folder, "own", "own.localhost")
	config := filepath.Join(folder, "proxy.yaml")
	write(t, config, "tls: {certificates: [{cert: "+folder+"/own.pem, key: "+folder+"/own.key}]}\n"+sitesOnly)
	e := startFrom(t, config, folder)
	if !e.verifies("own.localhost", own) || !e.verifies("localhost", e.roots()) {
		t.Error("names do not get their certificates")
	}
}
