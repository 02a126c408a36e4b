package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
)

// createAdmin makes the administrator of the three processes as an operator would.
func (p *platform) createAdmin() {
	p.t.Helper()
	command := exec.Command(filepath.Join(programs, "app"), "createadmin", adminEmail)
	command.Env = p.appEnv
	command.Stdin = strings.NewReader(adminPassword + "\n")
	if output, err := command.CombinedOutput(); err != nil {
		p.t.Fatalf("app createadmin: %v: %s", err, output)
	}
}
