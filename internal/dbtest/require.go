package dbtest

import (
	"os"
	"os/exec"
	"testing"
)

// Require returns the path of the first of the programs that is installed. Where none is, the test is skipped with a hint
// how to install it; with CI=true it fails.
func Require(t testing.TB, installHint string, programs ...string) string {
	t.Helper()
	for _, program := range programs {
		if path, err := exec.LookPath(program); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("none of %v is installed: %s", programs, installHint)
	}
	t.Skipf("none of %v is installed: %s", programs, installHint)
	return ""
}
