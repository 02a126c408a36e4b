package proxy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/portico-web/portico/proxy/config"
)

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

func TestEveryExampleOfTheDocumentationIsValid(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../docs/proxy.md")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	certificate(t, folder, "wildcard", "*.example.com")
	write(t, filepath.Join(folder, "404.html"), "<p>")
	write(t, filepath.Join(folder, "sorry.html"), "<p>")
	write(t, filepath.Join(folder, "storage_key"), strings.Repeat("x", 32))
	write(t, filepath.Join(folder, "tsig.key"), `key "edge" { algorithm hmac-sha256; secret "c2VjcmV0"; };`)
	for _, secret := range []string{"eab_key", "cloudflare", "aws"} {
		write(t, filepath.Join(folder, secret), "c2VjcmV0\n")
	}
	write(t, filepath.Join(folder, "keys.json"), newIssuer(t).set())
	write(t, filepath.Join(folder, "users"), "ada:"+bcryptOfSecret+"\n")
	replace := strings.NewReplacer("/srv/static", folder, "/run/secrets/", folder+"/", "/etc/portico/", folder+"/")
	blocks := yamlBlock.FindAllStringSubmatch(string(content), -1)
	if len(blocks) < 10 {
		t.Fatalf("only %d examples", len(blocks))
	}
	for i, block := range blocks {
		example := replace.Replace(block[1])
		if !strings.Contains(example, "sites:") { // a part of a file, which needs the rest
			example += "sites: [{hosts: [localhost], routes: [{path: /, redirect: {to: /x}}]}]\n"
		}
		if _, err := config.Parse(fmt.Sprintf("example %d", i+1), []byte(example), noVariables); err != nil {
			t.Errorf("%v in\n%s", err, example)
		}
	}
}

func TestEveryKeyIsDocumented(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../docs/proxy.md")
	if err != nil {
		t.Fatal(err)
	}
	var undocumented func(settings reflect.Type) []string
	undocumented = func(settings reflect.Type) (missing []string) {
		switch settings.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			return undocumented(settings.Elem())
		case reflect.Struct:
		default:
			return nil
		}
		for _, field := range reflect.VisibleFields(settings) {
			name := field.Tag.Get("yaml")
			if name == "" {
				continue
			}
			if !regexp.MustCompile(`(\b|_)` + name + `:`).Match(content) {
				missing = append(missing, name)
			}
			missing = append(missing, undocumented(field.Type)...)
		}
		return missing
	}
	if missing := undocumented(reflect.TypeFor[config.Config]()); len(missing) > 0 {
		t.Errorf("no example has %v", missing)
	}
}

// The house's own files must load, with the folders and variables that the images give them.
func TestTheShippedConfigurationsAreValid(t *testing.T) {
	t.Parallel()
	key := filepath.Join(t.TempDir(), "storage_key")
	write(t, key, strings.Repeat("x", 32))
	variables := map[string]string{
		"STORAGE_KEY_FILE": key, "REDIS_URL": "rediss://:secret@cache.internal:6379/0", "BALANCER": "10.0.0.0/16",
		"SITE_HOST": "example.com", "HTTP_ADDR": "127.0.0.1:8080", "HTTPS_ADDR": "127.0.0.1:8443", "APP_ADDR": "127.0.0.1:1", "WORKER_ADDR": "127.0.0.1:2",
	}
	lookup := func(name string) (string, bool) {
		value, ok := variables[name]
		return value, ok
	}
	for _, pattern := range []string{"../docker/proxy*.yaml", "../docker/kubernetes/*/proxy.yaml", "../cmd/portico/proxy.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Errorf("%s: %v, %v", pattern, files, err)
		}
		for _, file := range files {
			if _, err := config.Load(file, lookup); err != nil {
				t.Error(err)
			}
		}
	}
}
