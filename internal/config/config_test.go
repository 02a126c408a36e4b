package config_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portico-web/portico/internal/config"
)

type nested struct {
	Port int `env:"TEST_PORT" envDefault:"5432"`
}

type settings struct {
	Nested  nested
	Secret  string         `env:"TEST_SECRET,required"`
	Timeout time.Duration  `env:"TEST_TIMEOUT" envDefault:"1s"`
	Flag    bool           `env:"TEST_FLAG"`
	Trusted []netip.Prefix `env:"TEST_TRUSTED" envDefault:"127.0.0.0/8"`
}

func secretFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEnvironmentReadsValuesAndFiles(t *testing.T) {
	t.Parallel()
	var got settings
	err := config.Environment(&got, []string{"TEST_SECRET_FILE=" + secretFile(t, "s3cret\n"), "TEST_PORT=6000", "TEST_TIMEOUT="})
	if err != nil {
		t.Fatal(err)
	}
	if got.Secret != "s3cret" || got.Nested.Port != 6000 || got.Timeout != time.Second || len(got.Trusted) != 1 {
		t.Errorf("read %+v", got)
	}
}

func TestEnvironmentTellsAllFaultsByVariable(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		environ []string
		want    []string
	}{
		"missing and malformed together": {
			[]string{"TEST_PORT=many", "TEST_TIMEOUT=soon", "TEST_TRUSTED=10.0.0.0/99", "TEST_FLAG=maybe"},
			[]string{
				"TEST_SECRET is required", "TEST_PORT:", "use a whole number", "TEST_TIMEOUT:", "use a time such as",
				"TEST_TRUSTED:", "use networks such as", "TEST_FLAG:", "use true or false",
			},
		},
		"value and file":  {[]string{"TEST_SECRET=a", "TEST_SECRET_FILE=/b"}, []string{"TEST_SECRET and TEST_SECRET_FILE are both set"}},
		"file is missing": {[]string{"TEST_SECRET_FILE=/does/not/exist"}, []string{"TEST_SECRET_FILE: open /does/not/exist"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := config.Environment(&settings{}, test.environ)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not name %q", err, want)
				}
			}
		})
	}
}

func TestOlderNameCountsWhereThePresentOneIsNotSet(t *testing.T) {
	t.Parallel()
	older := map[string]string{"OLD_SECRET": "TEST_SECRET"}
	tests := map[string]struct {
		environ []string
		want    string
	}{
		"older alone":      {[]string{"OLD_SECRET=old"}, "old"},
		"older as a file":  {[]string{"OLD_SECRET_FILE=" + secretFile(t, "old from a file")}, "old from a file"},
		"present one wins": {[]string{"OLD_SECRET=old", "TEST_SECRET=new"}, "new"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got settings
			if err := config.Environment(&got, config.WithOlderNames(test.environ, older)); err != nil {
				t.Fatal(err)
			}
			if got.Secret != test.want {
				t.Errorf("read %q, want %q", got.Secret, test.want)
			}
		})
	}
}
