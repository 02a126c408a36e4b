//go:build containers

package containers

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// release is what goes to a host under a name: images, and the configuration of the edge.
type release struct {
	name               string
	proxy, app, worker string // images of this machine's engine
	config             string // proxy.yaml
}

// with returns the release under another name and changed.
func (r release) with(name string, change func(r *release)) release {
	r.name = name
	change(&r)
	return r
}

// derive makes an image from another by lines of a Dockerfile, with a folder of files for it ("": none).
func derive(t *testing.T, tag, from, folder, lines string) string {
	t.Helper()
	if folder == "" {
		folder = t.TempDir()
	}
	tag = "portico-e2e/" + tag
	file := filepath.Join(t.TempDir(), "Dockerfile")
	if err := os.WriteFile(file, []byte("FROM "+from+"\n"+lines+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	docker(t, "build", "--quiet", "--tag", tag, "--file", file, folder)
	return tag
}

// fixture compiles what stands for broken programs and returns its folder; the program is called app and worker there.
func fixture(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	command(t, []string{"CGO_ENABLED=0"}, "go", "build", "-tags", "containers", "-o", filepath.Join(folder, "app"), "./e2e/containers/fixture")
	if err := os.Link(filepath.Join(folder, "app"), filepath.Join(folder, "worker")); err != nil {
		t.Fatal(err)
	}
	return folder
}

// withMigration builds the app from a copy of this checkout that has one migration more, as a developer's next commit would.
func withMigration(t *testing.T, tag, statement string) string {
	t.Helper()
	folder := t.TempDir()
	command(t, nil, "sh", "-c", "git ls-files -z --cached --others --exclude-standard | xargs --null cp --parents --target-directory "+folder)
	for _, dialect := range []string{"postgres", "sqlite"} {
		file := filepath.Join(folder, "migrations", dialect, "29990101000001_"+tag+".tx.up.sql")
		if err := os.WriteFile(file, []byte(statement+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	name := "portico-e2e/app:" + tag
	docker(t, "build", "--quiet", "--file", filepath.Join(folder, "docker/Dockerfile"), "--target", "app", "--build-arg", "VERSION="+tag, "--tag", name, folder)
	return name
}

// startRegistry gives the host a registry at 127.0.0.1:5000, which this machine reaches as well.
func (h *host) startRegistry() {
	h.t.Helper()
	name := h.name + "-registry"
	_, _ = attempt(h.t, nil, "docker", "rm", "--force", "--volumes", name)
	remove(h.t, name)
	docker(h.t, "run", "--detach", "--name", name, "--network", "container:"+h.name, hostImage,
		"docker-registry", "serve", "/registry.yml")
	h.await("the registry", func() bool {
		_, err := h.asRoot(nil, "curl", "--silent", "--fail", "http://127.0.0.1:5000/v2/")
		return err == nil
	})
}

var digestForm = regexp.MustCompile(`digest: (sha256:[0-9a-f]{64})`)

// push brings an image into the host's registry and returns its name there, by digest.
func (h *host) push(image string) string {
	h.t.Helper()
	name := strings.TrimPrefix(strings.SplitN(image, ":", 2)[0], "portico-e2e/")
	there := "127.0.0.1:" + h.port("5000") + "/portico/" + name
	docker(h.t, "tag", image, there)
	output := docker(h.t, "push", there)
	found := digestForm.FindStringSubmatch(output)
	if found == nil {
		h.t.Fatalf("docker push told no digest:\n%s", output)
	}
	docker(h.t, "rmi", there)
	return "127.0.0.1:5000/portico/" + name + "@" + found[1]
}

// ship lets docker/ship.sh bring a release to the host by SSH and switch to it. Output goes to a writer as it comes.
func (h *host) ship(r release, output io.Writer, options ...string) error {
	h.t.Helper()
	folder := h.t.TempDir()
	for name, content := range map[string]string{
		"proxy.yaml": r.config, "images.env": fmt.Sprintf("PROXY_IMAGE=%s\nAPP_IMAGE=%s\nWORKER_IMAGE=%s\n", h.push(r.proxy), h.push(r.app), h.push(r.worker)),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			h.t.Fatal(err)
		}
	}
	return h.runShip(output, []string{"PROXY_YAML=" + filepath.Join(folder, "proxy.yaml")}, append([]string{"deploy", r.name, filepath.Join(folder, "images.env")}, options...)...)
}

func (h *host) runShip(output io.Writer, environ []string, arguments ...string) error {
	h.t.Helper()
	real, err := exec.LookPath("ssh")
	if err != nil {
		h.t.Fatal(err)
	}
	folder := h.t.TempDir()
	// A person has the port and the key in ~/.ssh/config.
	executable(h.t, filepath.Join(folder, "ssh"), "exec "+real+" "+strings.Join(h.sshOptions(), " ")+` "$@"`)
	// The agent of Systems Manager runs commands as root, by sh.
	executable(h.t, filepath.Join(folder, "aws"), `
case $2 in
send-command)
	while [ "$1" != --parameters ]; do shift; done
	docker exec `+h.name+` sh -c "$(jq --raw-output '.commands[]' <<<"$2")" >"$0.output" 2>&1 && echo Success >"$0.status" || echo Failed >"$0.status"
	echo command-1 ;;
get-command-invocation) case "$*" in *--query\ Status*) cat "$0.status" ;; *) cat "$0.output" ;; esac ;;
esac`)
	program := exec.CommandContext(h.t.Context(), "docker/ship.sh", arguments...)
	program.Dir = repository
	program.Env = append(append(os.Environ(), environ...), "PATH="+folder+":"+os.Getenv("PATH"), "DEPLOY_RUN=run 1", "DEPLOY_VIA="+h.via,
		"DEPLOY_HOST=deploy@127.0.0.1", "DEPLOY_INSTANCE=i-0123456789abcdef0", "SHIP_POLL=0.2")
	program.Stdout, program.Stderr = output, output
	return program.Run()
}

// deploy must succeed.
func (h *host) deploy(r release, options ...string) string {
	h.t.Helper()
	var output bytes.Buffer
	if err := h.ship(r, &output, options...); err != nil {
		h.t.Fatalf("deploy %s: %v\n%s", r.name, err, output.String())
	}
	return output.String()
}

// refuse wants a deploy to fail with a text, and returns everything that was told.
func (h *host) refuse(r release, tells string) string {
	h.t.Helper()
	var output bytes.Buffer
	if err := h.ship(r, &output); err == nil || !strings.Contains(output.String(), tells) {
		h.t.Errorf("deploy %s: %v, want a failure that tells %q\n%s", r.name, err, tells, output.String())
	}
	return output.String()
}

// rollBack must succeed.
func (h *host) rollBack() {
	h.t.Helper()
	var output bytes.Buffer
	if err := h.runShip(&output, nil, "rollback"); err != nil {
		h.t.Fatalf("rollback: %v\n%s", err, output.String())
	}
}

// quickLimits is the production configuration with rates that a test under load from one address does not reach.
func quickLimits(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(repository, "docker/proxy.prod.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	before := content
	content = regexp.MustCompile(`rate: \d+/s, burst: \d+`).ReplaceAll(content, []byte("rate: 100000/s, burst: 100000"))
	content = bytes.Replace(content, []byte("sites:\n"), []byte("  echo: {targets: [\"127.0.0.1:8900\"]}\nsites:\n"), 1)
	content = bytes.Replace(content, []byte("    routes:\n"), []byte("    routes:\n      - {path: /echo, upstream: echo}\n"), 1)
	if bytes.Equal(before, content) {
		t.Fatal("docker/proxy.prod.yaml has another form than this test knows")
	}
	return string(content)
}
