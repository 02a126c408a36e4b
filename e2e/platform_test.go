package e2e

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portico-web/portico/internal/dbtest"
)

const (
	adminEmail    = "ops@example.com"
	adminPassword = "correct horse battery"
)

// platform is a running platform, in whichever form, as its users see it.
type platform struct {
	t        *testing.T
	url      string // of the edge, no trailing slash
	rootCA   string // path of the local CA's root
	database string // its URL
	data     string // embedded form: the data folder

	embedded           *process
	proxy, app, worker *process
	appEnv, workerEnv  []string
}

// forms runs test on the platform in both forms.
func forms(t *testing.T, test func(t *testing.T, p *platform)) {
	t.Helper()
	t.Run("one process on SQLite", func(t *testing.T) {
		t.Parallel()
		test(t, startEmbedded(t, t.TempDir()))
	})
	t.Run("three processes on PostgreSQL and Redis", func(t *testing.T) {
		t.Parallel()
		test(t, startProcesses(t))
	})
}

func embeddedEnv() []string {
	return []string{"PORTICO_ADMIN_EMAIL=" + adminEmail, "PORTICO_ADMIN_PASSWORD=" + adminPassword, "LOGIN_LIMITS=false"}
}

func startEmbedded(t *testing.T, data string, environ ...string) *platform {
	t.Helper()
	p := &platform{t: t, data: data, rootCA: filepath.Join(data, "ca", "root.pem"), database: "sqlite://" + filepath.Join(data, "portico.db")}
	p.embedded = start(t, append(embeddedEnv(), environ...), "portico", "up", "--data", data, "--https", "127.0.0.1:0", "--http", "127.0.0.1:0")
	p.url = p.embedded.waitFor(`(https://localhost:\d+)`)
	return p
}

func startProcesses(t *testing.T, environ ...string) *platform {
	t.Helper()
	database, redis := dbtest.Postgres(t), dbtest.Redis(t)
	folder := t.TempDir()
	secret := filepath.Join(folder, "secret_key")
	if err := os.WriteFile(secret, []byte(strings.Repeat("0123456789abcdef", 3)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &platform{t: t, database: database, rootCA: filepath.Join(folder, "data", "ca", "root.pem")}
	common := append([]string{
		"DATABASE_URL=" + database, "REDIS_URL=" + redis, "SECRET_KEY_FILE=" + secret, "PUBLIC_URL=https://localhost",
		"LISTEN=127.0.0.1:0", "INTERNAL_LISTEN=127.0.0.1:0", "LOGIN_LIMITS=false", "SMTP_URL=mailbox:",
	}, environ...)
	p.appEnv = common
	p.workerEnv = append(common, "FLOWER_BASIC_AUTH="+adminEmail+":"+adminPassword)
	if status := start(t, common, "app", "migrate").wait(); status != 0 {
		t.Fatal("app migrate failed")
	}
	p.startApp()
	p.startWorker()
	config := filepath.Join(folder, "proxy.yaml")
	document := fmt.Sprintf(`
listen: {http: "127.0.0.1:0", https: "127.0.0.1:0", http3: true, internal: "127.0.0.1:0"}
tls: {issuer: local, storage: %q}
redis: %q
upstreams:
  app: {targets: [%q]}
  flower: {targets: [%q]}
sites:
  - hosts: [localhost]
    routes:
      - {path: /flower/, upstream: flower, redirect_slash: true}
      - {path: /, upstream: app}
`, filepath.Join(folder, "data"), redis, address(p.app), address(p.worker))
	if err := os.WriteFile(config, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	p.proxy = start(t, nil, "proxy", "run", "--config", config)
	p.url = "https://localhost:" + p.proxy.waitFor(`"https":"[^"]*:(\d+)"`)
	return p
}

// address is where a program that was told to listen on port 0 says that it serves.
func address(p *process) string { return p.waitFor(`"listen":"([^"]+)"`) }

func (p *platform) startApp() { p.app = start(p.t, p.appEnv, "app", "serve") }

func (p *platform) startWorker() { p.worker = start(p.t, p.workerEnv, "worker", "run") }

// client is one person's HTTP client: it trusts the platform's CA and keeps cookies.
func (p *platform) client() *client {
	p.t.Helper()
	pem, err := os.ReadFile(p.rootCA)
	if err != nil {
		p.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		p.t.Fatal("the CA's root is not a certificate")
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 32}
	p.t.Cleanup(transport.CloseIdleConnections)
	return &client{t: p.t, base: p.url, http: &http.Client{
		Transport: transport, Jar: jar, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

type client struct {
	t      *testing.T
	base   string
	http   *http.Client
	access string
}

// answer is a response whose body has been read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) json(t *testing.T, into any) {
	t.Helper()
	if err := json.Unmarshal(a.body, into); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
}

// try sends a request; body is JSON-encoded unless it is url.Values, which are sent as a form.
func (c *client) try(method, path string, body any) (answer, error) {
	var reader io.Reader
	kind := ""
	switch body := body.(type) {
	case nil:
	case url.Values:
		reader, kind = strings.NewReader(body.Encode()), "application/x-www-form-urlencoded"
	default:
		raw, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		reader, kind = bytes.NewReader(raw), "application/json"
	}
	request, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, reader)
	if err != nil {
		return answer{}, err
	}
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	if c.access != "" {
		request.Header.Set("Authorization", "Bearer "+c.access)
	}
	return c.send(request)
}

func (c *client) send(request *http.Request) (answer, error) {
	response, err := c.http.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, content}, err
}

// do is try for requests that must be answered with this status.
func (c *client) do(want int, method, path string, body any) answer {
	c.t.Helper()
	got, err := c.try(method, path, body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	if got.status != want {
		c.t.Fatalf("%s %s: %d, want %d: %s", method, path, got.status, want, got.body)
	}
	return got
}

// flower asks the dashboard as the operator.
func (c *client) flower(want int, path string) answer {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.base+"/flower/"+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	request.SetBasicAuth(adminEmail, adminPassword)
	got, err := c.send(request)
	if err != nil {
		c.t.Fatal(err)
	}
	if got.status != want {
		c.t.Fatalf("GET /flower/%s: %d, want %d: %s", path, got.status, want, got.body)
	}
	return got
}

type mail struct {
	To, Subject, Text string
	ReceivedAt        time.Time `json:"received_at"`
}

// mails are the messages in the mailbox for this address.
func (c *client) mails(to string) []mail {
	c.t.Helper()
	var all, found []mail
	c.do(http.StatusOK, http.MethodGet, "/mailbox/messages.json", nil).json(c.t, &all)
	for _, m := range all {
		if m.To == to {
			found = append(found, m)
		}
	}
	return found
}
