// Command app is the application: accounts and the campus community.
package main

import (
	"github.com/alecthomas/kong"

	"github.com/portico-web/portico/internal/command"
)

// version is set at build time.
var version = "dev"

type commands struct {
	Serve       serveCommand       `cmd:"" help:"Answer requests on LISTEN until SIGTERM."`
	Migrate     migrateCommand     `cmd:"" help:"Bring the database to this version's schema; safe to run again and at once."`
	Createadmin createAdminCommand `cmd:"" help:"Make an administrator; the password is read from standard input or made up."`
	Openapi     openAPICommand     `cmd:"" name:"openapi" help:"Print the OpenAPI 3.1 document of the API."`
	Healthcheck healthcheckCommand `cmd:"" help:"Ask a running app whether it is ready; exit 1 if not."`
	Version     kong.VersionFlag   `help:"Print the version."`
}

const description = `The application of Portico. It reads its settings from the environment (docs/configuration.md lists them).

Examples:
  export DATABASE_URL=postgres://portico:secret@db:5432/portico SECRET_KEY_FILE=/run/secrets/secret_key
  app migrate && app serve
  app migrate --plan
  echo "$PASSWORD" | app createadmin ops@example.com
  app openapi > openapi.json`

func main() { command.Main("app", description, version, &commands{}) }
