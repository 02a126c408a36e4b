package proxy_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/libdns/libdns"

	"github.com/portico-web/portico/proxy/certs/dns"
)

func TestWildcardCertificatesComeByDNS(t *testing.T) {
	t.Parallel()
	names := startBIND(t, "three.example")
	server := newACMEServer(t, acmeSettings{resolver: names.address})
	data := t.TempDir()
	file := filepath.Join(data, "proxy.yaml")
	write(t, file, tlsPort+fmt.Sprintf("tls: {%s, dns: {rfc2136: {server: %q, key_file: %q}, resolvers: [%q]}}\n", server.keys(), names.address, names.keyFile, names.address)+
		"sites: [{hosts: [three.example, \"*.three.example\"], redirect_from: [www.three.example], routes: [{path: /, redirect: {to: /x}}]}]")
	e := startACME(t, data, file)
	server.open(1, 1)
	for _, host := range []string{"three.example", "www.three.example", "any.three.example"} {
		eventually(t, "the certificate for "+host, func() bool { return e.verifies(host, server.roots) })
	}
	if orders := server.orders.Load(); orders != 2 {
		t.Errorf("%d orders for two certificates", orders)
	}
	eventually(t, "the end of the challenge's records", func() bool { return len(names.texts("_acme-challenge.three.example")) == 0 })
}

func TestRecordsOfOneNameStandBesideEachOther(t *testing.T) {
	t.Parallel()
	names := startBIND(t, "zone.example")
	provider := dns.NewRFC2136(names.address, names.keyFile)
	record := func(value string) []libdns.Record {
		return []libdns.Record{libdns.RR{Name: "_acme-challenge.www", Type: "TXT", Data: value}}
	}
	long := strings.Repeat("long \" \\ ", 60)
	for _, value := range []string{"one", long} {
		if _, err := provider.AppendRecords(t.Context(), "zone.example.", record(value)); err != nil {
			t.Fatal(err)
		}
	}
	if got := names.texts("_acme-challenge.www.zone.example"); len(got) != 2 {
		t.Fatalf("%q", got)
	}
	if _, err := provider.DeleteRecords(t.Context(), "zone.example", record("one")); err != nil {
		t.Fatal(err)
	}
	if _, err := provider.DeleteRecords(t.Context(), "zone.example", record("never there")); err != nil {
		t.Errorf("a record that is not there: %v", err)
	}
	if diff := cmp.Diff([]string{strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(long)}, names.texts("_acme-challenge.www.zone.example")); diff != "" {
		t.Error(diff)
	}
}

func TestANameServerThatRefusesIsToldOfInOneLine(t *testing.T) {
	t.Parallel()
	names := startBIND(t, "refused.example")
	wrong := filepath.Join(t.TempDir(), "wrong.key")
	write(t, wrong, `key edge { algorithm hmac-sha256; secret "d3Jvbmcgc2VjcmV0"; };`)
	record := []libdns.Record{libdns.RR{Name: "_acme-challenge", Type: "TXT", Data: "x"}}
	for what, c := range map[string]struct{ key, zone, says string }{
		"a key without the right": {names.otherKeyFile, "refused.example", "REFUSED"},
		"a wrong secret":          {wrong, "refused.example", "NOTAUTH"},
		"another's zone":          {names.keyFile, "elsewhere.example", "NOTAUTH"},
		"no key":                  {filepath.Join(t.TempDir(), "none"), "refused.example", "no such file"},
	} {
		_, err := dns.NewRFC2136(names.address, c.key).AppendRecords(t.Context(), c.zone, record)
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "d3Jvbm") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := names.texts("_acme-challenge.refused.example"); len(got) != 0 {
		t.Errorf("the zone changed: %q", got)
	}
	if _, err := dns.NewRFC2136("127.0.0.1:1", names.keyFile).AppendRecords(t.Context(), "refused.example", record); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("nobody there: %v", err)
	}
	if _, err := dns.NewRFC2136(names.address, names.keyFile).AppendRecords(t.Context(), "refused.example", []libdns.Record{libdns.RR{Name: "@", Type: "A", Data: "192.0.2.1"}}); err == nil {
		t.Error("a record that is no TXT is written")
	}
}
