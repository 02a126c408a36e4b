//go:build containers

package containers

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The hosts of a fleet are containers in two networks: one where edges, apps, workers and Valkey meet, and one of the database,
// which apps and workers alone reach.
const (
	fleetName   = "portico-e2e-fleet"
	frontPrefix = "10.213.90"
	mailHost    = frontPrefix + ".1" // this machine, as the hosts see it
)

// member is a host of the fleet that runs a service of docker/fleet.yml.
type member struct{ service, name, address string }

func (m member) container() string { return fleetName + "-" + m.name }

var fleetMembers = []member{
	{"app", "app-1", frontPrefix + ".21"}, {"app", "app-2", frontPrefix + ".22"}, {"app", "app-3", frontPrefix + ".23"},
	{"worker", "worker-1", frontPrefix + ".31"}, {"worker", "worker-2", frontPrefix + ".32"},
	{"edge", "edge-1", frontPrefix + ".11"}, {"edge", "edge-2", frontPrefix + ".12"},
}

// migration is the host that migrations are run on.
var migration = member{service: "migrate", name: "migrate"}

func fleetMember(name string) member {
	return fleetMembers[slices.IndexFunc(fleetMembers, func(m member) bool { return m.name == name })]
}

// fleet is two edges, three apps and two workers, with PostgreSQL and Valkey that speak TLS alone.
type fleet struct {
	t      *testing.T
	folder string // what stands for /opt/portico on each host
	mail   *mailServer
	nlb    *balancer
	roots  *x509.CertPool
}

// database and cache are the containers of PostgreSQL and Valkey.
const database, cache = fleetName + "-database", fleetName + "-cache"

// startFleet brings all of it up as docs/scale.md says; everything ends with the test.
func startFleet(t *testing.T) *fleet {
	t.Helper()
	buildImages(t)
	f := &fleet{t: t, folder: t.TempDir(), roots: x509.NewCertPool()}
	f.clear()
	t.Cleanup(f.clear)
	docker(t, "network", "create", "--subnet", frontPrefix+".0/24", fleetName+"-front")
	docker(t, "network", "create", "--internal", fleetName+"-data")
	f.mail = startMailServer(t, mailHost)
	f.writeFiles()
	f.startStores()
	command(t, f.environ(), "docker", f.compose(migration, "run", "--rm", "migrate")...)
	f.startMembers()
	f.nlb = startBalancer(t, fleetMember("edge-1").address, fleetMember("edge-2").address)
	docker(t, "cp", fleetMember("edge-1").container()+":/data/ca/root.pem", filepath.Join(f.folder, "root.pem"))
	if !f.roots.AppendCertsFromPEM([]byte(f.read("root.pem"))) {
		t.Fatal("the local authority's root is no certificate")
	}
	for _, name := range []string{"edge-1", "edge-2"} {
		eventually(t, name+" in the balancer", func() bool { return f.nlb.healthy(fleetMember(name).address) })
	}
	return f
}

// clear removes what there is of a fleet.
func (f *fleet) clear() {
	for _, m := range fleetMembers {
		if f.t.Failed() {
			output, _ := exec.Command("docker", "logs", "--tail", "15", m.container()).CombinedOutput()
			f.t.Logf("%s printed last:\n%s", m.name, output)
		}
		f.removeProject(m)
	}
	f.removeProject(migration)
	for _, name := range []string{database, cache} {
		_ = exec.Command("docker", "rm", "--force", "--volumes", name).Run()
	}
	for _, network := range []string{"-front", "-data"} {
		_ = exec.Command("docker", "network", "rm", fleetName+network).Run()
	}
}

// removeProject removes what compose made for a host.
func (f *fleet) removeProject(m member) {
	_ = exec.Command("docker", "rm", "--force", "--volumes", m.container()).Run()
	_ = exec.Command("docker", "volume", "rm", "--force", m.container()+"_edge").Run()
	_ = exec.Command("docker", "network", "rm", m.container()+"_default").Run()
}

