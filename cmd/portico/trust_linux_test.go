package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/truststore"

	"github.com/portico-web/portico/proxy"
	"github.com/portico-web/portico/proxy/config"
)

// ownStore lets the system's store be a folder of this test's, without sudo.
func ownStore(t *testing.T) (store string) {
	t.Helper()
	store, programs := t.TempDir(), t.TempDir()
	for _, name := range []string{"tee", "rm", "true", "false"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(programs, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", programs)
	filename, command := truststore.SystemTrustFilename, truststore.SystemTrustCommand
	t.Cleanup(func() { truststore.SystemTrustFilename, truststore.SystemTrustCommand = filename, command })
	truststore.SystemTrustFilename, truststore.SystemTrustCommand = filepath.Join(store, "%s.crt"), []string{"true"}
	return store
}

// runEdge lets an edge make or widen the local CA of a data folder.
func runEdge(t *testing.T, data, host string) {
	t.Helper()
	cfg, err := config.Parse("proxy.yaml", []byte("listen: {https: \"127.0.0.1:0\"}\nsites: [{hosts: ["+host+"], routes: [{path: /, redirect: {to: /x}}]}]"), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	edge, err := proxy.New(cfg, proxy.Options{DataDir: data})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- edge.Run(ctx) }()
	select {
	case <-edge.Ready():
		stop()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	case err := <-ended:
		t.Fatal(err)
	}
}

func stored(t *testing.T, store string) (roots []*x509.Certificate) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(store, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		root, err := truststore.ReadCertificate(file)
		if err != nil {
			t.Fatal(err)
		}
		roots = append(roots, root)
	}
	return roots
}

func TestTheRootIsTrustedReplacedAndTakenBack(t *testing.T) {
	store, data := ownStore(t), t.TempDir()
	command := trustCommand{Data: data}
	var out bytes.Buffer
	runEdge(t, data, "one.test")
	for range 2 { // again changes nothing
		if err := command.run(&out); err != nil {
			t.Fatal(err)
		}
	}
	if roots := stored(t, store); len(roots) != 1 || !strings.Contains(out.String(), "trusted now, for localhost, one.test and below") {
		t.Fatalf("%d roots, %s", len(roots), out.String())
	}
	runEdge(t, data, "two.test") // signs the root anew
	if err := command.run(&out); err != nil {
		t.Fatal(err)
	}
	roots := stored(t, store)
	if len(roots) != 1 || len(roots[0].PermittedDNSDomains) != 3 {
		t.Fatalf("%d roots", len(roots))
	}
	command.Uninstall = true
	if err := command.run(&out); err != nil {
		t.Fatal(err)
	}
	if roots := stored(t, store); len(roots) != 0 || !strings.Contains(out.String(), "trusted no longer") {
		t.Errorf("%d roots, %s", len(roots), out.String())
	}
}

func TestWhatCannotBeTrustedIsToldWithTheWayOut(t *testing.T) {
	ownStore(t)
	data := t.TempDir()
	command := trustCommand{Data: data}
	if err := command.run(&bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "no local CA yet") {
		t.Errorf("no CA: %v", err)
	}
	runEdge(t, data, "one.test")
	truststore.SystemTrustCommand = []string{"false"}
	if err := command.run(&bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "run this as root") || !strings.Contains(err.Error(), filepath.Join(data, "ca", "root.pem")) || strings.Contains(err.Error(), "\n") {
		t.Errorf("a store that refuses: %v", err)
	}
	truststore.SystemTrustCommand = nil
	if err := command.run(&bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "not supported") {
		t.Errorf("no store: %v", err)
	}
	if err := os.WriteFile(filepath.Join(data, "ca", "root.pem"), boundless(t), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := command.run(&bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "not installed") {
		t.Errorf("a root for every name: %v", err)
	}
}

// boundless is a root for every name, as other tools make them.
func boundless(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
