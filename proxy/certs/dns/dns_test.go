package dns_test

import (
	"strings"
	"testing"

	"github.com/portico-web/portico/proxy/certs/dns"
)

func TestKeysAreReadAsTsigKeygenWritesThem(t *testing.T) {
	t.Parallel()
	want := dns.Key{Name: "edge.example.", Algorithm: "hmac-sha256.", Secret: "c2VjcmV0"}
	for _, content := range []string{
		"key \"edge.example\" {\n\talgorithm hmac-sha256;\n\tsecret \"c2VjcmV0\";\n};\n",
		"# made by hand\nkey Edge.Example. { secret c2VjcmV0; algorithm HMAC-SHA256; }; // the end",
	} {
		if key, err := dns.ParseKey(content); err != nil || key != want {
			t.Errorf("%+v, %v of %q", key, err, content)
		}
	}
	for content, says := range map[string]string{
		"":                                    "tsig-keygen",
		"c2VjcmV0":                            "tsig-keygen",
		`key "x" { algorithm hmac-sha256; };`: "no secret",
		`key "x" { secret "c2VjcmV0"; };`:     "no algorithm",
		`key "x" { algorithm hmac-md5; secret "c2VjcmV0"; };`: "hmac-md5",
	} {
		if _, err := dns.ParseKey(content); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%q: %v", content, err)
		}
	}
}
