package expand_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/portico-web/portico/internal/database"
	"github.com/portico-web/portico/internal/dbtest"
	"github.com/portico-web/portico/internal/expand"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// before is what the version before has made.
const before = `CREATE TABLE IF NOT EXISTS posts (id BIGINT PRIMARY KEY, title TEXT NOT NULL); CREATE INDEX posts_title ON posts (title);
CREATE TABLE "Odd" (id BIGINT); CREATE TYPE mood AS ENUM ('fine'); CREATE VIEW latest AS SELECT * FROM posts;`

// judged is the severities of the findings on a pending migration, joined, and the findings in lines.
func judged(dialect expand.Dialect, sql string) (severities, all string) {
	var short, long []string
	for _, f := range expand.Judge(dialect, []expand.File{{Name: "1.sql", SQL: before}}, []expand.File{{Name: "2.sql", SQL: sql, InTransaction: true}}) {
		short, long = append(short, string(f.Severity)), append(long, f.String())
	}
	return strings.Join(short, " "), strings.Join(long, "\n")
}

func TestStatementsAreJudgedByWhatTheVersionBeforeCanWorkWith(t *testing.T) {
	t.Parallel()
	const postgres, sqlite, both = "postgres", "sqlite", "postgres sqlite"
	for _, test := range []struct{ dialects, sql, want string }{
		// What adds.
		{both, "", ""},
		{both, "CREATE TABLE tags (id BIGINT PRIMARY KEY, post BIGINT NOT NULL UNIQUE REFERENCES posts (id) ON DELETE CASCADE)", ""},
		{both, "CREATE TABLE tags (id BIGINT); CREATE UNIQUE INDEX tags_id ON tags (id); ALTER TABLE tags ADD COLUMN x TEXT NOT NULL; DELETE FROM tags; DROP TABLE tags", ""},
		{both, "CREATE TABLE tags (id BIGINT); ALTER TABLE tags RENAME TO labels; ALTER TABLE labels DROP COLUMN id", ""},
		{both, "ALTER TABLE posts ADD COLUMN note TEXT", ""},
		{both, "ALTER TABLE posts ADD note TEXT", ""},
		{both, "ALTER TABLE posts ADD COLUMN note TEXT NOT NULL DEFAULT ''", ""},
		{both, "INSERT INTO posts (id, title) VALUES (1, 'DELETE FROM posts')", ""},
		{both, "UPDATE posts SET title = 'a; DROP TABLE posts'", ""},
		{both, "/* DROP TABLE posts; */ -- DROP TABLE posts;\nSELECT 1", ""},
		{both, "CREATE VIEW titles AS SELECT title FROM posts", ""},
		{postgres, "ALTER TABLE posts ADD COLUMN at TIMESTAMPTZ NOT NULL DEFAULT now()", ""},
		{postgres, "ALTER TABLE IF EXISTS ONLY public.posts ADD COLUMN IF NOT EXISTS a INT, ADD COLUMN b NUMERIC(10, 2) NOT NULL DEFAULT 0", ""},
		{postgres, "ALTER TABLE posts ADD CONSTRAINT c CHECK (id > 0) NOT VALID", "refused"},
		{postgres, "ALTER TABLE posts ADD CONSTRAINT c FOREIGN KEY (id) REFERENCES posts (id) NOT VALID; ALTER TABLE posts VALIDATE CONSTRAINT c", "refused"},
		{postgres, "CREATE TABLE tags (id BIGINT); ALTER TABLE tags ADD CONSTRAINT c CHECK (id > 0)", ""},
		{postgres, "ALTER TABLE posts ALTER COLUMN title SET DEFAULT ''", ""},
		{postgres, "ALTER TYPE mood ADD VALUE 'better'", ""},
		{postgres, "SET LOCAL lock_timeout = '1s'; COMMENT ON TABLE posts IS 'x'; ANALYZE posts; GRANT SELECT ON posts TO PUBLIC", ""},
		{postgres, "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN DELETE FROM posts; RETURN 1; END $$", ""},
		{postgres, "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END; SELECT 1", ""},
		// What removes or renames.
		{both, "DROP TABLE posts", "refused"},
		{both, "drop /* quietly */ table if exists posts", "refused"},
		{both, "DROP VIEW latest", "refused"},
		{both, "DROP INDEX posts_title", "refused"},
		{both, "ALTER TABLE posts DROP COLUMN title", "refused"},
		{both, "ALTER TABLE posts RENAME TO articles", "refused"},
		{both, "ALTER TABLE posts RENAME COLUMN title TO name", "refused"},
		{both, "DELETE FROM posts", "refused"},
		{both, "WITH old AS (SELECT 1) DELETE FROM posts", "refused"},
		{both, "DROP TABLE posts; CREATE TABLE posts (id BIGINT); DELETE FROM posts", "refused refused"},
		{both, "CREATE TABLE IF NOT EXISTS posts (id BIGINT); DROP TABLE posts", "refused"},
		{both, "CREATE TABLE tags (id BIGINT); ALTER TABLE posts DROP COLUMN title; DROP TABLE tags", "refused"},
		{postgres, "DROP TYPE mood; DROP SCHEMA public CASCADE; DROP MATERIALIZED VIEW m; DROP EXTENSION x; DROP TABLESPACE x", "refused refused refused refused refused"},
		{postgres, "ALTER TABLE posts SET SCHEMA old; ALTER VIEW latest RENAME TO newest; ALTER TYPE mood RENAME VALUE 'fine' TO 'good'", "refused refused refused"},
		{postgres, "TRUNCATE posts", "refused"},
		{postgres, "CREATE TABLE tags (id BIGINT); TRUNCATE TABLE tags, posts", "refused"},
		{postgres, "WITH gone AS (DELETE FROM ONLY posts RETURNING *) SELECT * FROM gone", "refused"},
		{postgres, "WITH x AS (MERGE INTO posts USING posts p ON true WHEN MATCHED THEN DELETE RETURNING 1) SELECT 1", "refused"},
		{postgres, `CREATE TABLE odd (id BIGINT); DROP TABLE "Odd"`, "refused"},
		{postgres, `CREATE TABLE "Posts" (id BIGINT); DROP TABLE posts`, "refused"},
		{postgres, "CREATE TABLE other.posts (id BIGINT); DROP TABLE posts", "refused"},
		{sqlite, "REPLACE INTO posts VALUES (1, ''); INSERT OR REPLACE INTO posts VALUES (1, '')", "refused refused"},
		{sqlite, "CREATE TABLE odd (id BIGINT); DROP TABLE [Odd]", "refused"},
		{sqlite, "CREATE TABLE made (id BIGINT); INSERT INTO made SELECT id FROM posts; DROP TABLE posts; ALTER TABLE made RENAME TO posts; DELETE FROM posts", "refused refused"},
		// What the version before does not write, or expects.
		{both, "ALTER TABLE posts ADD COLUMN note TEXT NOT NULL", "refused"},
		{both, "ALTER TABLE posts ADD COLUMN note TEXT NOT NULL DEFAULT NULL", "refused"},
		{both, "ALTER TABLE posts ADD COLUMN note TEXT UNIQUE", "refused"},
		{sqlite, "CREATE UNIQUE INDEX posts_once ON posts (title)", "refused"},
		{postgres, "CREATE UNIQUE INDEX posts_once ON posts (title)", "refused hint"},
		{postgres, "ALTER TABLE posts ALTER COLUMN title TYPE VARCHAR(10), ALTER id SET DATA TYPE INT", "refused refused"},
		{postgres, "ALTER TABLE posts ALTER COLUMN title SET NOT NULL, ALTER COLUMN title DROP DEFAULT", "refused refused"},
		{postgres, "ALTER TABLE posts ADD CONSTRAINT c CHECK (id > 0)", "refused"},
		{postgres, "ALTER TABLE posts ADD FOREIGN KEY (id) REFERENCES posts (id)", "refused"},
		{postgres, "ALTER TABLE posts ADD CONSTRAINT c UNIQUE (title), ADD PRIMARY KEY (id)", "refused refused"},
		{postgres, "ALTER TABLE posts ADD CONSTRAINT c UNIQUE USING INDEX posts_once", ""},
		{postgres, "CREATE OR REPLACE VIEW latest AS SELECT 1", "refused"},
		{sqlite, "CREATE TRIGGER t AFTER INSERT ON posts BEGIN DELETE FROM posts; SELECT CASE WHEN 1 THEN 2 END; END; DROP TABLE posts", "refused refused"},
		// What cannot be judged.
		{postgres, "DO $$ BEGIN DROP TABLE posts; END $$", "refused"},
		{postgres, "CALL f(); EXECUTE p; COPY posts FROM '/x'; REVOKE ALL ON posts FROM PUBLIC; SET search_path = x; SET ROLE x", "refused refused refused refused refused refused"},
		{sqlite, "PRAGMA writable_schema = on; VACUUM", "refused refused"},
		{both, "COMMIT; DROP TABLE posts", "refused refused"},
		{both, "SELECT 'unfinished", "refused"},
		{both, "SELECT (1; DROP TABLE posts", "refused"},
		{both, "SELECT 1); DROP TABLE posts", "refused"},
		// What takes time under a lock.
		{postgres, "CREATE INDEX posts_new ON posts (title)", "hint"},
		{sqlite, "CREATE INDEX posts_new ON posts (title)", ""},
		{postgres, "CREATE INDEX CONCURRENTLY posts_new ON posts (title)", "refused"}, // in a transaction
		{postgres, "ALTER TABLE posts ADD COLUMN n BIGSERIAL, ADD COLUMN u UUID DEFAULT gen_random_uuid()", "hint hint"},
		{postgres, "ALTER TABLE posts ADD COLUMN n INT GENERATED ALWAYS AS (1) STORED, ADD COLUMN m INT CHECK (m > 0)", "hint hint"},
		{postgres, "ALTER TABLE posts ALTER COLUMN title DROP NOT NULL", "hint"},
		// Reviews.
		{both, "-- expand: reviewed: nobody reads it since 4.2\nDROP TABLE posts", "reviewed"},
		{both, "--expand: reviewed:it is empty\r\nDROP TABLE posts; DROP VIEW latest", "reviewed refused"},
		{both, "-- expand: reviewed:\nDROP TABLE posts", "refused"},
		{both, "-- expand: reviewed: a line too early\n\nDROP TABLE posts", "refused"},
		{both, "SELECT '\n-- expand: reviewed: in a string\n'; DROP TABLE posts", "refused"},
		{both, "/* expand: reviewed: another kind of comment */\nDROP TABLE posts", "refused"},
		{postgres, "-- expand: reviewed: hopefully\nCREATE INDEX CONCURRENTLY posts_new ON posts (title)", "refused"}, // it would fail
		// Where statements end.
		{both, "SELECT 1\n--bun:split\nDROP TABLE posts\n--bun:split\nDROP VIEW latest", "refused refused"},
		{both, "SELECT '\n--bun:split\n'; DROP TABLE posts", "refused"}, // it is split in the string: not two statements that anybody meant
		{both, "SELECT 'it''s'; DROP TABLE posts", "refused"},
		{both, `SELECT '\'; DROP TABLE posts; SELECT ''`, "refused"},
		{postgres, `SELECT E'\'; DROP TABLE posts; --'`, ""},
		{postgres, "/* /* */ DROP TABLE posts; */ SELECT 1", ""},
		{sqlite, "/* /* */ DROP TABLE posts; SELECT 1 -- */", "refused"},
		{postgres, "SELECT $a$ $b$; DROP TABLE posts; $a$", ""},
		{postgres, "SELECT a$b$c FROM x; DROP TABLE posts; SELECT d$b$e", "refused"},
		{sqlite, "SELECT `;`, [';], 1; DROP TABLE posts; SELECT ''", "refused"},
	} {
		for _, name := range strings.Fields(test.dialects) {
			dialect, want := expand.Postgres, test.want
			if name == sqlite {
				dialect = expand.SQLite
			}
			if got, all := judged(dialect, test.sql); got != want {
				t.Errorf("%s: %s\nis judged %q, want %q\n%s", name, test.sql, got, want, all)
			}
		}
	}
}

