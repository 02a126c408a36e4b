package proxy_test

import (
	"crypto/tls"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// BenchmarkAThousandNames measures handshakes, both sides of them, at an edge with a certificate for each of a thousand names,
// and what those cost: memory, and time to start with them stored.
func BenchmarkAThousandNames(b *testing.B) {
	const names = 1000
	data := b.TempDir()
	file := filepath.Join(data, "proxy.yaml")
	hosts := make([]string, names)
	for i := range hosts {
		hosts[i] = fmt.Sprintf("n%d.thousand.test", i)
	}
	write(b, file, "sites: [{hosts: ["+strings.Join(hosts, ", ")+"], routes: [{path: /, redirect: {to: /x}}]}]")
	if err := startFrom(b, file, data).stop(); err != nil { // makes and stores them
		b.Fatal(err)
	}
	before := heap()
	began := time.Now()
	e := startFrom(b, file, data)
	started := time.Since(began)
	each := (heap() - before) / names
	roots := e.roots()
	next := 0
	for b.Loop() {
		connection, err := tls.Dial("tcp", e.Addrs().HTTPS.String(), &tls.Config{ServerName: hosts[next%names], RootCAs: roots})
		if err != nil {
			b.Fatal(err)
		}
		_ = connection.Close()
		next++
	}
	b.ReportMetric(float64(each), "B/name")
	b.ReportMetric(float64(started.Milliseconds()), "ms/start")
}