// limited is a route whose limit the test uses up; an hour brings one request back in 90 seconds.
const limited = "/api/openapi.json"

// writeFiles makes the folder of a host: secrets, certificates of the stores, and the edges' configuration with a limit besides.
func (f *fleet) writeFiles() {
	f.t.Helper()
	content, err := os.ReadFile(filepath.Join(repository, "docker/proxy.fleet.yaml"))
	if err != nil {
		f.t.Fatal(err)
	}
	config := strings.Replace(string(content), "rate_limits:\n", "rate_limits:\n  scarce: {rate: 40/h, burst: 40}\n", 1)
	config = strings.Replace(config, "    routes:\n", "    routes:\n      - {path: "+limited+", upstream: app, rate_limit: scarce}\n", 1)
	for path, content := range map[string]string{
		"proxy.yaml":                config,
		"settings.env":              "LOGIN_LIMITS=false\nACCESS_TOKEN_LIFETIME=2h\nMAIL_FROM=portico@" + siteName + "\nSSL_CERT_FILE=/run/secrets/database_ca\n",
		"secrets/secret_key":        rand.Text() + rand.Text(),
		"secrets/storage_key":       rand.Text() + rand.Text(),
		"secrets/flower_basic_auth": "ops:" + rand.Text(),
		"secrets/smtp_url":          "smtp://" + f.mail.listener.Addr().String() + "?starttls=off",
		"secrets/password":          rand.Text(),
	} {
		f.write(path, content)
	}
	f.write("secrets/database_url", "postgres://portico:"+f.read("secrets/password")+"@database.internal:5432/portico?sslmode=verify-full&sslrootcert=/run/secrets/database_ca")
	f.writeCertificates("database.internal", "cache.internal")
}

func (f *fleet) write(path, content string) {
	f.t.Helper()
	file := filepath.Join(f.folder, path)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleet) read(path string) string {
	f.t.Helper()
	content, err := os.ReadFile(filepath.Join(f.folder, path))
	if err != nil {
		f.t.Fatal(err)
	}
	return string(content)
}

// writeCertificates makes an authority, secrets/database_ca, and of it a certificate for each name, tls/NAME.pem and .key.
func (f *fleet) writeCertificates(names ...string) {
	f.t.Helper()
	var authority *x509.Certificate
	var authorityKey *ecdsa.PrivateKey
	for i, name := range append([]string{"authority"}, names...) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			f.t.Fatal(err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		}
		if authority == nil {
			template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
			authority, authorityKey = template, key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, authority, &key.PublicKey, authorityKey)
		if err != nil {
			f.t.Fatal(err)
		}
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			f.t.Fatal(err)
		}
		certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
		if name == "authority" {
			f.write("secrets/database_ca", certificate)
			continue
		}
		f.write("tls/"+name+".pem", certificate)
		f.write("tls/"+name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	}
}

// startStores runs PostgreSQL and Valkey, which stand for RDS and ElastiCache.
func (f *fleet) startStores() {
	f.t.Helper()
	docker(f.t, "run", "--detach", "--name", database, "--network", fleetName+"-data", "--network-alias", "database.internal",
		"--volume", f.folder+"/tls:/tls:ro", "--env", "POSTGRES_USER=portico", "--env", "POSTGRES_PASSWORD="+f.read("secrets/password"),
		"--entrypoint", "sh", postgresImage, "-c", `install -o postgres -m 600 /tls/database.internal.key /tmp/key &&
		exec docker-entrypoint.sh postgres -c ssl=on -c ssl_cert_file=/tls/database.internal.pem -c ssl_key_file=/tmp/key`)
	docker(f.t, "run", "--detach", "--name", cache, "--network", fleetName+"-front", "--network-alias", "cache.internal",
		"--volume", f.folder+"/tls:/tls:ro", "valkey/valkey:8-alpine", "valkey-server", "--port", "0", "--tls-port", "6379",
		"--tls-cert-file", "/tls/cache.internal.pem", "--tls-key-file", "/tls/cache.internal.key", "--tls-auth-clients", "no",
		"--requirepass", f.read("secrets/password"), "--save", "")
	f.awaitDatabase()
}

