// Command worker runs the application's jobs and serves the dashboard under /flower/.
package main

import (
	"github.com/alecthomas/kong"

	"github.com/portico-web/portico/internal/command"
)

// version is set at build time.
var version = "dev"

type commands struct {
	Run         runCommand         `cmd:"" help:"Work jobs and serve the dashboard until SIGTERM; running jobs then have WORKER_STOP_TIMEOUT to finish."`
	Enqueue     enqueueCommand     `cmd:"" help:"Put a job into the queue and print its number."`
	Healthcheck healthcheckCommand `cmd:"" help:"Ask a running worker whether it is ready; exit 1 if not."`
	Version     kong.VersionFlag   `help:"Print the version."`
}

const description = `The worker of Portico: it runs the jobs that the application enqueues (mail, clean-up) and shows them under /flower/.
It reads its settings from the environment (docs/worker.md lists them); any of them may be given as NAME_FILE instead.

Examples:
  export DATABASE_URL=postgres://portico:secret@db:5432/portico SMTP_URL=smtp://user:password@mail:587
  FLOWER_BASIC_AUTH=ops:secret worker run
  worker enqueue maintenance.purge_tokens
  worker enqueue account.welcome_mail '{"email": "kim@example.com", "nickname": "Kim", "lang": "ko"}'
  worker enqueue --in 10m maintenance.purge_tokens
  worker healthcheck`

func main() { command.Main("worker", description, version, &commands{}) }
