//go:build containers

package containers

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// hostImage is what stands for a fresh host.
const hostImage = "portico-e2e/host"

// siteName is the name of the site that hosts under test serve.
const siteName = "portico.test"

// host is a container that stands for a server with a Docker engine of its own.
type host struct {
	t    *testing.T
	name string // of the container
	key  string // file of the key of the user deploy
	via  string // how releases come: ssh or ssm
}

var buildingHost sync.Once

// startHost starts a host and lets docker/bootstrap.sh prepare it, with options besides; it ends with the test.
func startHost(t *testing.T, name string, options ...string) *host {
	t.Helper()
	buildingHost.Do(func() { docker(t, "build", "--quiet", "--tag", hostImage, "e2e/containers/host") })
	h := &host{t: t, name: "portico-e2e-" + name, key: filepath.Join(t.TempDir(), "key"), via: "ssh"}
	command(t, nil, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", h.key)
	_ = exec.Command("docker", "rm", "--force", "--volumes", h.name).Run()
	remove(t, h.name)
	docker(t, "run", "--detach", "--name", h.name, "--hostname", name, "--privileged",
		"--publish", "127.0.0.1::22", "--publish", "127.0.0.1::80", "--publish", "127.0.0.1::443", "--publish", "127.0.0.1::5000", hostImage)
	public, err := os.ReadFile(h.key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	h.bootstrap(append([]string{"--site", siteName, "--key", strings.TrimSpace(string(public))}, options...)...)
	h.restart() // no init system is there to start the engine
	return h
}

// in is the host for a part of the test.
func (h *host) in(t *testing.T) *host {
	part := *h
	part.t = t
	return &part
}

// bySystemsManager is the host as releases reach it without SSH.
func (h *host) bySystemsManager() *host {
	other := *h
	other.via = "ssm"
	return &other
}

// bootstrap runs docker/bootstrap.sh on the host, over standard input, as docs/deploy.md says.
func (h *host) bootstrap(options ...string) {
	h.t.Helper()
	script, err := os.ReadFile(filepath.Join(repository, "docker/bootstrap.sh"))
	if err != nil {
		h.t.Fatal(err)
	}
	if output, err := h.asRoot(bytes.NewReader(script), append([]string{"bash", "-s", "--"}, options...)...); err != nil {
		h.t.Fatalf("bootstrap.sh %q: %v\n%s", options, err, output)
	}
}

// restart is the host's boot.
func (h *host) restart() {
	h.t.Helper()
	docker(h.t, "restart", "--time", "5", h.name)
	h.await("the engine", func() bool {
		_, err := h.asRoot(nil, "docker", "info")
		return err == nil
	})
}

// await waits up to a minute for something to become true.
func (h *host) await(what string, true func() bool) {
	h.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !true() {
		if time.Now().After(deadline) {
			h.t.Fatalf("%s: %s was waited for in vain", h.name, what)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// asRoot runs a program on the host.
func (h *host) asRoot(input *bytes.Reader, arguments ...string) (string, error) {
	program := exec.Command("docker", append([]string{"exec", "--interactive", h.name}, arguments...)...)
	if input != nil {
		program.Stdin = input
	}
	output, err := program.CombinedOutput()
	return strings.TrimRight(string(output), "\n"), err
}

// root is asRoot for what must not fail.
func (h *host) root(arguments ...string) string {
	h.t.Helper()
	output, err := h.asRoot(nil, arguments...)
	if err != nil {
		h.t.Fatalf("%s: %s: %v\n%s", h.name, strings.Join(arguments, " "), err, output)
	}
	return output
}

// ssh runs a line of shell as the user deploy, with standard input, and returns what it printed.
func (h *host) ssh(ctx context.Context, input *bytes.Reader, line string) (string, error) {
	program := exec.CommandContext(ctx, "ssh", append(h.sshOptions(), "deploy@127.0.0.1", line)...)
	if input != nil {
		program.Stdin = input
	}
	output, err := program.CombinedOutput()
	return strings.TrimRight(string(output), "\n"), err
}

func (h *host) sshOptions() []string {
	return []string{"-i", h.key, "-p", h.port("22"), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=accept-new",
		"-o", "UserKnownHostsFile=" + h.key + ".known", "-o", "LogLevel=ERROR"}
}

// shell is ssh for what must not fail.
func (h *host) shell(line string) string {
	h.t.Helper()
	output, err := h.ssh(h.t.Context(), nil, line)
	if err != nil {
		h.t.Fatalf("%s: %s: %v\n%s", h.name, line, err, output)
	}
	return output
}

// write puts a file into the host's /opt/portico, as the user deploy.
func (h *host) write(path, content string) {
	h.t.Helper()
	line := fmt.Sprintf("mkdir -p /opt/portico/%s && cat >/opt/portico/%s", filepath.Dir(path), path)
	if output, err := h.ssh(h.t.Context(), bytes.NewReader([]byte(content)), line); err != nil {
		h.t.Fatalf("writing %s: %v\n%s", path, err, output)
	}
}

// port is where a port of the host is on this machine.
func (h *host) port(port string) string {
	h.t.Helper()
	published := strings.Split(docker(h.t, "port", h.name, port+"/tcp"), "\n")[0]
	return published[strings.LastIndex(published, ":")+1:]
}
