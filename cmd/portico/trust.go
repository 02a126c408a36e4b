package main

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/smallstep/truststore"
)

type trustCommand struct {
	Data      string `default:"./.portico" placeholder:"DIR" help:"The data folder of portico up or proxy run, whose CA is meant."`
	Uninstall bool   `help:"Take the CA's root out of the stores again."`
}

// Help is what --help says besides the flags.
func (trustCommand) Help() string {
	return `Browsers and curl then accept https://localhost and the hosts of the configuration without a warning. The root may speak for
these names alone, so that nobody who steals its key can pose as another site; but keep DIR/ca/root.key to yourself.

It changes the system's store, by sudo where there is one, and that of Firefox and Chromium where certutil is installed
(Debian: libnss3-tools, macOS: brew install nss). Restart browsers afterwards. When a host is added to the configuration the
root is signed anew, and has to be installed again.

  portico trust                         the CA of ./.portico
  portico trust --data /var/lib/portico
  portico trust --uninstall

Where the store cannot be changed, programs can be told one by one:
  curl --cacert DIR/ca/root.pem https://localhost:8443/
  NODE_EXTRA_CA_CERTS=DIR/ca/root.pem, SSL_CERT_FILE=DIR/ca/root.pem, REQUESTS_CA_BUNDLE=DIR/ca/root.pem
and browsers import the file under their settings for certificates, as an authority.`
}

// Run installs or uninstalls the root.
func (c trustCommand) Run() error { return c.run(os.Stdout) }

func (c trustCommand) run(out io.Writer) error {
	file := filepath.Join(c.Data, "ca", "root.pem")
	root, err := readRoot(file)
	if err != nil {
		return err
	}
	// What was installed before, so that a root that was signed anew takes its place.
	installed := filepath.Join(c.Data, "ca", "trusted.pem")
	if before, err := truststore.ReadCertificate(installed); err == nil && (c.Uninstall || !bytes.Equal(before.Raw, root.Raw)) {
		if err := truststore.Uninstall(before, truststore.WithFirefox()); err != nil {
			return refusedStore(err, file)
		}
		if err := os.Remove(installed); err != nil {
			return err
		}
	}
	if c.Uninstall {
		if err := truststore.UninstallFile(file, truststore.WithFirefox()); err != nil {
			return refusedStore(err, file)
		}
		fmt.Fprintf(out, "%s is trusted no longer. Restart browsers.\n", root.Subject.CommonName)
		return nil
	}
	if err := truststore.InstallFile(file, truststore.WithFirefox()); err != nil {
		return refusedStore(err, file)
	}
	content, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(installed, content, 0o600) //nolint:gosec // beside the root that --data names
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s is trusted now, for %s and below. Restart browsers.\n", root.Subject.CommonName, strings.Join(root.PermittedDNSDomains, ", "))
	return nil
}

// readRoot reads the root of a local CA. One that may speak for any name is refused: it would put every site at risk.
func readRoot(file string) (*x509.Certificate, error) {
	root, err := truststore.ReadCertificate(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: there is no local CA yet: start portico up (or proxy run with tls.issuer: local) once, or name its data folder by --data", file)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%s: cannot be read: run this as the user that owns the folder", file)
	case err != nil:
		return nil, fmt.Errorf("%s: not a certificate (%w)", file, err)
	case !root.IsCA || !root.PermittedDNSDomainsCritical || len(root.PermittedDNSDomains) == 0 || len(root.PermittedIPRanges) == 0:
		return nil, fmt.Errorf("%s: not the root of a local CA, which may speak for some names alone: it is not installed", file)
	}
	return root, nil
}

// refusedStore tells what the program behind a store says, and the way out.
func refusedStore(err error, file string) error {
	reason := err.Error()
	if failed, ok := errors.AsType[*truststore.CmdError](err); ok {
		reason = strings.Join(strings.Fields(failed.Error()+" "+string(failed.Out())), " ")
	}
	return fmt.Errorf("the system's store of certificates cannot be changed (%s): run this as root with the package ca-certificates installed, or hand %s to each program (portico trust --help lists how)", reason, file)
}
