package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// site is what every proxy serves: one backend, under one certificate. Its files lie in one folder.
type site struct {
	folder string
	cert   string // PEM files
	key    string
	both   string // certificate and key in one, as HAProxy wants it
	roots  *x509.CertPool

	address string // the backend's
	backend *server
}

func newSite(ctx context.Context, folder string) (site, error) {
	s := site{folder: folder, cert: filepath.Join(folder, "cert.pem"), key: filepath.Join(folder, "key.pem"), both: filepath.Join(folder, "both.pem")}
	if err := os.Chmod(folder, 0o711); err != nil { // nginx's workers are another user when root starts it
		return s, err
	}
	var err error
	if s.roots, err = s.certify(); err != nil {
		return s, err
	}
	port, err := freePort()
	if err != nil {
		return s, err
	}
	self, err := os.Executable()
	if err != nil {
		return s, err
	}
	s.address = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	s.backend, err = launch(ctx, s, "backend", "http://"+s.address+"/", []string{self, "backend", "--listen", s.address})
	return s, err
}

func (s site) close() { s.backend.stop() }

// certify makes the certificate, self-signed for localhost, and returns what a client trusts then.
func (s site) certify() (*x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "localhost"},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 1, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(public)
	return roots, errors.Join(
		os.WriteFile(s.cert, public, 0o600),
		os.WriteFile(s.key, private, 0o600),
		os.WriteFile(s.both, append(public, private...), 0o600),
	)
}

// client trusts the certificate, and keeps no connection.
func (s site) client() *http.Client {
	return &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: s.roots}, DisableKeepAlives: true,
	}}
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	addr, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		return 0, fmt.Errorf("%s is no TCP address", listener.Addr())
	}
	return addr.Port, listener.Close()
}
