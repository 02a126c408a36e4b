package proxy_test

import (
	"crypto/tls"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ocsp"

	"github.com/portico-web/portico/internal/health"
	"github.com/portico-web/portico/proxy/config"
)

// startACME runs an edge on the addresses of its configuration, which is tls and below of a proxy.yaml with one site.
func startACME(t *testing.T, data, file string) *edge {
	t.Helper()
	e := &edge{t: t, data: data, config: file, log: &buffer{}}
	cfg, err := config.Load(file, noVariables)
	if err != nil {
		t.Fatal(err)
	}
	set := options(t, e)
	set.HTTP, set.HTTPS, set.Checks = "", "", &health.Checks{}
	return launch(t, e, cfg, set)
}

const (
	bothPorts = "listen: {http: \"127.0.0.1:0\", https: \"127.0.0.1:0\"}\n"
	tlsPort   = "listen: {https: \"127.0.0.1:0\"}\n"
)

// acmeKeys are those of tls that lead to the server, for a map in one line.
func (s *acmeServer) keys() string {
	return fmt.Sprintf("issuer: acme, email: ops@example.com, directory: %q, directory_ca: %q", s.directory, s.rootsFile)
}

func TestCertificatesComeByACMEAndAreKept(t *testing.T) {
	t.Parallel()
	// The domains differ: certmagic keeps the challenges of a process in one place, by name.
	for challenge, domain := range map[string]string{"http-01": "one.example", "tls-alpn-01": "two.example"} {
		t.Run(challenge, func(t *testing.T) {
			t.Parallel()
			server := newACMEServer(t, acmeSettings{})
			data := t.TempDir()
			file := filepath.Join(data, "proxy.yaml")
			listen := tlsPort
			if challenge == "http-01" {
				listen = bothPorts
			}
			write(t, file, listen+"tls: {"+server.keys()+"}\n"+
				"upstreams: {app: {targets: [\""+named(t, "app")+"\"]}}\n"+
				"sites: [{hosts: ["+domain+", \"*."+domain+"\"], redirect_from: [www."+domain+"], routes: [{path: /, upstream: app}]}]")
			e := startACME(t, data, file)
			if challenge == "http-01" {
				server.open(e.Addrs().HTTP.Port, 1)
			} else {
				server.open(1, e.Addrs().HTTPS.Port)
			}
			for _, host := range []string{domain, "www." + domain} {
				eventually(t, "the certificate for "+host, func() bool { return e.verifies(host, server.roots) })
			}
			if e.verifies("other."+domain, server.roots) {
				t.Error("a name under the wildcard has a certificate that nobody could prove")
			}
			if _, err := os.Stat(filepath.Join(data, "ca")); err == nil {
				t.Error("a local CA was made too")
			}
			if err := e.stop(); err != nil {
				t.Fatal(err)
			}
			privateFiles(t, filepath.Join(data, "certificates"))
			if again := startACME(t, data, file); !again.verifies(domain, server.roots) {
				t.Error("after a restart the certificate is not there at once")
			}
		})
	}
}

// privateFiles fails when others may look into a folder, or a file was left half written.
func privateFiles(t *testing.T, folder string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 || strings.Contains(entry.Name(), ".tmp") {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		if !entry.IsDir() {
			files++
		}
		return nil
	})
	if err != nil || files == 0 {
		t.Errorf("%d files, %v", files, err)
	}
}

func TestAnswersOfOCSPAreStapled(t *testing.T) {
	t.Parallel()
	server := newACMEServer(t, acmeSettings{ocsp: true})
	e := acmeEdge(t, "stapled.example", server.keys())
	server.open(1, e.Addrs().HTTPS.Port)
	eventually(t, "the certificate", func() bool { return e.verifies("stapled.example", server.roots) })
	connection, err := tls.Dial("tcp", e.Addrs().HTTPS.String(), &tls.Config{ServerName: "stapled.example", RootCAs: server.roots})
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	chain := connection.ConnectionState().VerifiedChains[0]
	answer, err := ocsp.ParseResponseForCert(connection.ConnectionState().OCSPResponse, chain[0], chain[1])
	if err != nil || answer.Status != ocsp.Good {
		t.Errorf("%+v, %v", answer, err)
	}
}
