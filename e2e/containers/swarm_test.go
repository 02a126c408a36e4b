//go:build containers

package containers

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// swarm is a host that is a Swarm of its own; PostgreSQL and Valkey run beside it.
type swarm struct {
	*host
	variables map[string]string // of docker/swarm.yml
}

// startSwarm prepares what docs/scale.md asks for: stores, secrets, and the label of a node that shall be an edge.
func startSwarm(t *testing.T) *swarm {
	t.Helper()
	buildImages(t)
	h := startHost(t, "swarm")
	h.root("sed", "--in-place", "s/\"live-restore\": *true/\"live-restore\": false/", "/etc/docker/daemon.json") // which a Swarm refuses
	h.restart()
	h.startRegistry()
	h.root("docker", "swarm", "init", "--advertise-addr", "eth0")
	h.root("docker", "node", "update", "--label-add", "portico.edge=true", h.root("docker", "node", "ls", "--format", "{{.ID}}"))
	password := rand.Text()
	stores := map[string]string{}
	for name, arguments := range map[string][]string{
		"database": {"--env", "POSTGRES_USER=portico", "--env", "POSTGRES_PASSWORD=" + password, postgresImage}, "cache": {"valkey/valkey:8-alpine"},
	} {
		container := h.name + "-" + name
		_, _ = attempt(t, nil, "docker", "rm", "--force", "--volumes", container)
		remove(t, container)
		docker(t, append([]string{"run", "--detach", "--name", container}, arguments...)...)
		stores[name] = docker(t, "inspect", "--format", "{{.NetworkSettings.IPAddress}}", container)
	}
	h.await("the database", func() bool {
		_, err := attempt(t, nil, "docker", "exec", h.name+"-database", "pg_isready", "--quiet", "--host", "127.0.0.1", "--username", "portico")
		return err == nil
	})
	h.createSecrets(map[string]string{
		"database_url": "postgres://portico:" + password + "@" + stores["database"] + ":5432/portico?sslmode=disable", "database_ca": "\n", "secret_key": rand.Text() + rand.Text(),
		"smtp_url": "mailbox:", "flower_basic_auth": "ops:" + rand.Text(), "storage_key": rand.Text() + rand.Text(),
	})
	for _, file := range []string{"swarm.yml", "proxy.fleet.yaml"} {
		content, err := os.ReadFile(filepath.Join(repository, "docker", file))
		if err != nil {
			t.Fatal(err)
		}
		// All clients of the test have one address.
		h.write(file, regexp.MustCompile(`rate: \d+/s, burst: \d+`).ReplaceAllString(string(content), "rate: 100000/s, burst: 100000"))
	}
	h.write("more.yml", "version: \"3.12\"\nservices: {app: {environment: {LOGIN_LIMITS: \"false\"}}}\n")
	return &swarm{host: h, variables: map[string]string{
		"PROXY_IMAGE": h.push(image("proxy")), "APP_IMAGE": h.push(image("app")), "WORKER_IMAGE": h.push(image("worker")),
		"SITE_HOST": siteName, "TLS_ISSUER": "local", "REDIS_URL": "redis://" + stores["cache"] + ":6379/0", "DRAIN_DELAY": "1s",
	}}
}

// createSecrets makes the secrets of the stack.
func (h *host) createSecrets(secrets map[string]string) {
	h.t.Helper()
	for name, value := range secrets {
		if output, err := h.asRoot(bytes.NewReader([]byte(value)), "docker", "secret", "create", "portico_"+name, "-"); err != nil {
			h.t.Fatalf("secret %s: %v\n%s", name, err, output)
		}
	}
}

// deploy brings the stack to the Swarm with variables changed, and waits until it runs or went back.
func (s *swarm) deploy(changed map[string]string) {
	s.t.Helper()
	maps.Copy(s.variables, changed)
	arguments := []string{"env"}
	for _, name := range slices.Sorted(maps.Keys(s.variables)) {
		arguments = append(arguments, name+"="+s.variables[name])
	}
	s.root(append(arguments, "docker", "stack", "deploy", "--compose-file", "/opt/portico/swarm.yml", "--compose-file", "/opt/portico/more.yml", "portico")...)
}

// settled tells whether the last update of a service ended so.
func (s *swarm) settled(service, state string) bool {
	output, err := s.asRoot(nil, "docker", "service", "inspect", "--format", "{{with .UpdateStatus}}{{.State}}{{end}}", "portico_"+service)
	return err == nil && strings.TrimSpace(output) == state
}

