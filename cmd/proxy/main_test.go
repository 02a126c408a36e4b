package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// asProgram in the environment makes this test binary be the program.
const asProgram = "PORTICO_TEST_AS_PROGRAM=1"

func TestMain(m *testing.M) {
	if os.Getenv("PORTICO_TEST_AS_PROGRAM") == "1" {
		main()
		return
	}
	os.Exit(m.Run())
}

func program(t *testing.T, arguments ...string) *exec.Cmd {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0], arguments...)
	command.Dir = t.TempDir()
	command.Env = append(os.Environ(), asProgram)
	return command
}

// run runs the program to its end.
func run(t *testing.T, arguments ...string) (stdout, stderr string, status int) {
	t.Helper()
	command := program(t, arguments...)
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	err := command.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return out.String(), errs.String(), command.ProcessState.ExitCode()
}

const valid = "listen: {http: \"127.0.0.1:0\", https: \"127.0.0.1:0\", internal: \"127.0.0.1:0\"}\n" +
	"sites: [{hosts: [localhost], routes: [{path: /, redirect: {to: /one}}]}]\n"

func written(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "proxy.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// edge is a running program.
type edge struct {
	t       *testing.T
	command *exec.Cmd
	log     *bufio.Scanner
	listens struct{ HTTP, HTTPS, Internal string }
}

func start(t *testing.T, path string, flags ...string) *edge {
	t.Helper()
	e := &edge{t: t, command: program(t, append([]string{"run", "--config", path}, flags...)...)}
	stderr, err := e.command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := e.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.command.Process.Kill() })
	e.log = bufio.NewScanner(stderr)
	if err := json.Unmarshal([]byte(e.waitFor("edge listens")), &e.listens); err != nil {
		t.Fatal(err)
	}
	return e
}

// waitFor reads the log up to a line that holds text.
func (e *edge) waitFor(text string) string {
	e.t.Helper()
	var lines []string
	for e.log.Scan() {
		if strings.Contains(e.log.Text(), text) {
			return e.log.Text()
		}
		lines = append(lines, e.log.Text())
	}
	e.t.Fatalf("no %q in the log:\n%s", text, strings.Join(lines, "\n"))
	return ""
}

func (e *edge) signal(signal os.Signal) {
	e.t.Helper()
	if err := e.command.Process.Signal(signal); err != nil {
		e.t.Fatal(err)
	}
}

func (e *edge) stop() {
	e.t.Helper()
	e.signal(syscall.SIGTERM)
	e.waitFor("edge stopped")
	for e.log.Scan() { // Wait closes the pipe
	}
	if err := e.command.Wait(); err != nil {
		e.t.Errorf("after SIGTERM: %v", err)
	}
}

func TestValidateTellsPlacesAndExits(t *testing.T) {
	t.Parallel()
	good := written(t, valid)
	if stdout, stderr, status := run(t, "validate", "--config", good); status != 0 || stdout != good+" is valid\n" || stderr != "" {
		t.Errorf("%d %q %q", status, stdout, stderr)
	}
	bad := written(t, strings.Replace(valid, "routes", "rotues", 1))
	want := fmt.Sprintf("proxy: %s:2:30: unknown key \"rotues\" in sites[0] (did you mean \"routes\"?)\n", bad)
	for _, command := range []string{"validate", "run"} {
		if stdout, stderr, status := run(t, command, "--config", bad); status != 1 || stderr != want || stdout != "" {
			t.Errorf("%s: %d %q %q", command, status, stdout, stderr)
		}
	}
}

func TestRunReloadsOnSIGHUPAndStopsOnSIGTERM(t *testing.T) {
	t.Parallel()
	path := written(t, valid)
	e := start(t, path)
	if _, stderr, status := run(t, "healthcheck", "--url", "http://"+e.listens.Internal+"/readyz"); status != 0 {
		t.Errorf("healthcheck: %d %s", status, stderr)
	}
	e.signal(syscall.SIGHUP) // nothing changed, so that the watch of the file has no part in it
	e.waitFor("configuration reloaded")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+e.listens.HTTP+"/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "localhost"
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if _, port, _ := net.SplitHostPort(e.listens.HTTPS); response.Header.Get("Location") != "https://localhost:"+port+"/x" {
		t.Errorf("%d %v", response.StatusCode, response.Header)
	}
	e.stop()
	if _, stderr, status := run(t, "healthcheck", "--url", "http://"+e.listens.Internal+"/readyz"); status != 1 || strings.Count(stderr, "\n") != 1 {
		t.Errorf("healthcheck of a stopped edge: %d %q", status, stderr)
	}
}

func TestReloadAndStatusGoThroughTheSocket(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "admin.sock")
	content := strings.Replace(valid, "listen: {", "listen: {admin: \"unix:"+socket+"\", ", 1)
	path := written(t, content)
	e := start(t, path)
	if stdout, stderr, status := run(t, "reload", "--config", path); status != 0 || stdout != "reloaded\n" {
		t.Errorf("reload: %d %q %q", status, stdout, stderr)
	}
	stdout, _, status := run(t, "status", "--socket", socket, "--json")
	if status != 0 || !strings.Contains(stdout, `"https": "`+e.listens.HTTPS+`"`) || !strings.Contains(stdout, `"localhost"`) {
		t.Errorf("status: %d %s", status, stdout)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(content, "redirect:", "redirct:", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr, status := run(t, "reload", "--socket", socket); status != 1 || !strings.Contains(stderr, `did you mean "redirect"?`) {
		t.Errorf("a bad file: %d %q", status, stderr)
	}
	e.stop()
	if _, stderr, status := run(t, "reload", "--socket", socket); status != 1 || !strings.Contains(stderr, socket) {
		t.Errorf("a stopped edge: %d %q", status, stderr)
	}
}

func TestWhatCannotStartIsOneLine(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, c := range map[string]struct{ content, says string }{
		"port in use": {strings.Replace(valid, "https: \"127.0.0.1:0\"", fmt.Sprintf("https: %q", taken.Addr()), 1), "listen.https"},
		"no folder":   {"tls: {storage: /dev/null/x}\n" + valid, "/dev/null/x"},
	} {
		stdout, stderr, status := run(t, "run", "--config", written(t, c.content))
		if status != 1 || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, c.says) || strings.Contains(stderr, "hunter2") {
			t.Errorf("%s: %d %q", name, status, stderr)
		}
	}
}

func TestHelpTeachesAndVersionIsTold(t *testing.T) {
	t.Parallel()
	if stdout, _, status := run(t, "--help"); status != 0 || !strings.Contains(stdout, "proxy validate --config proxy.yaml") || !strings.Contains(stdout, "curl --cacert") {
		t.Errorf("%d %s", status, stdout)
	}
	if stdout, _, status := run(t, "--version"); status != 0 || strings.TrimSpace(stdout) != version {
		t.Errorf("%d %q", status, stdout)
	}
	if _, stderr, status := run(t, "run", "--confg", "x"); status == 0 || !strings.Contains(stderr, "--config") {
		t.Errorf("%d %s", status, stderr)
	}
}

func TestTheSchemaIsPrinted(t *testing.T) {
	t.Parallel()
	out, errs, code := run(t, "schema")
	var schema struct{ Properties map[string]any }
	if err := json.Unmarshal([]byte(out), &schema); err != nil || schema.Properties["sites"] == nil || errs != "" || code != 0 {
		t.Fatalf("%v, %q, %d", err, errs, code)
	}
}
