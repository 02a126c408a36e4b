package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// application is a target that answers everything.
func application(t *testing.T) (target string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// deployable is the file of a configuration with a control socket and the upstream app.
func deployable(t *testing.T, target string) (file string) {
	t.Helper()
	folder, err := os.MkdirTemp("", "edge") // t.TempDir may be longer than a socket's path can be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	file = filepath.Join(folder, "proxy.yaml")
	content := fmt.Sprintf("listen: {http: \"127.0.0.1:0\", admin: \"unix:%s/s\"}\nupstreams: {app: {targets: [%q], health: {interval: 50ms}}}\n"+
		"sites: [{hosts: [localhost], routes: [{path: /, upstream: app}]}]\n", folder, target)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestDeployAndRollbackTellTheirSteps(t *testing.T) {
	t.Parallel()
	old, next := application(t), application(t)
	file := deployable(t, old)
	e := start(t, file)
	stdout, stderr, status := run(t, "deploy", "app", "--config", file, "--target", next, "--smoke", "/x", "--by", "CI run 7")
	for _, line := range []string{
		"probing " + next + ": 1/3", "probing " + next + ": 3/3", next + " answers /x well", "switched from " + old + " to " + next, "drained 0 requests in ",
	} {
		if !strings.Contains(stdout, line) {
			t.Errorf("%q is not told", line)
		}
	}
	if status != 0 || stderr != "" {
		t.Errorf("%d %q\n%s", status, stderr, stdout)
	}
	stdout, stderr, status = run(t, "rollback", "app", "--config", file, "--json")
	for line := range strings.Lines(stdout) {
		var progress struct{ Step string }
		if err := json.Unmarshal([]byte(line), &progress); err != nil || progress.Step == "" {
			t.Errorf("%q: %v", line, err)
		}
	}
	if status != 0 || !strings.HasSuffix(stdout, "{\"step\":\"done\",\"text\":\"\"}\n") {
		t.Errorf("%d %q\n%s", status, stderr, stdout)
	}
	stdout, _, status = run(t, "history", "app", "--config", file)
	lines := strings.Split(stdout, "\n")
	if status != 0 || len(lines) != 4 || !strings.Contains(lines[1], "rollback") || !strings.Contains(lines[2], ": CI run 7") || !strings.Contains(lines[2], "drained 0 requests") {
		t.Errorf("%d\n%s", status, stdout)
	}
	e.stop()
}

func TestADeployThatFailsIsOneLine(t *testing.T) {
	t.Parallel()
	file := deployable(t, application(t))
	e := start(t, file)
	for name, c := range map[string]struct {
		arguments []string
		says      string
	}{
		"nobody listens":   {[]string{"deploy", "app", "--target", "127.0.0.1:1", "--timeout", "200ms"}, "proxy: deploy app: 127.0.0.1:1 did not pass 3 probes in a row within 200ms"},
		"unknown upstream": {[]string{"deploy", "ap"}, `proxy: deploy ap: unknown upstream "ap": proxy.yaml has app`},
		"no percentage":    {[]string{"canary", "app"}, "proxy: canary app: name --percent, or --promote"},
		"nothing before":   {[]string{"rollback", "app"}, "proxy: rollback app: app was never deployed: there is nothing to go back to"},
		"no duration":      {[]string{"deploy", "app", "--drain=-1s"}, "is not a duration such as 30s"},
		"another upstream": {[]string{"history", "ap"}, "unknown upstream"},
	} {
		stdout, stderr, status := run(t, append(c.arguments, "--config", file)...)
		if status != 1 || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, c.says) {
			t.Errorf("%s: %d %q %q", name, status, stdout, stderr)
		}
	}
	e.stop()
	if _, stderr, status := run(t, "deploy", "app", "--config", file); status != 1 || !strings.Contains(stderr, "no edge answers on") {
		t.Errorf("a stopped edge: %d %q", status, stderr)
	}
}

func TestTheHelpOfDeployTeaches(t *testing.T) {
	t.Parallel()
	for command, example := range map[string]string{
		"deploy": "proxy deploy app --target 127.0.0.1:8002 --smoke /api/health/", "rollback": "proxy rollback app --force",
		"canary": "proxy canary app --promote", "pause": "proxy pause app --for 1m", "resume": "proxy resume app", "maintenance": "proxy maintenance app off",
	} {
		if stdout, _, status := run(t, command, "--help"); status != 0 || !strings.Contains(stdout, example) {
			t.Errorf("%s: %d\n%s", command, status, stdout)
		}
	}
}

func TestTheOtherCommandsTellWhatTheyDid(t *testing.T) {
	t.Parallel()
	file, canary := deployable(t, application(t)), application(t)
	e := start(t, file)
	for _, c := range []struct {
		arguments []string
		says      string
	}{
		{[]string{"canary", "app", "--target", canary, "--percent", "2.5"}, "probing " + canary + ": 1/3\n"},
		{[]string{"canary", "app", "--percent", "10"}, "10% of the clients are served by " + canary + "\n"},
		{[]string{"canary", "app", "--percent", "0"}, "the canary has ended\ndrained 0 requests in "},
		{[]string{"pause", "app", "--for", "1m", "--max-queue", "5"}, "paused: 5 requests wait up to 1m0s each\ndrained 0 requests in "},
		{[]string{"resume", "app"}, "resumed, 0 requests waited\n"},
		{[]string{"maintenance", "app", "on", "--message", "Back soon.", "--allow", "203.0.113.0/24"}, "maintenance on: app\n"},
		{[]string{"maintenance", "app", "off"}, "maintenance off: app\n"},
	} {
		stdout, stderr, status := run(t, append(c.arguments, "--config", file)...)
		if status != 0 || !strings.HasPrefix(stdout, c.says) {
			t.Errorf("%v: %d %q %q", c.arguments, status, stdout, stderr)
		}
	}
	stdout, _, _ := run(t, "history", "app", "--config", file)
	if strings.Count(stdout, "\n") != 8 || !strings.Contains(stdout, "maintenance on") {
		t.Error(stdout)
	}
	e.stop()
}