// running is how many containers of a service run an image, and are healthy.
func (s *swarm) running(service, image string) int {
	output, err := s.asRoot(nil, "docker", "ps", "--quiet", "--filter", "label=com.docker.swarm.service.name=portico_"+service, "--filter", "health=healthy", "--filter", "ancestor="+image)
	if err != nil {
		return 0
	}
	return len(strings.Fields(output))
}

// awaitRunning waits until a service has so many healthy containers of an image.
func (s *swarm) awaitRunning(service, image string, wanted int) {
	s.t.Helper()
	s.t.Cleanup(func() {
		if s.t.Failed() {
			tasks, _ := s.asRoot(nil, "docker", "service", "ps", "--no-trunc", "--format", "{{.Name}} {{.Image}} {{.DesiredState}} {{.CurrentState}} {{.Error}}", "portico_"+service)
			logs, _ := s.asRoot(nil, "docker", "service", "logs", "--tail", "10", "portico_"+service)
			s.t.Logf("%s:\n%s\n%s", service, tasks, logs)
		}
	})
	s.await(fmt.Sprintf("%d healthy containers of %s", wanted, service), func() bool { return s.running(service, image) == wanted })
}

// container is a container of a service that runs.
func (s *swarm) container(service string) string {
	s.t.Helper()
	return strings.Fields(s.root("docker", "ps", "--quiet", "--filter", "label=com.docker.swarm.service.name=portico_"+service, "--filter", "health=healthy"))[0]
}

func TestSwarm(t *testing.T) {
	s := startSwarm(t)
	s.deploy(nil)
	s.awaitRunning("app", s.variables["APP_IMAGE"], 3)
	s.awaitRunning("worker", s.variables["WORKER_IMAGE"], 2)
	s.awaitRunning("edge", s.variables["PROXY_IMAGE"], 1)
	l := &load{address: "127.0.0.1:" + s.port("443"), roots: x509.NewCertPool(), flower: "ops:unused"}
	root := s.root("sh", "-c", "docker cp "+s.container("edge")+":/data/ca/root.pem - | tar --extract --to-stdout")
	if !l.roots.AppendCertsFromPEM([]byte(root)) {
		t.Fatalf("the local authority's root is no certificate: %s", root)
	}
	client := l.client(false, true)
	s.await("the site", func() bool {
		_, err := do(t.Context(), client, http.MethodGet, "/board/", http.Header{}, nil, http.StatusOK)
		return err == nil
	})
	l.signUp(t, s.root("docker", "exec", s.container("app"), "/app", "createadmin", "ops@example.com"))
	fleet := &fleetLoad{load: l, t: t}
	fleet.start(t.Context())
	t.Cleanup(fleet.report)

	fleet.disrupt("a release of the app comes", func(failure) bool { return false }, func() {
		s.deploy(map[string]string{"APP_IMAGE": s.push(derive(t, "app:swarm-v2", image("app"), "", "LABEL release=v2"))})
		s.await("the update", func() bool { return s.settled("app", "completed") })
		s.awaitRunning("app", s.variables["APP_IMAGE"], 3)
	})
	good := s.variables["APP_IMAGE"]
	fleet.disrupt("a release that never becomes healthy goes back by itself", func(failure) bool { return false }, func() {
		broken := s.push(derive(t, "app:swarm-v3", image("app"), fixture(t), "COPY app /app\nENV BROKEN=crashing"))
		s.deploy(map[string]string{"APP_IMAGE": broken})
		s.await("the way back", func() bool { return s.settled("app", "rollback_completed") })
		s.awaitRunning("app", good, 3)
	})
	fleet.disrupt("a release of the worker comes", func(failure) bool { return false }, func() {
		s.deploy(map[string]string{"APP_IMAGE": good, "WORKER_IMAGE": s.push(derive(t, "worker:swarm-v2", image("worker"), "", "LABEL release=v2"))})
		s.await("the update", func() bool { return s.settled("worker", "completed") })
		s.awaitRunning("worker", s.variables["WORKER_IMAGE"], 2)
	})
	fleet.restore(func() {})
	fleet.stop()
	fleet.judge()

	// This is the only node, so that its ports stay free until the next edge has come.
	s.deploy(map[string]string{"PROXY_IMAGE": s.push(derive(t, "proxy:swarm-v2", image("proxy"), "", "LABEL release=v2"))})
	s.awaitRunning("edge", s.variables["PROXY_IMAGE"], 1)
	s.await("the site", func() bool {
		_, err := do(t.Context(), client, http.MethodGet, "/board/", http.Header{}, nil, http.StatusOK)
		return err == nil
	})
}
