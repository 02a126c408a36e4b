package main

import (
	"errors"
	"net/url"
	"strings"

	"github.com/portico-web/portico/app"
	"github.com/portico-web/portico/worker"
)

// settings are those of application and worker, which share an environment here.
type settings struct {
	app    app.Config
	worker worker.Config

	hasPublicURL              bool // the operator set PUBLIC_URL
	adminEmail, adminPassword string
}

// loadSettings reads environ and puts the embedded defaults where it says nothing.
func loadSettings(data *dataFolder, environ []string) (*settings, error) {
	values := map[string]string{}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		values[name] = value
	}
	given := func(names ...string) bool {
		for _, name := range names {
			if values[name] != "" || values[name+"_FILE"] != "" {
				return true
			}
		}
		return false
	}
	fallback := func(value string, names ...string) {
		if !given(names...) {
			environ = append(environ, names[0]+"="+value)
		}
	}
	if !given("SECRET_KEY", "DJANGO_SECRET_KEY") {
		secret, err := data.secret("secret_key")
		if err != nil {
			return nil, err
		}
		fallback(secret, "SECRET_KEY")
	}
	fallback("sqlite://"+data.file("portico.db"), "DATABASE_URL", "DATABASE_HOST", "DATABASE_DB")
	fallback("mailbox:", "SMTP_URL")
	hosts := "localhost,.localhost,127.0.0.1,::1"
	if public, err := url.Parse(values["PUBLIC_URL"]); err == nil && public.Hostname() != "" {
		hosts += "," + public.Hostname()
	}
	fallback(hosts, "ALLOWED_HOSTS", "DJANGO_ALLOWED_HOSTS")
	fallback("warn", "LOG_LEVEL")
	fallback("console", "LOG_FORMAT")
	appConfig, appErr := app.LoadConfig(environ)
	workerConfig, workerErr := worker.LoadConfig(environ)
	if appErr != nil {
		workerErr = nil // the settings that both read would be complained about twice
	}
	set := &settings{app: appConfig, worker: workerConfig, hasPublicURL: given("PUBLIC_URL"), adminEmail: values["PORTICO_ADMIN_EMAIL"], adminPassword: values["PORTICO_ADMIN_PASSWORD"]}
	if set.adminEmail == "" {
		set.adminEmail = "admin@portico.localhost"
	}
	return set, errors.Join(appErr, workerErr)
}