func (f *fleet) awaitDatabase() {
	f.t.Helper()
	eventually(f.t, "the database", func() bool {
		_, err := attempt(f.t, nil, "docker", "exec", database, "pg_isready", "--quiet", "--host", "127.0.0.1", "--username", "portico")
		return err == nil
	})
}

// environ are the variables of docker/fleet.yml, the same on each host.
func (f *fleet) environ() []string {
	return []string{
		"PROXY_IMAGE=" + image("proxy"), "APP_IMAGE=" + image("app"), "WORKER_IMAGE=" + image("worker"), "SITE_HOST=" + siteName, "TLS_ISSUER=local",
		"REDIS_URL=rediss://:" + f.read("secrets/password") + "@cache.internal:6379/0", "BALANCER=" + mailHost, "EDGES=" + frontPrefix + ".0/28",
		"DRAIN_DELAY=3s", "APP=app.internal:8000", "WORKER=worker-1.internal:5555", "WORKER_2=worker-2.internal:5555",
	}
}

// compose is docker's arguments for a host: the shipped file, and where in the fleet's networks the host is.
func (f *fleet) compose(m member, arguments ...string) []string {
	f.t.Helper()
	where := fmt.Sprintf("{front: {ipv4_address: %q, aliases: [%s.internal, %s.internal]}, data: {}}", m.address, m.service, m.name)
	more := "ports: !reset []"
	switch m.service {
	case "edge":
		where = fmt.Sprintf("{front: {ipv4_address: %q}}", m.address)
		more = "network_mode: !reset null\n    environment: {SSL_CERT_FILE: /run/secrets/database_ca}\n    secrets: [storage_key, database_ca]"
	case "migrate":
		where, more = "{front: {}, data: {}}", ""
	}
	override := fmt.Sprintf("services:\n  %s:\n    networks: %s\n    %s\n", m.service, where, more)
	if m.service != "migrate" {
		override += "    container_name: " + m.container() + "\n"
	}
	override += fmt.Sprintf("networks: {front: {external: true, name: %s-front}, data: {external: true, name: %s-data}}\n", fleetName, fleetName)
	f.write(m.name+".yml", override)
	return append([]string{
		"compose", "--project-name", m.container(), "--project-directory", f.folder,
		"--file", "docker/fleet.yml", "--file", filepath.Join(f.folder, m.name+".yml"),
	}, arguments...)
}

// startMembers starts the second edge last, with the local authority of the first: one authority of ACME would be everybody's.
func (f *fleet) startMembers() {
	f.t.Helper()
	second := fleetMember("edge-2")
	f.startAtOnce(slices.DeleteFunc(slices.Clone(fleetMembers), func(m member) bool { return m == second }))
	command(f.t, f.environ(), "docker", f.compose(second, "create", second.service)...)
	command(f.t, nil, "bash", "-c", fmt.Sprintf("set -euo pipefail; docker cp %s:/data/ca - | docker cp - %s:/data", fleetMember("edge-1").container(), second.container()))
	f.startAtOnce([]member{second})
}

func (f *fleet) startAtOnce(members []member) {
	f.t.Helper()
	var starting sync.WaitGroup
	failures := make([]error, len(members))
	for i, m := range members {
		arguments := f.compose(m, "up", "--detach", "--no-deps", "--wait", "--wait-timeout", "60", m.service)
		starting.Go(func() {
			if output, err := attempt(f.t, f.environ(), "docker", arguments...); err != nil {
				failures[i] = fmt.Errorf("%s did not start: %w\n%s", m.name, err, output)
			}
		})
	}
	starting.Wait()
	for _, err := range failures {
		if err != nil {
			f.t.Fatal(err)
		}
	}
}

