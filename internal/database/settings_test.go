package database_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/portico-web/portico/internal/config"
	"github.com/portico-web/portico/internal/database"
)

func TestSettingsNameTheDatabase(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		environ []string
		want    string
		fault   string // a part of the error
	}{
		"one value": {environ: []string{"DATABASE_URL=sqlite:///data/portico.db"}, want: "sqlite:///data/portico.db"},
		"the one value beats the older ones": {
			environ: []string{"DATABASE_URL=postgres://a@b/c", "DATABASE_HOST=other", "DATABASE_DB=mysql"}, want: "postgres://a@b/c",
		},
		"older names": {
			environ: []string{"DATABASE_HOST=db", "DATABASE_NAME=campus", "DATABASE_USER=campus", "DATABASE_PASSWORD=s3cret", "DATABASE_DB=postgres"},
			want:    "postgres://campus:s3cret@db:5432/campus",
		},
		"IPv6 and a port": {
			environ: []string{"DATABASE_HOST=::1", "DATABASE_PORT=6432", "DATABASE_NAME=n", "DATABASE_USER=u"}, want: "postgres://u@[::1]:6432/n",
		},
		"MySQL":           {environ: []string{"DATABASE_HOST=db", "DATABASE_DB=mysql"}, fault: "app import-django"},
		"an unknown kind": {environ: []string{"DATABASE_HOST=db", "DATABASE_DB=oracle"}, fault: "DATABASE_DB=oracle"},
		"nothing":         {fault: "DATABASE_URL is required"},
		"no name":         {environ: []string{"DATABASE_HOST=db"}, fault: "DATABASE_NAME"},
		"a broken port":   {environ: []string{"DATABASE_HOST=db", "DATABASE_NAME=n", "DATABASE_USER=u", "DATABASE_PORT=http"}, fault: `DATABASE_PORT: "http"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var settings struct{ database.Settings }
			if err := config.Environment(&settings, test.environ); err != nil {
				t.Fatal(err)
			}
			got, err := settings.URL()
			switch {
			case test.fault == "" && err != nil:
				t.Fatal(err)
			case test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault) || strings.Contains(err.Error(), "\n")):
				t.Fatalf("error %v, want one line with %q", err, test.fault)
			case got != test.want:
				t.Errorf("URL %s, want %s", got, test.want)
			}
		})
	}
}

func TestSettingsKeepAnyPasswordWhole(t *testing.T) {
	t.Parallel()
	const password = `p@ss:w/rd?#%&` + "비밀"
	address, err := database.Settings{DatabaseHost: "db", DatabaseName: "n", DatabaseUser: "u", DatabasePassword: password}.URL()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := parsed.User.Password(); got != password {
		t.Errorf("password %q came back as %q", password, got)
	}
}
