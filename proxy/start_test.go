package proxy_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portico-web/portico/internal/logging"
	"github.com/portico-web/portico/proxy"
	"github.com/portico-web/portico/proxy/config"
)

const sitesOnly = "sites: [{hosts: [localhost], routes: [{path: /, redirect: {to: /x}}]}]\n"

// addresses are those that an edge is to listen on.
type addresses struct{ http, https, internal string }

func (o *addresses) set(key, address string) {
	switch key {
	case "http":
		o.http = address
	case "https":
		o.https = address
	case "internal":
		o.internal = address
	}
}

// failure runs an edge that must not start, and returns why.
func failure(t *testing.T, yaml string, change func(*addresses)) error {
	t.Helper()
	wanted := addresses{http: "127.0.0.1:0", https: "127.0.0.1:0"}
	if change != nil {
		change(&wanted)
	}
	return failureIn(t, t.TempDir(), yaml, wanted)
}

func failureIn(t *testing.T, data, yaml string, wanted addresses) error {
	t.Helper()
	cfg, err := config.Parse("proxy.yaml", []byte(yaml), noVariables)
	if err != nil {
		return err
	}
	p, err := proxy.New(cfg, proxy.Options{DataDir: data, HTTP: wanted.http, HTTPS: wanted.https, Internal: wanted.internal})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	select {
	case <-p.Ready():
		t.Error("the edge starts")
		cancel()
		return <-ended
	case err := <-ended:
		return err
	}
}

// startPlain runs an edge on the addresses of its configuration alone.
func startPlain(t *testing.T, file, data string) *edge {
	t.Helper()
	cfg, err := config.Load(file, noVariables)
	if err != nil {
		t.Fatal(err)
	}
	e := &edge{t: t, data: data, config: file, log: &buffer{}}
	if e.Proxy, err = proxy.New(cfg, proxy.Options{Log: logging.Discard(), DataDir: data}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-e.Ready()
	return e
}

func TestADamagedCAIsNamedAndNotReplaced(t *testing.T) {
	t.Parallel()
	for damaged, damage := range map[string]func(path string) error{
		"root.pem": func(path string) error { return os.WriteFile(path, []byte("-----BEGIN CERT"), 0o600) },
		"root.key": func(path string) error { return os.WriteFile(path, []byte("no key"), 0o600) },
		"gone":     func(path string) error { return os.Remove(filepath.Join(filepath.Dir(path), "root.key")) },
	} {
		data := t.TempDir()
		file := filepath.Join(data, "proxy.yaml")
		write(t, file, sitesOnly)
		if err := startFrom(t, file, data).stop(); err != nil {
			t.Fatal(err)
		}
		if err := damage(filepath.Join(data, "ca", damaged)); err != nil {
			t.Fatal(err)
		}
		err := failureIn(t, data, sitesOnly, addresses{http: "127.0.0.1:0", https: "127.0.0.1:0"})
		named := map[string]string{"gone": "root.key"}[damaged]
		if named == "" {
			named = damaged
		}
		if err == nil || !strings.Contains(err.Error(), filepath.Join(data, "ca", named)) || !strings.Contains(err.Error(), "delete the folder") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", damaged, err)
		}
	}
}

func TestADataFolderThatCannotBeMadeIsNamed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	err := failureIn(t, file, sitesOnly, addresses{http: "127.0.0.1:0", https: "127.0.0.1:0"})
	if err == nil || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "\n") {
		t.Fatal(err)
	}
}

func TestAnEdgeRunsOnce(t *testing.T) {
	t.Parallel()
	e := start(t, sitesOnly)
	if err := e.Run(t.Context()); err == nil {
		t.Fatal("it runs twice")
	}
}