func TestAnIndexIsMadeConcurrentlyOutsideOfTransactions(t *testing.T) {
	t.Parallel()
	again := expand.File{Name: "2.up.sql", SQL: "DROP INDEX CONCURRENTLY IF EXISTS posts_new;\n--bun:split\nCREATE INDEX CONCURRENTLY posts_new ON posts (title);"}
	if found := expand.Judge(expand.Postgres, []expand.File{{SQL: before}}, []expand.File{again}); len(found) != 0 {
		t.Errorf("an index that is made anew after an attempt that failed is found fault with: %v", found)
	}
	again.SQL = strings.ReplaceAll(again.SQL, "posts_new", "posts_title")
	if found := expand.Judge(expand.Postgres, []expand.File{{SQL: before}}, []expand.File{again}); len(found) != 1 || found[0].Severity != expand.Refused {
		t.Errorf("an index in use may be dropped, if it comes again: %v", found)
	}
}

func TestAFindingTellsWhereWhyAndTheWayOut(t *testing.T) {
	t.Parallel()
	_, got := judged(expand.Postgres, "-- a comment\n\nSELECT 1;\n\n  DROP TABLE\n    posts;\n")
	want := "2.sql:5: DROP TABLE posts: the version before may still use it: keep it until one version after the last that uses it, " +
		"or have it reviewed: `-- expand: reviewed: REASON` on the line before"
	if got != want {
		t.Errorf("it says\n%s\nwant\n%s", got, want)
	}
	_, got = judged(expand.Postgres, "SELECT 1;\n--bun:split\nDROP TABLE "+strings.Repeat("é", 200))
	if !strings.HasPrefix(got, "2.sql:3: DROP TABLE éé") || strings.Contains(got, "\n") || len(got) > 300 || strings.ContainsRune(got, '�') {
		t.Errorf("a long statement is told as %q", got)
	}
}