// sql runs a statement and returns the rows, a line each.
func (f *fleet) sql(statement string) string {
	f.t.Helper()
	return docker(f.t, "exec", database, "psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--username", "portico", "--command", statement)
}

// cutOff takes a host out of the network, with everything that is under way on its connections.
func (f *fleet) cutOff(name string) {
	f.t.Helper()
	docker(f.t, "network", "disconnect", fleetName+"-front", fleetMember(name).container())
}

// join brings a host back into the network.
func (f *fleet) join(name string) {
	f.t.Helper()
	m := fleetMember(name)
	docker(f.t, "network", "connect", "--ip", m.address, "--alias", m.service+".internal", "--alias", m.name+".internal", fleetName+"-front", m.container())
}

// serving are the addresses of healthy targets of an upstream, as an edge sees them.
func (f *fleet) serving(edge, upstream string) (addresses []string) {
	f.t.Helper()
	output, err := attempt(f.t, nil, "docker", "exec", fleetMember(edge).container(), "/proxy", "status", "--json")
	var status struct {
		Targets []struct {
			Upstream, Endpoint string
			Healthy            bool
		}
	}
	if err != nil || json.Unmarshal([]byte(output), &status) != nil {
		return nil // it may be about to start
	}
	for _, target := range status.Targets {
		if target.Upstream == upstream && target.Healthy {
			addresses = append(addresses, target.Endpoint)
		}
	}
	return addresses
}

// awaitServing waits until both edges give requests to a host, or do not any more.
func (f *fleet) awaitServing(name string, wanted bool) {
	f.t.Helper()
	m := fleetMember(name)
	for _, edge := range []string{"edge-1", "edge-2"} {
		eventually(f.t, fmt.Sprintf("%s of %s to be %v", name, edge, wanted), func() bool {
			return slices.ContainsFunc(f.serving(edge, map[string]string{"app": "app", "worker": "flower"}[m.service]), func(endpoint string) bool {
				return strings.HasPrefix(endpoint, m.address+":")
			}) == wanted
		})
	}
}

// direct is a client of one edge, as the balancer relays it.
func (f *fleet) direct(edge, from string) *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: f.roots, ServerName: siteName},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialRelayed(ctx, fleetMember(edge).address+":443", netip.AddrPortFrom(netip.MustParseAddr(from), 4000))
		},
	}}
}

func TestSeveralHosts(t *testing.T) {
	f := startFleet(t)
	t.Run("both edges serve one certificate", f.sharesCertificate)
	t.Run("both edges count one limit", f.sharesLimit)
	t.Run("hosts go and traffic goes on", f.survives)
}

