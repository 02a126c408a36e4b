package dbtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// sharedServer names the variable that holds an administrator's postgres:// URL: tests use that server and start none.
const sharedServer = "PORTICO_TEST_POSTGRES_URL"

// postgres is the one server of this test process; it starts when the first test asks for it.
var postgres server

// Postgres returns the postgres:// URL of an empty database of this test's own, dropped when the test ends. The first call
// in a package starts the server, about one second; a later one takes about 50 ms. The package's TestMain must be Main or
// run a Suite. Where PostgreSQL is not installed the test is skipped, with CI=true it fails.
func Postgres(t testing.TB) string {
	t.Helper()
	admin := os.Getenv(sharedServer)
	if admin == "" {
		admin = postgres.url(t)
	}
	name := "test_" + strings.ToLower(rand.Text())
	administer(t, admin, "CREATE DATABASE "+name)
	t.Cleanup(func() { administer(t, admin, "DROP DATABASE "+name+" WITH (FORCE)") })
	return withDatabase(t, admin, name)
}

func withDatabase(t testing.TB, admin, name string) string {
	t.Helper()
	parsed, err := url.Parse(admin)
	if err != nil {
		t.Fatalf("dbtest: %s: %v", sharedServer, err)
	}
	parsed.Path = "/" + name
	return parsed.String()
}

// administer runs one statement on a connection of its own. It does not use the test's context, which has ended when
// cleanups run.
func administer(t testing.TB, admin, statement string) {
	t.Helper()
	if err := execute(admin, statement); err != nil {
		t.Fatalf("dbtest: %s: %v", statement, err)
	}
}

func execute(admin, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, admin)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}
