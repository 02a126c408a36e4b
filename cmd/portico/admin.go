package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"path/filepath"

	"github.com/portico-web/portico/app"
	"github.com/portico-web/portico/proxy"
)

// administrator is who was made on a first run. password is empty when the operator chose it.
type administrator struct{ email, password string }

// firstAdmin makes the administrator of a new data folder; nil when there is one.
func (p *platform) firstAdmin(ctx context.Context, application *app.App) (*administrator, error) {
	exists, err := application.Accounts.HasAdmin(ctx)
	if err != nil || exists {
		return nil, err
	}
	made := &administrator{email: p.settings.adminEmail}
	password := p.settings.adminPassword
	if password == "" {
		made.password = rand.Text()
		password = made.password
	}
	switch _, created, err := application.Accounts.CreateAdmin(ctx, made.email, password); {
	case err != nil:
		return nil, fmt.Errorf("PORTICO_ADMIN_EMAIL, PORTICO_ADMIN_PASSWORD: %w", err)
	case !created:
		return nil, fmt.Errorf("PORTICO_ADMIN_EMAIL: %s has an account that is no administrator's: choose another address", made.email)
	}
	return made, nil
}

// banner says where everything is.
func (p *platform) banner(out io.Writer, addrs proxy.Addrs, internal net.Addr, admin *administrator) {
	site := p.settings.app.PublicURL
	line := func(what, where string) { fmt.Fprintf(out, "  %-14s %s\n", what, where) }
	fmt.Fprintln(out, "Portico runs. Stop it with Ctrl-C.")
	line("site", site+"/")
	if p.settings.hasPublicURL {
		line("", fmt.Sprintf("https://localhost:%d/ on this machine", addrs.HTTPS.Port))
	}
	if addrs.HTTP != nil {
		line("", fmt.Sprintf("http://localhost:%d redirects there", addrs.HTTP.Port))
	}
	line("API", site+"/api/docs")
	line("jobs", site+"/flower/")
	if p.settings.app.UsesMailbox() {
		line("mailbox", site+"/mailbox/")
	}
	line("metrics", "http://"+internal.String()+"/metrics")
	line("state", p.data.path)
	line("trust", "portico trust --data "+p.data.path)
	line("", "curl --cacert "+filepath.Join(p.data.path, "ca", "root.pem")+" "+site+"/")
	if admin != nil {
		line("administrator", admin.email)
		if admin.password != "" {
			line("password", admin.password+"   (shown once)")
		}
	}
}
