package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/miekg/dns"

	"github.com/portico-web/portico/internal/dbtest"
)

// bind is BIND, authoritative for the zones given to startBIND, whose TXT records keyFile may change; otherKeyFile may not.
type bind struct {
	t                     *testing.T
	address               string
	keyFile, otherKeyFile string
}

const zoneFile = `$TTL 60
@ IN SOA ns hostmaster 1 60 60 600 60
@ IN NS ns
* IN A 127.0.0.1
@ IN A 127.0.0.1
ns IN A 127.0.0.1
`

// bindGuardian runs the server until its standard input ends, which it does with the test process.
const bindGuardian = `"$@" 2>&1 </dev/null & server=$!
exec >/dev/null 2>&1
read -r _
kill -KILL $server
wait $server`

// startBIND runs a name server until the test ends.
func startBIND(t *testing.T, zones ...string) *bind {
	t.Helper()
	program := dbtest.Require(t, "Debian: apt-get install bind9; macOS: brew install bind", "named", "/usr/sbin/named")
	folder := t.TempDir()
	b := &bind{t: t, keyFile: filepath.Join(folder, "edge.key"), otherKeyFile: filepath.Join(folder, "other.key")}
	write(t, b.keyFile, "key \"edge\" {\n\talgorithm hmac-sha256;\n\tsecret \"c2VjcmV0IG9mIHRoZSBlZGdlLCBmb3IgdGVzdHMgb25seQ==\";\n};\n")
	write(t, b.otherKeyFile, "key \"other\" { algorithm hmac-sha512; secret \"YW5vdGhlciBzZWNyZXQsIGZvciB0ZXN0cyBvbmx5\"; };\n")
	configuration := "include \"" + b.keyFile + "\";\ninclude \"" + b.otherKeyFile + "\";\ncontrols {};\n"
	for _, zone := range zones {
		write(t, filepath.Join(folder, zone), zoneFile)
		configuration += fmt.Sprintf("zone %q { type primary; file %q; update-policy { grant edge zonesub TXT; }; };\n", zone, zone)
	}
	const attempts = 5 // a port that was free may be taken meanwhile
	var said string
	for range attempts {
		port := freePort(t)
		file := filepath.Join(folder, "named.conf")
		write(t, file, fmt.Sprintf("options { directory %q; listen-on port %d { 127.0.0.1; }; listen-on-v6 { none; }; pid-file none; lock-file none;"+
			" session-keyfile none; recursion no; dnssec-validation no; empty-zones-enable no; };\n", folder, port)+configuration)
		b.address = fmt.Sprintf("127.0.0.1:%d", port)
		if said = b.serve(program, file); said == "" {
			return b
		}
	}
	t.Fatalf("BIND does not start:\n%s", said)
	return nil
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// serve starts the server and waits until it answers; what it said comes back when it does not.
func (b *bind) serve(program, file string) (said string) {
	command := exec.CommandContext(context.WithoutCancel(b.t.Context()), "/bin/sh", "-c", bindGuardian, "guardian", program, "-g", "-n", "1", "-c", file)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	input, err := command.StdinPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		b.t.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	var text strings.Builder
	running := false
	for !running && lines.Scan() {
		fmt.Fprintln(&text, lines.Text())
		running = strings.HasSuffix(lines.Text(), " running")
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, output)
	}()
	stop := func() {
		_ = input.Close()
		<-drained
		_ = command.Wait()
	}
	if !running || strings.Contains(text.String(), "address in use") {
		stop()
		return text.String()
	}
	b.t.Cleanup(stop)
	return ""
}

// texts are the TXT records of a name, with the escapes of a zone file.
func (b *bind) texts(name string) (values []string) {
	b.t.Helper()
	client := &dns.Client{Net: "tcp"} // an answer may be longer than UDP takes
	answer, _, err := client.Exchange(new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeTXT), b.address)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, record := range answer.Answer {
		values = append(values, strings.Join(record.(*dns.TXT).Txt, ""))
	}
	return values
}
