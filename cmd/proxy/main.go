// Command proxy is the edge: HTTPS, routing, rate limits and static files in front of everything else.
package main

import (
	"github.com/alecthomas/kong"

	"github.com/portico-web/portico/internal/command"
)

// version is set at build time.
var version = "dev"

type commands struct {
	Run         runCommand         `cmd:"" help:"Serve until SIGTERM. SIGHUP, and saving the file, reload the configuration; SIGUSR2 upgrades."`
	Validate    validateCommand    `cmd:"" help:"Check a configuration and exit: every fault with line, column and what was probably meant."`
	Schema      schemaCommand      `cmd:"" help:"Print the JSON Schema of the configuration, for editors."`
	Reload      reloadCommand      `cmd:"" help:"Let a running edge reload its configuration, and tell whether it took it over."`
	Upgrade     upgradeCommand     `cmd:"" help:"Let a running edge start its program anew, which takes over without refusing a connection (needs listen.handover)."`
	Status      statusCommand      `cmd:"" help:"Print what a running edge says of itself: routes, targets, health, rates, certificates."`
	Certs       certsCommand       `cmd:"" help:"List the certificates of a running edge: names, issuers, expiry and the last error."`
	Deploy      deployCommand      `cmd:"" help:"Put other targets in the place of an upstream's, without a lost request."`
	Rollback    rollbackCommand    `cmd:"" help:"Go back to the targets before the last deploy."`
	Canary      canaryCommand      `cmd:"" help:"Let a share of the clients be served by other targets."`
	Pause       pauseCommand       `cmd:"" help:"Let requests to an upstream wait."`
	Resume      resumeCommand      `cmd:"" help:"End a pause."`
	Maintenance maintenanceCommand `cmd:"" help:"Answer requests to an upstream 503, or end that."`
	History     historyCommand     `cmd:"" help:"Print what was deployed to an upstream, when and by whom."`
	Healthcheck healthcheckCommand `cmd:"" help:"Ask a running edge whether it is ready; exit 1 if not."`
	Version     kong.VersionFlag   `help:"Print the version."`
}

const description = `The edge of Portico. It reads one YAML file (docs/proxy.md explains every key).

Examples:
  proxy validate --config proxy.yaml
  proxy run --config proxy.yaml
  proxy reload --config proxy.yaml       (with listen.admin in the file; else: kill -HUP PID)
  proxy upgrade --config proxy.yaml      (after a new version was installed; with listen.handover in the file)
  proxy deploy app --target 127.0.0.1:8002 --smoke /api/health/
  proxy status --config proxy.yaml --watch
  proxy healthcheck --url http://127.0.0.1:9090/readyz

A minimal proxy.yaml for this machine, with certificates of a CA of its own (curl --cacert .portico/ca/root.pem):
  listen: {http: ":8080", https: ":8443"}
  upstreams: {app: {targets: ["127.0.0.1:8000"]}}
  sites: [{hosts: [localhost], routes: [{path: /, upstream: app}]}]`

func main() { command.Main("proxy", description, version, &commands{}) }
