//go:build containers

package containers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// parameters is a folder that stands for the host's, with docker/fetch-secrets.sh in a release, and a program named aws that
// answers from the files of another folder as Parameter Store does.
type parameters struct {
	t          *testing.T
	root, host string
}

func newParameters(t *testing.T, store map[string]string) parameters {
	t.Helper()
	p := parameters{t, t.TempDir(), t.TempDir()}
	executable(t, filepath.Join(p.root, "bin/aws"), `
case "$1 $2" in
"ssm get-parameters-by-path") cd "$STORE$4" && find "$PWD" -type f | sed "s|^$STORE||" ;;
"ssm get-parameter")
	case $4 in *unreadable) echo AccessDenied >&2; exit 254 ;; esac
	[ "$AWS_REGION" = eu-central-1 ] && [ "$5" = --with-decryption ] && cat "$STORE$4" && echo ;;
esac`)
	executable(t, filepath.Join(p.root, "bin/curl"), `case "$*" in *latest/api/token) echo token ;; *"token: token"*placement/region) echo eu-central-1 ;; esac`)
	for name, value := range store {
		p.write(filepath.Join(p.root, "store", name), value)
	}
	script, err := os.ReadFile(filepath.Join(repository, "docker/fetch-secrets.sh"))
	if err != nil {
		t.Fatal(err)
	}
	p.write(filepath.Join(p.host, "releases/v1/fetch-secrets.sh"), string(script))
	p.write(filepath.Join(p.host, "secrets/smtp_url"), "mailbox:")
	p.write(filepath.Join(p.host, ".env"), "SITE_HOST=portico.test\n")
	return p
}

func (p parameters) write(path, content string) {
	p.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p parameters) fetch(arguments ...string) (string, error) {
	return attempt(p.t, []string{"STORE=" + filepath.Join(p.root, "store"), "PATH=" + filepath.Join(p.root, "bin") + ":" + os.Getenv("PATH"), "AWS_REGION="},
		"bash", append([]string{filepath.Join(p.host, "releases/v1/fetch-secrets.sh")}, arguments...)...)
}

// holds wants a file of the host to have content and mode; no content: that it is not there.
func (p parameters) holds(name, content string, mode os.FileMode) {
	p.t.Helper()
	found, err := os.ReadFile(filepath.Join(p.host, name))
	if content == "" && os.IsNotExist(err) {
		return
	}
	info, statErr := os.Stat(filepath.Join(p.host, name))
	if err != nil || statErr != nil || strings.TrimRight(string(found), "\n") != content || info.Mode().Perm() != mode {
		p.t.Errorf("%s is %q, %v, %v; want %q, %v", name, found, info, err, content, mode)
	}
}

func TestParametersBecomeTheHostsSecrets(t *testing.T) {
	t.Parallel()
	p := newParameters(t, map[string]string{"portico/secrets/smtp_url": "smtp://mail.test:587", "portico/secrets/database_url": "postgres://db.test/portico",
		"portico/settings.env": "MAIL_FROM=a@b.test\nSUBJECT=c d", "portico/database_password": "not-for-a-file", "other/secrets/secret_key": "of-others"})
	output, err := p.fetch("/portico")
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	p.holds("secrets/smtp_url", "smtp://mail.test:587", 0o444)
	p.holds("secrets/database_url", "postgres://db.test/portico", 0o444)
	p.holds("settings.env", "MAIL_FROM=a@b.test\nSUBJECT=c d", 0o600)
	p.holds("secrets/secret_key", "", 0)
	p.holds("database_password", "", 0)
	if strings.Contains(output, "smtp://") || strings.Count(output, "has changed") != 3 {
		t.Errorf("it says\n%s", output)
	}
	if output, err := p.fetch("/portico"); err != nil || output != "" {
		t.Errorf("when nothing has changed it ends with %v and says\n%s", err, output)
	}
	if left, err := filepath.Glob(filepath.Join(p.host, ".fetched*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

func TestWithoutEveryParameterNoSecretChanges(t *testing.T) {
	t.Parallel()
	p := newParameters(t, map[string]string{"portico/secrets/smtp_url": "smtp://mail.test:587", "portico/secrets/unreadable": "x", "nothing/for_a_file": "x"})
	for prefix, tells := range map[string]string{"/portico": "cannot read /portico/secrets/unreadable", "/nothing": "there is nothing at /nothing/secrets/",
		"/missing": "cannot list /missing", "/a b": "is not a prefix", "portico": "is not a prefix"} {
		output, err := p.fetch(prefix)
		if err == nil || !strings.Contains(output, tells) {
			t.Errorf("%s: %v, want %q\n%s", prefix, err, tells, output)
		}
		p.holds("secrets/smtp_url", "mailbox:", 0o600)
	}
}

func TestParametersAreAskedForOnlyWhereTheHostSaysSo(t *testing.T) {
	t.Parallel()
	p := newParameters(t, map[string]string{"portico/secrets/smtp_url": "smtp://mail.test:587"})
	if output, err := p.fetch("--configured"); err != nil || output != "" {
		t.Errorf("it ends with %v and says\n%s", err, output)
	}
	p.holds("secrets/smtp_url", "mailbox:", 0o600)
	p.write(filepath.Join(p.host, ".env"), "SITE_HOST=portico.test\nSECRETS_FROM=/portico\n")
	if output, err := p.fetch("--configured"); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
	p.holds("secrets/smtp_url", "smtp://mail.test:587", 0o444)
}
