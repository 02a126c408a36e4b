package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portico-web/portico/proxy/control"
)

func TestCertsListsWhatARunningEdgeHas(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "admin.sock")
	path := written(t, strings.Replace(valid, "listen: {", "listen: {admin: \"unix:"+socket+"\", ", 1))
	e := start(t, path)
	stdout, stderr, status := run(t, "certs", "--config", path)
	if status != 0 || !strings.HasPrefix(stdout, "NAME ") || !strings.Contains(stdout, "\nlocalhost  local   Portico local CA ") || !strings.Contains(stdout, "(29 days)") {
		t.Errorf("%d %s%s", status, stdout, stderr)
	}
	if stdout, _, status := run(t, "certs", "--socket", socket, "--json"); status != 0 || !strings.Contains(stdout, `"name": "localhost"`) {
		t.Errorf("%d %s", status, stdout)
	}
	e.stop()
	if _, stderr, status := run(t, "certs", "--socket", socket); status != 1 || !strings.Contains(stderr, socket) {
		t.Errorf("a stopped edge: %d %q", status, stderr)
	}
	if stdout, _, status := run(t, "certs", "--help"); status != 0 || !strings.Contains(stdout, "--json") || !strings.Contains(stdout, "served on until it expires") {
		t.Errorf("%d %s", status, stdout)
	}
}

func TestTheTableOfCertificatesTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.Local)
	var out bytes.Buffer
	err := printCertificates(&out, []control.Certificate{
		{Name: "a.example", Source: "acme", Issuer: "CA 1", Expiry: now.Add(30 * 24 * time.Hour)},
		{Name: "b.example", Source: "acme", Issuer: "CA 1", Expiry: now.Add(20 * time.Hour), Error: "no route to CA", Failed: now.Add(-time.Hour)},
		{Name: "c.example", Source: "files", Issuer: "c", Expiry: now.Add(-time.Hour)},
		{Name: "d.example", Source: "acme", Error: "refused", Failed: now},
	}, now)
	want := `NAME       SOURCE  ISSUER  EXPIRES               LAST ERROR
a.example  acme    CA 1    2026-05-31 (30 days)  -
b.example  acme    CA 1    2026-05-02 (20 h)     2026-05-01 11:00:00 no route to CA
c.example  files   c       2026-05-01 (expired)  -
d.example  acme    -       none yet              2026-05-01 12:00:00 refused
`
	if err != nil || out.String() != want {
		t.Errorf("%v\n%s", err, out.String())
	}
}
