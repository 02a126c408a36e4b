//go:build containers

// Package containers tests what needs a Docker engine: the images, the production compose file and its host script, backups,
// and several hosts. `make e2e-containers` runs it. Everything that a test makes in the engine has a name that begins with
// portico-e2e- and is removed when the test ends; built images stay, for the next run.
package containers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// repository is the root of the checkout under test.
var repository string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	folder, err := filepath.Abs("../..")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	repository = folder
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if output, err := exec.CommandContext(ctx, "docker", "info").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "these tests need a Docker engine with compose and buildx, which does not answer here (docker info: %v)\n%s", err, output)
		if os.Getenv("CI") != "" {
			return 1
		}
		return 0
	}
	// What the tests make in the engine has the same names in each run.
	lock, err := os.OpenFile(filepath.Join(os.TempDir(), "portico-e2e-containers.lock"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer lock.Close()
	if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		fmt.Fprintln(os.Stderr, "waiting for another run of these tests to end")
		if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

// docker runs a command of Docker's client and returns what it printed, without the last line's end; the test ends when it
// fails.
func docker(t testing.TB, args ...string) string {
	t.Helper()
	return command(t, nil, "docker", args...)
}

// command runs a program in the repository's root, with variables besides those of the test.
func command(t testing.TB, environ []string, name string, args ...string) string {
	t.Helper()
	output, err := attempt(t, environ, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, output)
	}
	return output
}

// attempt is command for what may fail.
func attempt(t testing.TB, environ []string, name string, args ...string) (string, error) {
	t.Helper()
	program := exec.CommandContext(t.Context(), name, args...)
	program.Dir = repository
	program.Env = append(os.Environ(), environ...)
	output, err := program.CombinedOutput()
	return strings.TrimRight(string(output), "\n"), err
}

// remove lets a container, with its anonymous volumes, end together with the test.
func remove(t testing.TB, container string) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			output, _ := exec.Command("docker", "logs", "--tail", "50", container).CombinedOutput()
			t.Logf("%s printed last:\n%s", container, output)
		}
		_ = exec.Command("docker", "rm", "--force", "--volumes", container).Run()
	})
}

// image is the name of a program's image under test.
func image(program string) string { return "portico-e2e/" + program + ":under-test" }

// revisionUnderTest is the commit that the images tell of.
const revisionUnderTest = "0123456789abcdef0123456789abcdef01234567"

var building sync.Once

// buildImages builds the three images once for all tests.
func buildImages(t testing.TB) {
	t.Helper()
	building.Do(func() {
		for _, program := range []string{"proxy", "app", "worker"} {
			docker(t, "build", "--quiet", "--file", "docker/Dockerfile", "--target", program, "--build-arg", "VERSION=under-test",
				"--build-arg", "REVISION="+revisionUnderTest, "--tag", image(program), ".")
		}
	})
	for _, program := range []string{"proxy", "app", "worker"} {
		if _, err := attempt(t, nil, "docker", "image", "inspect", image(program)); err != nil {
			t.Fatalf("%s was not built: %v", image(program), err)
		}
	}
}
