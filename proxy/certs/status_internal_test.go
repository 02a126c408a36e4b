package certs

import (
	"errors"
	"fmt"
	"testing"

	"github.com/portico-web/portico/internal/logging"
)

func TestFailuresOfNamesThatNobodyConfiguredHideNoneThatIsTold(t *testing.T) {
	t.Parallel()
	m, err := New(t.Context(), Settings{Issuer: Local, Folder: t.TempDir(), Hosts: []string{"example.com"}}, logging.Discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	if err := m.fetch(t.Context(), "demanded.localhost"); err != nil {
		t.Fatal(err)
	}
	fail := func(name string) {
		if err := m.event(t.Context(), "cert_failed", map[string]any{"identifier": name, "error": errors.New("the CA refuses")}); err != nil {
			t.Fatal(err)
		}
	}
	const many = 30_000
	for i := range many {
		fail(fmt.Sprintf("n%d.example.net", i))
	}
	if kept := len(m.attempts.failed); kept != 0 || m.Failures() != many {
		t.Errorf("%d failures are kept, of %d", kept, m.Failures())
	}
	fail("example.com")
	fail("demanded.localhost")
	for _, status := range m.Statuses() {
		if failing := status.Name == "example.com" || status.Name == "demanded.localhost"; failing != (status.Error != "") {
			t.Errorf("%+v", status)
		}
	}
}
