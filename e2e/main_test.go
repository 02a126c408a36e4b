// Package e2e tests the running platform from outside, through the edge, in both of its forms: one process on SQLite, and
// three processes on PostgreSQL and Redis.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/portico-web/portico/internal/dbtest"
)

// programs is the folder that holds the programs under test, built once for all tests.
var programs string

func TestMain(m *testing.M) { os.Exit(build(m)) }

func build(m *testing.M) int {
	folder, err := os.MkdirTemp("", "portico-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	command := exec.Command("go", "build", "-o", folder+string(filepath.Separator), "./cmd/...")
	command.Dir = ".."
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the programs: %v\n%s", err, output)
		return 1
	}
	programs = folder
	return dbtest.Suite{M: m}.Run()
}
