package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"text/tabwriter"
	"time"

	"github.com/portico-web/portico/proxy/control"
)

type certsCommand struct {
	adminFlag
	JSON bool `name:"json" help:"Print JSON, for programs."`
}

// Help is what --help says besides the flags.
func (certsCommand) Help() string {
	return `A certificate that could not be renewed is served on until it expires; its line says when the last attempt failed and why.
/readyz is degraded meanwhile, and portico_edge_certificate_failed in /metrics is 1 for the name.

  proxy certs --config proxy.yaml
  proxy certs --socket /run/portico/admin.sock --json`
}

// Run prints what a running edge says of its certificates.
func (c certsCommand) Run(ctx context.Context) error {
	var status control.Status
	if err := c.call(ctx, http.MethodGet, "/status", &status); err != nil {
		return err
	}
	if c.JSON {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(status.Certificates)
	}
	return printCertificates(os.Stdout, status.Certificates, time.Now())
}

func printCertificates(out io.Writer, certificates []control.Certificate, now time.Time) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tSOURCE\tISSUER\tEXPIRES\tLAST ERROR")
	for _, certificate := range certificates {
		issuer, failed := certificate.Issuer, "-"
		if issuer == "" {
			issuer = "-"
		}
		if certificate.Error != "" {
			failed = certificate.Failed.Local().Format(time.DateTime) + " " + certificate.Error
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", certificate.Name, certificate.Source, issuer, expiry(certificate.Expiry, now), failed)
	}
	return table.Flush()
}

// expiry is a date and how far away it is.
func expiry(at, now time.Time) string {
	const day = 24 * time.Hour
	left := at.Sub(now)
	switch {
	case at.IsZero():
		return "none yet"
	case left < 0:
		return at.Local().Format(time.DateOnly) + " (expired)"
	case left < 2*day:
		return fmt.Sprintf("%s (%d h)", at.Local().Format(time.DateOnly), int(left.Hours()))
	default:
		return fmt.Sprintf("%s (%d days)", at.Local().Format(time.DateOnly), int(left/day))
	}
}
