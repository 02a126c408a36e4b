package dbtest_test

import (
	"bufio"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/portico-web/portico/internal/dbtest"
)

// childMark is set in the environment of a test process that another one starts.
const childMark = "DBTEST_CHILD"

func TestMain(m *testing.M) { goleak.VerifyTestMain(dbtest.Suite{M: m}) }

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

func TestPostgresDatabasesAreEmptyAndTheirOwn(t *testing.T) {
	t.Parallel()
	first, second := dbtest.Postgres(t), dbtest.Postgres(t)
	if first == second {
		t.Fatalf("two calls returned the same database %s", first)
	}
	if _, err := connect(t, first).Exec(t.Context(), "CREATE TABLE note (id int)"); err != nil {
		t.Fatal(err)
	}
	var tables int
	query := "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
	if err := connect(t, second).QueryRow(t.Context(), query).Scan(&tables); err != nil {
		t.Fatal(err)
	}
	if tables != 0 {
		t.Errorf("the second database holds %d tables, want none", tables)
	}
}

func TestPostgresDropsTheDatabaseEvenWhileItIsUsed(t *testing.T) {
	t.Parallel()
	outer := t.Context()
	admin := connect(t, dbtest.Postgres(t))
	var used string
	var open *pgx.Conn
	t.Run("user", func(t *testing.T) {
		used = dbtest.Postgres(t)
		conn, err := pgx.Connect(outer, used)
		if err != nil {
			t.Fatal(err)
		}
		open = conn
	})
	defer open.Close(t.Context())
	parsed, err := url.Parse(used)
	if err != nil {
		t.Fatal(err)
	}
	var left int
	query := "SELECT count(*) FROM pg_database WHERE datname = $1"
	if err := admin.QueryRow(t.Context(), query, strings.TrimPrefix(parsed.Path, "/")).Scan(&left); err != nil {
		t.Fatal(err)
	}
	if left != 0 {
		t.Errorf("%s is still there after its test", used)
	}
}

// The child is this test binary again: it starts a server, prints the URL and waits to be killed.
func TestServerGoesWhenTheTestProcessIsKilled(t *testing.T) {
	t.Parallel()
	if os.Getenv(childMark) != "" {
		fmt.Println(childMark, dbtest.Postgres(t))
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	if os.Getenv("PORTICO_TEST_POSTGRES_URL") != "" {
		t.Skip("a server from outside is in use")
	}
	dbtest.Postgres(t) // skips where there is no PostgreSQL
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	child.Env = append(os.Environ(), childMark+"=1")
	input, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer input.Close()
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var address string
	for lines := bufio.NewScanner(output); address == "" && lines.Scan(); {
		_, address, _ = strings.Cut(lines.Text(), childMark+" ")
	}
	conn := connect(t, address)
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	// The connection ends when the server does; were the server to stay, this would wait for the test's time limit.
	if _, err := conn.WaitForNotification(t.Context()); err == nil {
		t.Error("the connection to the server of a killed process gave a notification instead of ending")
	}
}

func TestSQLiteNamesAFreshFile(t *testing.T) {
	t.Parallel()
	path := strings.TrimPrefix(dbtest.SQLite(t), "sqlite://")
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("%s: got %v, want a file that does not exist yet", path, err)
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		t.Error(err)
	}
}

func TestEachRunsOnBothKinds(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 2)
	t.Run("databases", func(t *testing.T) {
		dbtest.Each(t, func(_ *testing.T, url string) {
			scheme, _, _ := strings.Cut(url, "://")
			seen <- scheme
		})
	})
	close(seen)
	kinds := map[string]bool{}
	for kind := range seen {
		kinds[kind] = true
	}
	if !kinds["sqlite"] || !kinds["postgres"] {
		t.Errorf("ran on %v, want sqlite and postgres", kinds)
	}
}