// A script that drops the table when a database runs it must be refused, however it is written.
func TestWhatDropsATableInADatabaseIsRefused(t *testing.T) {
	t.Parallel()
	scripts := []string{
		"DROP TABLE victim", "SELECT 1; DROP TABLE victim", "SELECT ';'; DROP TABLE victim", "SELECT 'a''b;'; DROP TABLE victim", `SELECT '\'; DROP TABLE victim; SELECT ''`,
		`SELECT E'\'; DROP TABLE victim; --'`, "SELECT 1 /* ; */; DROP TABLE victim", "SELECT 1; /* /* */ DROP TABLE victim; -- */", "/* /* */ */ DROP TABLE victim",
		"SELECT 1; -- DROP TABLE victim", "SELECT 1; -- x\nDROP TABLE victim", "SELECT $$; DROP TABLE victim; $$", "SELECT $a$ $$ ; DROP TABLE victim; $$ $a$", "SELECT 1 AS a$b; DROP TABLE victim; SELECT 1 AS c$b",
		`SELECT 1 AS ";"; DROP TABLE victim`, `SELECT 1 AS "x"";"; DROP TABLE "victim"`, "SELECT 1 AS [;']; DROP TABLE victim; SELECT ''", "SELECT 1 AS `;'`; DROP TABLE victim; SELECT ''",
		"SELECT 2*/*x*/3; DROP TABLE victim", "SELECT 2--\n; DROP TABLE victim", "SELECT 2 --'\n; DROP TABLE victim --'", "SELECT 1e5; DROP TABLE victim", "SELECT 1;\f\vDROP TABLE victim",
		"SELECT U&'\\0041;'; DROP TABLE victim", "SELECT X'41'; DROP TABLE victim", "SELECT 'a'\n';'; DROP TABLE victim", "SELECT 1;;; DROP TABLE victim", "SELECT '--'; DROP TABLE victim",
	}
	dbtest.Each(t, func(t *testing.T, url string) {
		dialect := expand.SQLite
		if strings.HasPrefix(url, "postgres") {
			dialect = expand.Postgres
		}
		db, err := database.Open(t.Context(), url, 1)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		run := func(ctx context.Context, sql string) error {
			if dialect == expand.Postgres {
				conn, err := pgx.Connect(ctx, url)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close(ctx)
				_, err = conn.PgConn().Exec(ctx, sql).ReadAll()
				return err
			}
			_, err := db.DB.DB.ExecContext(ctx, sql)
			return err
		}
		dropped := 0
		for _, script := range scripts {
			if err := run(t.Context(), "CREATE TABLE IF NOT EXISTS victim (id INT)"); err != nil {
				t.Fatal(err)
			}
			failed := run(t.Context(), script)
			gone := run(t.Context(), "SELECT id FROM victim") != nil
			severities, all := judged(dialect, script)
			switch refused := strings.Contains(severities, "refused"); {
			case gone && !refused:
				t.Errorf("it dropped the table and was not refused: %s", script)
			case !gone && failed == nil && refused:
				t.Errorf("it harmed nothing and was refused: %s\n%s", script, all)
			}
			if gone {
				dropped++
			}
		}
		if dropped < 15 {
			t.Errorf("only %d scripts dropped the table: the others prove nothing", dropped)
		}
	})
}
