// Command portico runs the whole platform in one process on embedded defaults.
package main

import (
	"github.com/alecthomas/kong"

	"github.com/portico-web/portico/internal/command"
)

// version is set at build time.
var version = "dev"

type commands struct {
	Up      upCommand        `cmd:"" help:"Run edge, application, worker and dashboard in this process."`
	Trust   trustCommand     `cmd:"" help:"Let this machine trust the local CA, so that browsers take https://localhost without a warning."`
	Version kong.VersionFlag `help:"Print the version."`
}

const description = `Portico runs a web product on your own server: HTTPS edge, application, background worker and its dashboard.

Examples:
  portico up                            https://localhost:8443, state under ./.portico
  portico up --demo                     the same, filled with a campus to look at
  portico trust                         no more warnings at https://localhost:8443
  portico up --https 127.0.0.1:9443 --http 127.0.0.1:9080 --data /var/lib/portico

Environment: PORTICO_ADMIN_EMAIL and PORTICO_ADMIN_PASSWORD choose the administrator of a new data folder;
SMTP_URL sends mail for real; REDIS_URL shares rate limits; FLOWER_BASIC_AUTH gives the dashboard users of its own.`

func main() { command.Main("portico", description, version, &commands{}) }
