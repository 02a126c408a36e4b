package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portico-web/portico/internal/dbtest"
	"github.com/portico-web/portico/proxy"
	"github.com/portico-web/portico/proxy/config"
)

// edgeOfTests in the environment names a proxy.yaml that this test binary is to serve instead of testing.
const edgeOfTests = "PORTICO_TEST_EDGE"

// beAnEdge serves a proxy.yaml, tells its addresses on the first line, and ends with its standard input.
func beAnEdge(file string) int {
	cfg, err := config.Load(file, noVariables)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	p, err := proxy.New(cfg, proxy.Options{DataDir: filepath.Dir(file)})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		<-p.Ready()
		fmt.Println(p.Addrs().HTTP, p.Addrs().HTTPS)
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	if err := p.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// processEdge is an edge in a process of its own: certmagic shares challenges among those of one process by itself.
type processEdge struct {
	command *exec.Cmd
	input   io.Closer
	http    *net.TCPAddr
	https   *net.TCPAddr
}

func startProcess(t *testing.T, yaml string) *processEdge {
	t.Helper()
	file := filepath.Join(t.TempDir(), "proxy.yaml")
	write(t, file, yaml)
	p := &processEdge{command: exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0])}
	p.command.Env = append(os.Environ(), edgeOfTests+"="+file)
	p.command.Stderr = os.Stderr
	input, err := p.command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := p.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	p.input = input
	t.Cleanup(func() {
		_ = p.input.Close()
		if err := p.command.Wait(); err != nil {
			t.Error(err)
		}
	})
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatalf("the edge does not start: %q, %v", line, err)
	}
	plain, secure, _ := strings.Cut(strings.TrimSpace(line), " ")
	if p.http, err = net.ResolveTCPAddr("tcp", plain); err != nil {
		t.Fatal(err)
	}
	if p.https, err = net.ResolveTCPAddr("tcp", secure); err != nil {
		t.Fatal(err)
	}
	return p
}

// serial is that of the certificate for name, "" when there is none.
func (p *processEdge) serial(name string) string {
	connection, err := tls.Dial("tcp", p.https.String(), &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		return ""
	}
	defer connection.Close()
	return connection.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

func TestTwoEdgesPlaceOneOrderAndProveItForEachOther(t *testing.T) {
	t.Parallel()
	server := newACMEServer(t, acmeSettings{})
	key := filepath.Join(t.TempDir(), "key")
	write(t, key, strings.Repeat("k", 32))
	yaml := bothPorts + fmt.Sprintf("tls: {%s, storage: %q, storage_key_file: %q}\n", server.keys(), dbtest.Redis(t), key) +
		"sites: [{hosts: [shared.example], routes: [{path: /, redirect: {to: /x}}]}]"
	orders := startProcess(t, yaml)
	eventually(t, "the first edge's call of the CA", func() bool { return server.calls.Load() > 0 }) // it holds the lock now
	proves := startProcess(t, yaml)
	server.open(proves.http.Port, proves.https.Port) // the CA reaches the second edge alone
	eventually(t, "the certificate at both", func() bool { return orders.serial("shared.example") != "" && proves.serial("shared.example") != "" })
	if one, other := orders.serial("shared.example"), proves.serial("shared.example"); one != other {
		t.Errorf("certificates %s and %s", one, other)
	}
	if orders := server.orders.Load(); orders != 1 {
		t.Errorf("%d orders", orders)
	}
}