func (f *fleet) sharesCertificate(t *testing.T) {
	var served [2][]byte
	for i, edge := range []string{"edge-1", "edge-2"} {
		conn, err := dialRelayed(t.Context(), fleetMember(edge).address+":443", netip.MustParseAddrPort("198.51.100.250:4000"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		client := tls.Client(conn, &tls.Config{ServerName: siteName, RootCAs: f.roots})
		if err := client.HandshakeContext(t.Context()); err != nil {
			t.Fatalf("%s: %v", edge, err)
		}
		served[i] = client.ConnectionState().PeerCertificates[0].Raw
	}
	if !bytes.Equal(served[0], served[1]) {
		t.Error("the edges serve different certificates")
	}
}

// sharesLimit uses a limit up by both edges at once. An answer of Valkey that takes longer than 50 ms, on a busy machine, lets a
// request pass by the word of the edge alone, which says so in its log: then the limit is tried as another client.
func (f *fleet) sharesLimit(t *testing.T) {
	for client := 251; ; client++ {
		from, alone := fmt.Sprintf("198.51.100.%d", client), f.countedAlone(t)
		passed := f.useUp(t, from)
		if passed["edge-1"] == 20 && passed["edge-2"] == 20 {
			for _, edge := range []string{"edge-1", "edge-2"} {
				eventually(t, "the client's address in the log of "+edge, func() bool {
					return strings.Contains(docker(t, "logs", fleetMember(edge).container()), `"`+from+`"`)
				})
			}
			return
		}
		if client == 254 || f.countedAlone(t) == alone {
			t.Fatalf("of 30 requests to each edge passed %v, want 20 of each, together the limit of 40", passed)
		}
	}
}

// countedAlone is how often the edges gave Valkey up for a while.
func (f *fleet) countedAlone(t *testing.T) (times int) {
	t.Helper()
	for _, edge := range []string{"edge-1", "edge-2"} {
		times += strings.Count(docker(t, "logs", fleetMember(edge).container()), "redis does not answer")
	}
	return times
}

// useUp sends 30 requests to each edge by turns, and tells how many passed.
func (f *fleet) useUp(t *testing.T, from string) map[string]int {
	t.Helper()
	passed := map[string]int{}
	clients := map[string]*http.Client{"edge-1": f.direct("edge-1", from), "edge-2": f.direct("edge-2", from)}
	for range 30 {
		for _, edge := range []string{"edge-1", "edge-2"} {
			response, err := clients[edge].Get(site + limited)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
			switch response.StatusCode {
			case http.StatusOK:
				passed[edge]++
			case http.StatusTooManyRequests:
			default:
				t.Fatalf("%s: %s", edge, response.Status)
			}
		}
	}
	for _, client := range clients {
		client.CloseIdleConnections()
	}
	return passed
}

// survives takes hosts away one by one under load and says for each what may fail meanwhile.
func (f *fleet) survives(t *testing.T) {
	f.t = t
	l := newFleetLoad(t, f)
	l.start(t.Context())
	t.Cleanup(l.report)
	status := func(allowed ...int) func(failure) bool {
		return func(failed failure) bool { return slices.Contains(allowed, failed.status) }
	}
	nothing := status()
	edge1, edge2 := fleetMember("edge-1"), fleetMember("edge-2")

	l.disrupt("nothing: a quiet day", nothing, func() { l.awaitSuccesses() })
	l.disrupt("an app is stopped", nothing, func() {
		docker(t, "stop", fleetMember("app-3").container())
		f.awaitServing("app-3", false)
	})
	l.restore(func() { docker(t, "start", fleetMember("app-3").container()); f.awaitServing("app-3", true) })

	// What is under way there is lost: a connection that breaks is 502 for what must not be sent twice.
	l.disrupt("an app is killed", status(http.StatusBadGateway), func() {
		docker(t, "kill", fleetMember("app-2").container())
		f.awaitServing("app-2", false)
	})
	l.restore(func() { docker(t, "start", fleetMember("app-2").container()); f.awaitServing("app-2", true) })

	// Nobody tells that a request to a host without a network is lost: it waits for response_timeout.
	l.disrupt("an app is cut off", status(http.StatusBadGateway, http.StatusGatewayTimeout), func() {
		f.cutOff("app-1")
		f.awaitServing("app-1", false)
	})
	l.restore(func() { f.join("app-1"); f.awaitServing("app-1", true) })

	l.disrupt("an edge is stopped", nothing, func() {
		docker(t, "stop", "--time", "60", edge1.container())
		eventually(t, "the balancer to notice", func() bool { return !f.nlb.healthy(edge1.address) })
	})
	l.restore(func() {
		docker(t, "start", edge1.container())
		eventually(t, "edge-1", func() bool { return f.nlb.healthy(edge1.address) })
	})

	// Connections through it hang or break; no answer is wrong.
	l.disrupt("an edge is cut off", status(0), func() {
		f.cutOff("edge-2")
		eventually(t, "the balancer to notice", func() bool { return !f.nlb.healthy(edge2.address) })
		l.awaitSuccesses()
	})
	l.restore(func() { f.join("edge-2"); eventually(t, "edge-2", func() bool { return f.nlb.healthy(edge2.address) }) })

	l.disrupt("an edge is killed", status(0), func() {
		docker(t, "kill", edge1.container())
		eventually(t, "the balancer to notice", func() bool { return !f.nlb.healthy(edge1.address) })
		l.awaitSuccesses()
	})
	l.restore(func() {
		docker(t, "start", edge1.container())
		eventually(t, "edge-1", func() bool { return f.nlb.healthy(edge1.address) })
	})

	l.disrupt("a worker is killed in the middle of jobs", nothing, func() { f.loseWorker("worker-1", "kill", "start") })
	l.disrupt("a worker freezes in the middle of jobs", nothing, func() { f.loseWorker("worker-2", "pause", "unpause") })
	l.disrupt("Valkey freezes for a while", nothing, func() {
		docker(t, "pause", cache)
		l.awaitSuccesses()
		pause(t.Context(), 4*time.Second)
		docker(t, "unpause", cache)
	})
	l.restore(func() {})

	// 503 is the apps' word until an edge has noticed, then the edge's.
	l.disrupt("PostgreSQL loses its power for a while", status(http.StatusServiceUnavailable), func() {
		docker(t, "kill", database)
		pause(t.Context(), 5*time.Second)
		docker(t, "start", database)
		f.awaitDatabase()
		for _, name := range []string{"app-1", "app-2", "app-3"} {
			f.awaitServing(name, true)
		}
		l.awaitSuccesses()
	})
	l.restore(func() {})
	l.stop()
	l.judge()
	f.checkJobs(l)
}

// loseWorker takes a worker away while it has at least three mails to send, and brings it back when another has sent them.
func (f *fleet) loseWorker(name, lose, bringBack string) {
	f.t.Helper()
	m := fleetMember(name)
	f.mail.hold()
	eventually(f.t, "jobs of "+name, func() bool { return len(f.mail.from(m.address)) >= 3 })
	docker(f.t, lose, m.container())
	f.mail.drop(m.address)
	lost := f.mail.from(m.address)
	f.mail.release()
	eventually(f.t, "the other worker to do the jobs of "+name, func() bool { return len(f.mail.missing(lost)) == 0 })
	docker(f.t, bringBack, m.container())
	f.awaitServing(name, true)
}

// checkJobs wants each registration that was acknowledged, and no other, to have its job, done, with its effect.
func (f *fleet) checkJobs(l *fleetLoad) {
	t := f.t
	t.Helper()
	eventually(t, "all jobs", func() bool { return f.sql("SELECT count(*) FROM river_job WHERE state <> 'completed'") == "0" })
	registered := map[string]bool{}
	for _, email := range strings.Fields(f.sql("SELECT email FROM users WHERE email LIKE 'member-%'")) {
		registered[email] = true
	}
	var lost []string
	for _, email := range l.registered {
		if !registered[email] {
			lost = append(lost, email)
		}
	}
	if len(lost) > 0 {
		t.Errorf("of %d registrations that were acknowledged %d are lost: %v", len(l.registered), len(lost), lost)
	}
	if missing := f.mail.missing(l.registered); len(missing) > 0 {
		t.Errorf("%d mails were never sent: %v", len(missing), missing)
	}
	users, _ := strconv.Atoi(f.sql("SELECT count(*) FROM users WHERE email NOT LIKE 'ops@%'"))
	jobs, _ := strconv.Atoi(f.sql("SELECT count(*) FROM river_job WHERE kind = 'account.welcome_mail'"))
	if users == 0 || users != jobs {
		t.Errorf("%d users and %d jobs: each registration writes both or neither", users, jobs)
	}
	mails, again := f.mail.count()
	fmt.Printf("%d registrations acknowledged, %d jobs done, %d mails, %d of them a second time\n", len(l.registered), jobs, mails, again)
	if workers := f.sql("SELECT count(DISTINCT split_part(attempted_by[array_length(attempted_by, 1)], ':', 1)) FROM river_job"); workers == "0" || workers == "1" {
		t.Errorf("%s workers did jobs, want both", workers)
	}
}
