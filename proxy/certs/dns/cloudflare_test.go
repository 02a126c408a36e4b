package dns_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/libdns/libdns"

	"github.com/portico-web/portico/proxy/certs/dns"
)

// cloudflare speaks the part of Cloudflare's API, version 4, that is about the records of one zone.
type cloudflare struct {
	mu      sync.Mutex
	next    int
	records []map[string]any
}

const token = "a-token-of-tests"

func (c *cloudflare) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fail := func(status, code int, message string) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"success": false, "result": nil, "errors": []any{map[string]any{"code": code, "message": message}}})
	}
	succeed := func(result any) {
		_ = json.NewEncoder(w).Encode(map[string]any{"success": true, "errors": []any{}, "messages": []any{}, "result": result})
	}
	query := r.URL.Query()
	const records = "/client/v4/zones/023e105f4ecef8ad/dns_records"
	switch {
	case r.Header.Get("Authorization") != "Bearer "+token:
		fail(http.StatusForbidden, 9109, "Invalid access token")
	case r.Method == http.MethodGet && r.URL.Path == "/client/v4/zones":
		zones := []any{}
		if query.Get("name") == "zone.example" {
			zones = append(zones, map[string]any{"id": "023e105f4ecef8ad", "name": "zone.example", "status": "active"})
		}
		succeed(zones)
	case r.Method == http.MethodPost && r.URL.Path == records:
		var record map[string]any
		if err := json.NewDecoder(r.Body).Decode(&record); err != nil || record["type"] != "TXT" || record["ttl"].(float64) < 60 {
			fail(http.StatusBadRequest, 9021, fmt.Sprint("Invalid record ", record, err))
			return
		}
		if slices.ContainsFunc(c.records, func(other map[string]any) bool {
			return other["name"] == record["name"] && other["content"] == record["content"]
		}) {
			fail(http.StatusBadRequest, 81058, "An identical record already exists.")
			return
		}
		c.next++
		record["id"] = fmt.Sprintf("372e67954025e0ba%04d", c.next)
		c.records = append(c.records, record)
		succeed(record)
	case r.Method == http.MethodGet && r.URL.Path == records:
		found := []any{}
		for _, record := range c.records {
			if record["name"] == query.Get("name") && record["type"] == query.Get("type") {
				found = append(found, record)
			}
		}
		succeed(found)
	case r.Method == http.MethodDelete && strings.HasPrefix(r.URL.Path, records+"/"):
		id := strings.TrimPrefix(r.URL.Path, records+"/")
		c.records = slices.DeleteFunc(c.records, func(record map[string]any) bool { return record["id"] == id })
		succeed(map[string]any{"id": id})
	default:
		fail(http.StatusNotFound, 7003, "Could not route to "+r.URL.Path)
	}
}

// contents are those of a name's records.
func (c *cloudflare) contents(name string) (contents []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, record := range c.records {
		if record["name"] == name {
			contents = append(contents, record["content"].(string))
		}
	}
	return contents
}

func challenge(value string) []libdns.Record {
	return []libdns.Record{libdns.RR{Name: "_acme-challenge.www", Type: "TXT", Data: value}}
}

func secretFile(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestCloudflareKeepsOtherRecordsOfAName(t *testing.T) {
	t.Parallel()
	fake := &cloudflare{}
	server := httptest.NewServer(fake)
	defer server.Close()
	provider := dns.NewCloudflare(server.URL+"/client/v4/", secretFile(t, token+"\n"))
	for _, value := range []string{"one", "two"} {
		if _, err := provider.AppendRecords(t.Context(), "zone.example.", challenge(value)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := provider.DeleteRecords(t.Context(), "zone.example.", challenge("one")); err != nil {
		t.Fatal(err)
	}
	if got := fake.contents("_acme-challenge.www.zone.example"); !slices.Equal(got, []string{`"two"`}) {
		t.Errorf("%q", got)
	}
	if _, err := provider.DeleteRecords(t.Context(), "zone.example.", challenge("one")); err != nil {
		t.Errorf("a record that is gone: %v", err)
	}
}

func TestWhatCloudflareRefusesIsToldWithoutTheToken(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(&cloudflare{})
	defer server.Close()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusBadGateway) }))
	defer page.Close()
	right, wrong := secretFile(t, token), secretFile(t, "another-secret")
	for says, c := range map[string]struct{ api, file, zone string }{
		"Invalid access token (9109)": {server.URL + "/client/v4", wrong, "zone.example"},
		"no zone other.example":       {server.URL + "/client/v4", right, "other.example"},
		"502 Bad Gateway":             {page.URL, right, "zone.example"},
		"no such file":                {server.URL, filepath.Join(t.TempDir(), "none"), "zone.example"},
		"connection refused":          {"http://127.0.0.1:1", right, "zone.example"},
	} {
		_, err := dns.NewCloudflare(c.api, c.file).AppendRecords(t.Context(), c.zone, challenge("x"))
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), token) || strings.Contains(err.Error(), "another-secret") {
			t.Errorf("%s: %v", says, err)
		}
	}
}
