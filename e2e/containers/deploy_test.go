//go:build containers

package containers

import (
	"bufio"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// prepareSite makes a host with a registry, settings for a test, and what the release images come from.
func prepareSite(t *testing.T, name string) (*host, release) {
	t.Helper()
	buildImages(t)
	h := startHost(t, name)
	h.startRegistry()
	h.write("settings.env", "LOGIN_LIMITS=false\nACCESS_TOKEN_LIFETIME=2h\nMAIL_FROM=portico@"+siteName+"\n")
	h.shell(fmt.Sprintf(`cat >>/opt/portico/.env <<'END'
TLS_ISSUER=local
SMOKE_PATH=/board/
HEALTH_TIMEOUT=60
DRAIN=20s
POSTGRES_IMAGE=%s
VALKEY_IMAGE=%s
END`, h.push("postgres:17-alpine"), h.push("valkey/valkey:8-alpine")))
	folder := fixture(t)
	// An application that speaks WebSocket, which no release changes.
	echo := h.push(derive(t, "echo:1", image("app"), folder, "COPY app /app\nHEALTHCHECK NONE\nCMD [\"echo\"]"))
	h.root("docker", "run", "--detach", "--name", "echo", "--restart", "unless-stopped", "--network", "host", echo)
	return h, release{name: "v1", proxy: image("proxy"), app: image("app"), worker: image("worker"), config: quickLimits(t)}
}

// newLoad makes the load of a site that serves already.
func newLoad(t *testing.T, h *host) *load {
	t.Helper()
	l := &load{address: "127.0.0.1:" + h.port("443"), roots: x509.NewCertPool(), flower: h.root("cat", "/opt/portico/secrets/flower_basic_auth")}
	root := h.root("sh", "-c", "docker cp portico-proxy-$(cat /opt/portico/state/proxy)-1:/data/ca/root.pem - | tar --extract --to-stdout")
	if !l.roots.AppendCertsFromPEM([]byte(root)) {
		t.Fatalf("the local authority's root is no certificate: %s", root)
	}
	l.signUp(t, h.shell("/opt/portico/deploy.sh app createadmin ops@example.com"))
	return l
}

// signUp makes a school, a board and a member who posts, as the administrator of whom createadmin told.
func (l *load) signUp(t *testing.T, told string) {
	t.Helper()
	fields := strings.Fields(told) // administrator ADDRESS, password PASSWORD
	client := l.client(true, false)
	defer client.CloseIdleConnections()
	post := func(path string, body map[string]any, want int, into any) {
		t.Helper()
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		header := http.Header{"Content-Type": {"application/json"}}
		if l.token != "" {
			header.Set("Authorization", "Bearer "+l.token)
		}
		content, err := do(t.Context(), client, http.MethodPost, path, header, strings.NewReader(string(text)), want)
		if err == nil {
			err = json.Unmarshal(content, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var session struct{ Access string }
	post("/accounts/login/", map[string]any{"email": "ops@example.com", "password": fields[len(fields)-1]}, http.StatusOK, &session)
	l.token = session.Access
	var school, board struct{ ID int }
	post("/api/v1/schools", map[string]any{"school_name": "North"}, http.StatusCreated, &school)
	post("/api/v1/boards", map[string]any{"name": "News", "category": "all", "school_id": school.ID}, http.StatusCreated, &board)
	l.board, l.token = board.ID, ""
	post("/accounts/registration/", map[string]any{
		"email": "mina@example.com", "password1": "long enough 77", "password2": "long enough 77", "nickname": "mina", "school_id": school.ID, "admission_year": 2024,
	}, http.StatusCreated, &session)
	l.token = session.Access
}

// scenario is a line of the table that the test prints.
type scenario struct {
	what     string
	seconds  float64
	requests int64
	failed   int
}

func TestProductionHost(t *testing.T) {
	h, v1 := prepareSite(t, "deploys")
	h.deploy(v1)
	l := newLoad(t, h)
	t.Run("releases come and go under load without a lost request", func(t *testing.T) { releasesComeAndGo(t, h.in(t), v1, l) })
	t.Run("an operator's commands do what they say", func(t *testing.T) { operate(t, h.in(t), l) })
	t.Run("what an operator has set is minded and outlasts a way back", func(t *testing.T) { mindsTheOperator(t, h.in(t), v1, l) })
	t.Run("the load notices a container that is recreated", func(t *testing.T) { recreateIsNoticed(t, h.in(t), l) })
	t.Run("after a power cut the site comes back with every write", func(t *testing.T) { comesBack(t, h.in(t), l) })
}

func releasesComeAndGo(t *testing.T, h *host, v1 release, l *load) {
	broken := fixture(t)
	var table []scenario
	before := int64(0)
	l.start(t.Context())
	t.Cleanup(func() { report(table, l) })
	step := func(what string, run func()) {
		t.Helper()
		started := time.Now()
		run()
		time.Sleep(2 * time.Second) // of load on what is there now
		requests, failures := l.sum()
		table = append(table, scenario{what, time.Since(started).Seconds() - 2, requests - before, len(failures)})
		before = requests
		t.Logf("%s: %.1f s, %d requests, %d failed so far", what, time.Since(started).Seconds()-2, table[len(table)-1].requests, len(failures))
	}
	serves := func(release string) {
		t.Helper()
		if status := h.shell("/opt/portico/deploy.sh status --json"); !strings.Contains(status, `"release":"`+release+`"`) {
			t.Errorf("%s should serve; status tells %s", release, status)
		}
	}

	v2 := v1.with("v2", func(r *release) {
		r.app = derive(t, "app:v2", v1.app, "", "LABEL release=v2")
		r.worker = derive(t, "worker:v2", v1.worker, "", "LABEL release=v2")
	})
	step("deploy v2", func() { h.deploy(v2) })
	serves("v2")
	step("v3 ends at its start: refused", func() {
		h.refuse(v2.with("v3", func(r *release) {
			r.app = derive(t, "app:v3", v1.app, broken, "COPY app /app\nENV BROKEN=crashing")
		}), "v3 failed; v2 serves")
	})
	step("v4 never becomes healthy: refused", func() {
		h.shell("sed -i 's/^HEALTH_TIMEOUT=.*/HEALTH_TIMEOUT=15/' /opt/portico/.env")
		h.refuse(v2.with("v4", func(r *release) {
			r.app = derive(t, "app:v4", v1.app, broken, "COPY app /app\nENV BROKEN=deaf")
		}), "v4 failed; v2 serves")
		h.shell("sed -i 's/^HEALTH_TIMEOUT=.*/HEALTH_TIMEOUT=60/' /opt/portico/.env")
	})
	step("v5 fails its smoke test: refused", func() {
		h.refuse(v2.with("v5", func(r *release) {
			r.app = derive(t, "app:v5", v1.app, broken, "COPY app /app\nENV BROKEN=failing")
		}), "v5 failed; v2 serves")
	})
	step("v6, whose worker ends at its start: switched back", func() {
		h.refuse(v2.with("v6", func(r *release) {
			r.worker = derive(t, "worker:v6", v1.worker, broken, "COPY worker /worker\nENV BROKEN=crashing")
		}), "v6 failed; v2 serves")
	})
	step("v7, whose proxy.yaml has a mistake: refused", func() {
		h.refuse(v2.with("v7", func(r *release) { r.config = strings.Replace(r.config, "upstreams:", "upstream:", 1) }), "nothing was changed")
	})
	serves("v2")
	step("rollback to v1", h.rollBack)
	serves("v1")
	step("v8, whose migration takes a column away: refused", func() {
		h.refuse(v1.with("v8", func(r *release) { r.app = withMigration(t, "shrink", "ALTER TABLE schools DROP COLUMN school_name;") }), "the migrations of v8 were refused")
	})
	step("deploy v9 with a migration", func() {
		h.deploy(v1.with("v9", func(r *release) {
			r.app = withMigration(t, "grow", "CREATE TABLE IF NOT EXISTS grown (id bigint PRIMARY KEY);")
		}))
	})
	serves("v9")
	step("rollback to v1, whose program does not know the migration", h.bySystemsManager().rollBack)
	serves("v1")
	v10 := v1.with("v10", func(r *release) { r.proxy = derive(t, "proxy:v10", v1.proxy, "", "LABEL release=v10") })
	step("deploy v10: the proxy is upgraded", func() {
		if output := h.deploy(v10); !strings.Contains(output, "takes over from") {
			t.Errorf("the edge was not upgraded:\n%s", output)
		}
	})
	step("deploy v11: another proxy.yaml", func() {
		output := h.bySystemsManager().deploy(v10.with("v11", func(r *release) { r.config += "# another\n" }))
		if strings.Contains(output, "takes over from") {
			t.Errorf("the edge was upgraded for nothing:\n%s", output)
		}
	})
	step("a run that is killed in the middle, then v12", func() {
		v12 := v10.with("v12", func(r *release) { r.app = v2.app })
		h.breakOff(v12)
		h.deploy(v12)
	})
	serves("v12")

	requests, failures := l.stop()
	if len(failures) > 0 {
		t.Errorf("%d of %d requests failed", len(failures), requests)
	}
	if lost := l.lost(t); len(lost) > 0 {
		t.Errorf("of %d posts that were acknowledged %d are lost: %v", len(l.posted), len(lost), lost)
	}
	if requests < 1000 || len(l.posted) < 100 {
		t.Errorf("%d requests and %d posts are too few to tell", requests, len(l.posted))
	}
	h.checkAudit()
}

// operate runs what docs/deploy.md and docs/backup.md tell an operator to type.
func operate(t *testing.T, h *host, l *load) {
	if status := h.shell("/opt/portico/deploy.sh status"); !strings.Contains(status, "serves:   v12 ") || !strings.Contains(status, "UPSTREAM") && !strings.Contains(status, "upstream") {
		t.Errorf("status tells\n%s", status)
	}
	client := l.client(false, true)
	h.shell(`/opt/portico/deploy.sh proxy maintenance app on --message "We are back at 14:00."`)
	if _, err := do(t.Context(), client, http.MethodGet, "/board/", http.Header{}, nil, http.StatusServiceUnavailable); err != nil {
		t.Errorf("under maintenance: %v", err)
	}
	h.shell("/opt/portico/deploy.sh proxy maintenance app off")
	if _, err := do(t.Context(), client, http.MethodGet, "/board/", http.Header{}, nil, http.StatusOK); err != nil {
		t.Errorf("after maintenance: %v", err)
	}
	if logs := h.shell("timeout 5 /opt/portico/deploy.sh logs app || [ $? = 124 ]"); !strings.Contains(logs, "app-") {
		t.Errorf("logs tells %q", logs)
	}
	h.shell("/opt/portico/deploy.sh backup")
	listed := h.shell("/opt/portico/deploy.sh backups")
	name := regexp.MustCompile(`portico-\d{8}T\d{6}Z\.dump`).FindString(listed)
	if name == "" {
		t.Fatalf("backups tells\n%s", listed)
	}
	h.shell("/opt/portico/deploy.sh restore " + name + " --replace")
	h.await("the restored site", func() bool {
		_, err := do(t.Context(), client, http.MethodGet, "/board/", http.Header{}, nil, http.StatusOK)
		return err == nil
	})
	if lost := l.lost(t); len(lost) > 0 {
		t.Errorf("of %d posts the restored database lacks %v", len(l.posted), lost)
	}
	if told := h.shell(strings.TrimSpace(commandsOf(t, "docs/aws.md", "With OpenTofu (or Terraform)", "sh host"))); !strings.Contains(told, "password") {
		t.Errorf("the commands that docs/aws.md has for the host told %q", told)
	}
	h.shell("/opt/portico/deploy.sh prune")
	if kept := strings.Fields(h.shell("ls /opt/portico/releases")); len(kept) > 7 {
		t.Errorf("%d releases are kept: %q", len(kept), kept)
	}
	// Runs that were killed: when the release served already and only its mark was still to go, and before it served. Of the edge the
	// killed run has left a wrong word.
	const serving = "docker ps --no-trunc --quiet --filter name=portico-app-"
	before, told := h.shell(serving), h.shell("/opt/portico/deploy.sh status --json")
	for _, killed := range []string{
		`echo "v12 $(cut -d " " -f 1 state/serving) deploy" >state/deploying && ./deploy.sh start`,
		`echo "v13 $(cut -d " " -f 1 state/serving | sed 's/blue/-/; s/green/blue/; s/-/green/') deploy" >state/deploying && ./deploy.sh rollback`,
		`sed --in-place 's/blue/-/; s/green/blue/; s/-/green/' state/proxy && ./deploy.sh start`,
	} {
		h.shell("cd /opt/portico && " + killed)
		if after := h.shell(serving); after != before {
			t.Errorf("after %s the container %s serves in the place of %s", killed, after, before)
		}
		if _, err := do(t.Context(), client, http.MethodGet, "/board/", http.Header{}, nil, http.StatusOK); err != nil {
			t.Errorf("after %s: %v", killed, err)
		}
		if status := h.shell("/opt/portico/deploy.sh status --json"); status != told {
			t.Errorf("after %s status tells %s, before it %s", killed, status, told)
		}
	}
	for _, mistake := range []struct{ line, tells string }{
		{"deploy nothing-of-that-name", "releases/nothing-of-that-name/docker-compose.prod.yml is missing"},
		{"deploy ../etc", "is not the name of a release"},
		{"deploy v12 --force", "unknown option --force"},
		{"undo", "no such command"},
		{"restore no-such.dump", "nothing was restored"},
	} {
		if output, err := h.ssh(t.Context(), nil, "/opt/portico/deploy.sh "+mistake.line); err == nil || !strings.Contains(output, mistake.tells) {
			t.Errorf("deploy.sh %s told %q (%v), want %q", mistake.line, output, err, mistake.tells)
		}
	}
}

// mindsTheOperator deploys under maintenance and beside a canary, and with settings that do not hold.
func mindsTheOperator(t *testing.T, h *host, v1 release, l *load) {
	client := l.client(false, true)
	answers := func(want int) {
		t.Helper()
		if _, err := do(t.Context(), client, http.MethodGet, "/board/", http.Header{}, nil, want); err != nil {
			t.Error(err)
		}
	}
	refused := func(line, tells string) {
		t.Helper()
		if output, err := h.ssh(t.Context(), nil, line); err == nil || !strings.Contains(output, tells) {
			t.Errorf("%s: %v, want a failure that tells %q\n%s", line, err, tells, output)
		}
	}
	h.shell("/opt/portico/deploy.sh proxy maintenance app on")
	v20 := v1.with("v20", func(r *release) { r.app = derive(t, "app:v20", v1.app, "", "LABEL release=v20") })
	if output := h.deploy(v20); !strings.Contains(output, "as an operator wants") {
		t.Errorf("under maintenance a deploy told\n%s", output)
	}
	answers(http.StatusServiceUnavailable)
	h.shell("/opt/portico/deploy.sh proxy maintenance app off")
	answers(http.StatusOK)

	const resting = `$(cut -d " " -f 1 /opt/portico/state/serving | sed 's/blue/-/; s/green/blue/; s/-/green/')`
	h.shell(`colour=` + resting + ` && docker start portico-app-$colour-1 && /opt/portico/deploy.sh proxy canary app --percent 1 --target 127.0.0.1:$(docker port portico-app-$colour-1 8000/tcp | cut -d : -f 2)`)
	refused("/opt/portico/deploy.sh deploy v20", "a canary is under way")
	refused("/opt/portico/deploy.sh rollback", "a canary is under way")
	h.shell("/opt/portico/deploy.sh start") // a boot meanwhile
	h.shell("/opt/portico/deploy.sh proxy canary app --percent 0 && docker stop portico-app-" + resting + "-1")

	const environment = `docker inspect --format '{{.Config.Env}}' portico-proxy-$(cat /opt/portico/state/proxy)-1`
	before := h.shell("/opt/portico/deploy.sh status --json")
	h.shell("cd /opt/portico && cp .env env.kept && cp settings.env settings.kept && echo LOG_LEVEL=debug >>.env")
	h.refuse(v20.with("v21", func(r *release) {
		r.config = strings.Replace(r.config, "    routes:\n", "    routes:\n      - {path: /board/, upstream: app, allow: [203.0.113.1]}\n", 1)
	}), "v21 failed; v20 serves")
	answers(http.StatusOK)
	if status := h.shell("/opt/portico/deploy.sh status --json"); strings.Replace(status, "green", "blue", 2) != strings.Replace(before, "green", "blue", 2) {
		t.Errorf("after a way back status tells %s, before it %s", status, before)
	}
	if environ := h.shell(environment); strings.Contains(environ, "LOG_LEVEL=debug") {
		t.Errorf("after a way back the edge has the settings of the release that failed: %s", environ)
	}
	h.shell("cd /opt/portico && cp env.kept .env && echo 'no setting, but words' >>settings.env")
	refused("/opt/portico/deploy.sh deploy v20", "the settings do not fit: nothing was changed")
	h.shell("/opt/portico/deploy.sh start && /opt/portico/deploy.sh backup") // they go by what serves
	h.shell("cd /opt/portico && mv env.kept .env && mv settings.kept settings.env && echo EDGE_PREFIX=10.1.1 >>.env")
	refused("/opt/portico/deploy.sh deploy v20", "EDGE_PREFIX cannot change")
	h.shell("sed --in-place /EDGE_PREFIX/d /opt/portico/.env")
	// Other files under a name that is taken already.
	if output := h.deploy(v20.with("v20", func(r *release) { r.config += "# another\n" })); !strings.Contains(output, "v20.2 serves") {
		t.Errorf("other files under the same name: the deploy told\n%s", output)
	}
	h.shell("cd /opt/portico && echo v20 " + resting + " rollback >state/deploying && ./deploy.sh rollback")
	if status := h.shell("/opt/portico/deploy.sh status --json"); !strings.Contains(status, `"release":"v20","`) {
		t.Errorf("after a rollback that was killed, and another one, status tells %s", status)
	}
	answers(http.StatusOK)
}

// recreateIsNoticed shows that the load would have told of requests lost: the usual way of replacing a container loses some.
func recreateIsNoticed(t *testing.T, h *host, l *load) {
	l.start(t.Context())
	h.shell(`cd /opt/portico && read -r colour release _ <state/serving && docker compose --project-directory . --env-file .env --env-file releases/$release/images.env \
		--file releases/$release/docker-compose.prod.yml up --detach --no-deps --force-recreate --wait app-$colour`)
	requests, failures := l.stop()
	fmt.Printf("control: docker compose up recreates the app: %d of %d requests failed\n", len(failures), requests)
	if len(failures) == 0 {
		t.Errorf("none of %d requests failed: the load notices nothing", requests)
	}
}

// comesBack cuts the host's power under load and lets it boot as systemd would.
func comesBack(t *testing.T, h *host, l *load) {
	l.start(t.Context())
	h.await("posts", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.posted) > 100
	})
	docker(t, "kill", h.name)
	l.stop()
	l.kinds = nil
	started := time.Now()
	h.restart()
	l.address = "127.0.0.1:" + h.port("443")
	unit := h.root("sed", "--quiet", "s/^ExecStart=//p", "/etc/systemd/system/portico.service")
	up := make(chan error, 1)
	go func() {
		_, err := h.ssh(t.Context(), nil, unit)
		up <- err
	}()
	client := l.client(false, true)
	h.await("the site", func() bool {
		_, err := do(t.Context(), client, http.MethodGet, "/board/", http.Header{}, nil, http.StatusOK)
		return err == nil
	})
	fmt.Printf("boot: %.1f s from the start of the engine to the first answer\n", time.Since(started).Seconds())
	if err := <-up; err != nil {
		t.Errorf("%s: %v", unit, err)
	}
	if lost := l.lost(t); len(lost) > 0 {
		t.Errorf("of %d posts that were acknowledged %d are lost: %v", len(l.posted), len(lost), lost)
	}
}

// breakOff starts a deploy and kills it as soon as the edge has switched.
func (h *host) breakOff(r release) {
	h.t.Helper()
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := h.ship(r, writer)
		_ = writer.Close()
		ended <- err
	}()
	killed := false
	for lines := bufio.NewScanner(reader); lines.Scan(); {
		if !killed && strings.Contains(lines.Text(), "switched from") {
			h.root("pkill", "--signal", "KILL", "--full", "releases/"+r.name+"/deploy.sh")
			killed = true
		}
	}
	if err := <-ended; err == nil || !killed {
		h.t.Errorf("the deploy of %s was to be broken off; killed: %v, it ended with %v", r.name, killed, err)
	}
}

// checkAudit wants each run to have left lines of JSON that tell who did what.
func (h *host) checkAudit() {
	h.t.Helper()
	for line := range strings.Lines(h.shell("cat /opt/portico/deployments.jsonl")) {
		var event struct {
			Time    time.Time
			Actor   string
			Action  string
			Release string
			Images  map[string]string
			Result  string
		}
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			h.t.Errorf("deployments.jsonl has the line %s: %v", line, err)
			continue
		}
		if event.Actor != "deploy run 1" && event.Actor != "root run 1" || event.Time.IsZero() || event.Action == "" || event.Result == "" || len(event.Images) != 3 {
			h.t.Errorf("deployments.jsonl has the line %s", line)
		}
	}
}

// report prints what was done, what the load saw of it, and the first failures of each kind.
func report(scenarios []scenario, l *load) {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\nseconds\trequests\tfailed (sum)\t  scenario\t")
	for _, s := range scenarios {
		fmt.Fprintf(table, "%.1f\t%d\t%d\t  %s\t\n", s.seconds, s.requests, s.failed, s.what)
	}
	_ = table.Flush()
	fmt.Println("\n" + l.table())
	for _, k := range l.kinds {
		for _, failure := range k.failures[:min(5, len(k.failures))] {
			fmt.Println(k.name + ": " + failure)
		}
	}
}
