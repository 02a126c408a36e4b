// Package dbtest gives tests real databases: SQLite files, and databases on a PostgreSQL server that the test process starts
// from the installed programs. Only tests import it.
package dbtest

import (
	"os"
	"path/filepath"
	"testing"
)

// Main is a package's TestMain: it runs the tests and then stops the servers they started.
//
//	func TestMain(m *testing.M) { dbtest.Main(m) }
//
// A package that also looks for leaked goroutines writes goleak.VerifyTestMain(dbtest.Suite{M: m}) instead.
func Main(m *testing.M) { os.Exit(Suite{M: m}.Run()) }

// Suite runs a package's tests and stops the servers they started before it returns.
type Suite struct{ M *testing.M }

// Run returns the exit code of the tests.
func (s Suite) Run() int {
	postgres.allow()
	defer postgres.stop()
	return s.M.Run()
}

// SQLite returns the sqlite:// URL of a database file that does not exist yet; it is removed with the test.
func SQLite(t testing.TB) string {
	t.Helper()
	return "sqlite://" + filepath.Join(t.TempDir(), "test.db")
}

// Each runs test once on every kind of database, as parallel subtests named sqlite and postgres.
func Each(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	for name, open := range map[string]func(testing.TB) string{"sqlite": SQLite, "postgres": Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}
