package database

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Settings name the database in a program's environment; embed them in its configuration. DATABASE_URL says everything in
// one value; the older DATABASE_HOST and its companions stand for a PostgreSQL server and count only without it.
type Settings struct {
	DatabaseURL      string `env:"DATABASE_URL"`
	DatabaseHost     string `env:"DATABASE_HOST"`
	DatabasePort     string `env:"DATABASE_PORT" envDefault:"5432"`
	DatabaseName     string `env:"DATABASE_NAME"`
	DatabaseUser     string `env:"DATABASE_USER"`
	DatabasePassword string `env:"DATABASE_PASSWORD"`
	DatabaseDB       string `env:"DATABASE_DB"`
}

// URL is the address that Open takes. Its errors are one line each and never hold the password.
func (s Settings) URL() (string, error) {
	if s.DatabaseURL != "" {
		return s.DatabaseURL, nil
	}
	switch strings.ToLower(s.DatabaseDB) {
	case "", "postgres", "postgresql", "psql":
	case "mysql", "mariadb":
		return "", fmt.Errorf("DATABASE_DB=%s: MySQL is not spoken here: set DATABASE_URL to a PostgreSQL database and move the data with `app import-django`", s.DatabaseDB)
	default:
		return "", fmt.Errorf("DATABASE_DB=%s is not known: set DATABASE_URL=postgres://user:password@host:5432/name or sqlite://path", s.DatabaseDB)
	}
	if s.DatabaseHost == "" {
		return "", errors.New("DATABASE_URL is required and not set: use postgres://user:password@host:5432/name or sqlite://path/to/file.db")
	}
	if s.DatabaseName == "" || s.DatabaseUser == "" {
		return "", errors.New("DATABASE_HOST also needs DATABASE_NAME and DATABASE_USER, or set DATABASE_URL instead")
	}
	port := s.DatabasePort
	if port == "" {
		port = "5432"
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		return "", fmt.Errorf("DATABASE_PORT: %q is not a port from 1 to 65535", s.DatabasePort)
	}
	account := url.User(s.DatabaseUser)
	if s.DatabasePassword != "" {
		account = url.UserPassword(s.DatabaseUser, s.DatabasePassword)
	}
	host := strings.Trim(s.DatabaseHost, "[]")
	return (&url.URL{Scheme: "postgres", User: account, Host: net.JoinHostPort(host, port), Path: "/" + s.DatabaseName}).String(), nil
}
